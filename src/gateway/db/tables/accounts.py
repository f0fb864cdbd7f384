"""Accounts, their API keys, who asked for what, and the answers kept for idempotency keys."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from gateway.db.tables.base import document, id_column, metadata, moment, one_of

accounts = Table(
    "accounts",
    metadata,
    id_column(primary_key=True),
    Column("name", Text, nullable=False),
    Column("concurrent_contacts_limit", Integer, nullable=False, server_default="200"),
    Column("channels_limit", Integer),
    Column("departments_enabled", Boolean, nullable=False, server_default=text("false")),
    # How long what people said is kept; null: for ever.
    Column("retention_days", Integer),
    # Orders the events that have no conversation: channels, endpoints, contacts, comments, policy.
    Column("next_seq", BigInteger, nullable=False, server_default="1"),
    Column("version", Integer, nullable=False, server_default="1"),
    moment("created_at"),
    moment("updated_at"),
    moment("deleted_at", nullable=True),
)

# How far the sweep has come that removes what is past an account's retention.
retention_progress = Table(
    "retention_progress",
    metadata,
    id_column("account_id", primary_key=True),
    id_column("message_id", nullable=True),
    Column("position", BigInteger, nullable=False, server_default="0"),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
)

api_keys = Table(
    "api_keys",
    metadata,
    id_column(primary_key=True),
    id_column("account_id"),
    Column("name", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    # SHA-256: the secret has 256 bits of its own, so a slow hash would only slow us.
    Column("secret_hash", LargeBinary, nullable=False),
    Column("previous_secret_hash", LargeBinary),
    moment("previous_expires_at", nullable=True),
    moment("created_at"),
    moment("revoked_at", nullable=True),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
    Index("ix_api_keys_account_id_id", "account_id", "id"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    # The account, or `instance` for the administrator.
    id_column("scope", primary_key=True),
    Column("route", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    moment("lease_until", nullable=True),
    Column("status", SmallInteger),
    document("headers", nullable=True),
    Column("body", LargeBinary),
    moment("created_at"),
    one_of("state", "running", "done"),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

feed_counters = Table(
    "feed_counters",
    metadata,
    # Gives events their place in the account's feed, in the order in which they were published.
    id_column("account_id", primary_key=True),
    Column("next_position", BigInteger, nullable=False, server_default="1"),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
)

# Who had something done again, by hand or in bulk.
audit_entries = Table(
    "audit_entries",
    metadata,
    id_column(primary_key=True),
    # None: the instance's.
    id_column("account_id", nullable=True),
    moment("at"),
    # The id of an API key, or `admin`.
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    id_column("subject_id"),
    document("details", default="{}"),
    Index("ix_audit_entries_account_id_id", "account_id", "id"),
    Index("ix_audit_entries_at", "at"),
)
