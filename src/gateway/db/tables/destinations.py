"""Teams, bots and departments; agents and endpoints stand beside the channels."""

from sqlalchemy import Column, ForeignKeyConstraint, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from gateway.db.tables.base import ID, belongs_to, document, id_column, metadata, moment, one_of

teams = Table(
    "teams",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    Column("name", Text, nullable=False),
    Column("distribution", Text, nullable=False, server_default="simultaneous"),
    Column("agent_timeout_seconds", Integer, nullable=False, server_default="30"),
    # In the order in which they are asked; those that were deleted are passed over.
    Column("agent_ids", ARRAY(ID), nullable=False, server_default="{}"),
    Column("version", Integer, nullable=False, server_default="1"),
    moment("created_at"),
    moment("updated_at"),
    moment("deleted_at", nullable=True),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
    one_of("distribution", "simultaneous", "fixed_order", "round_robin", "most_idle"),
)

bots = Table(
    "bots",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    moment("created_at"),
    moment("updated_at"),
    moment("deleted_at", nullable=True),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
)

# Every version that a bot ever had: a conversation ends on the one with which it began.
bot_versions = Table(
    "bot_versions",
    metadata,
    id_column("account_id", primary_key=True),
    id_column("bot_id", primary_key=True),
    Column("version", Integer, primary_key=True),
    document("rules"),
    moment("created_at"),
    belongs_to("bots", "bot_id"),
)

# Whose turn it is: of a channel that shares by per cents, and of a team that asks in turn. Read and
# written under the account's lock.
turns = Table(
    "turns",
    metadata,
    id_column("account_id", primary_key=True),
    id_column("subject_id", primary_key=True),
    document("state"),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
)

departments = Table(
    "departments",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    moment("created_at"),
    moment("updated_at"),
    moment("deleted_at", nullable=True),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
)
