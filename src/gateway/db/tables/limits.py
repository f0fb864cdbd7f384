"""What was learnt of the limits of targets, and of Meta apps that accounts share."""

from sqlalchemy import Column, Float, ForeignKeyConstraint, SmallInteger, Table, Text

from gateway.db.tables.base import id_column, metadata, moment

# Who owns the target's shard knows better; this is for whoever is next, and for people.
target_paces = Table(
    "target_paces",
    metadata,
    id_column("account_id", primary_key=True),
    id_column("target_id", primary_key=True),
    # How much of the platform's limit is used up; null where the platform never says.
    Column("usage_percent", SmallInteger),
    # Calls a second, and those at which the limit was felt; null: nothing is slowed.
    Column("rate", Float),
    Column("felt", Float),
    moment("decided_at"),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
)

# One limit for all accounts and processes.
app_limits = Table(
    "app_limits",
    metadata,
    id_column("app_id", primary_key=True),
    Column("usage_percent", SmallInteger, nullable=False, server_default="0"),
    moment("told_at", nullable=True),
    Column("rate", Float),
    Column("felt", Float),
    moment("decided_at", nullable=True),
    # Meta takes nothing from the app until then.
    moment("rests_until", nullable=True),
    ForeignKeyConstraint(["app_id"], ["meta_apps.app_id"], ondelete="CASCADE"),
)

# What each process would send through an app for each account; a process that is silent has none.
app_demands = Table(
    "app_demands",
    metadata,
    id_column("app_id", primary_key=True),
    id_column("account_id", primary_key=True),
    Column("process_id", Text, primary_key=True),
    # Calls a second: wanted, and made.
    Column("wanted", Float, nullable=False),
    Column("made", Float, nullable=False),
    moment("noted_at"),
    ForeignKeyConstraint(["app_id"], ["app_limits.app_id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
)
