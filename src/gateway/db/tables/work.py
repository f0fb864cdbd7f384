"""Who works on what: partitions, shards, timers, what was seen and what waits."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from gateway.db.tables.base import document, id_column, metadata, moment, one_of

topics = Table(
    "topics",
    metadata,
    # How many partitions a topic had when it was made: keys are spread over these for ever.
    Column("name", Text, primary_key=True),
    Column("partitions", Integer, nullable=False),
    moment("created_at"),
)

partition_owners = Table(
    "partition_owners",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    # None: from the log's start.
    Column("next_offset", BigInteger),
    # The database's time taken before reading a log end that next_offset has since reached.
    moment("caught_up_at", nullable=True),
    # The record on which a process may have died, and how often.
    Column("suspect_offset", BigInteger),
    Column("tries", Integer, nullable=False, server_default="0"),
    # True while an owner works; a takeover that finds it true was unclean.
    Column("owned", Boolean, nullable=False, server_default=text("false")),
)

inbox = Table(
    "inbox",
    metadata,
    id_column("event_id", primary_key=True),
    # SHA-256 of the canonical original: the same id with another original is a conflict.
    Column("original_hash", LargeBinary, nullable=False),
    moment("received_at"),
    Index("ix_inbox_received_at", "received_at"),
)

parked_keys = Table(
    "parked_keys",
    metadata,
    Column("kind", Text, primary_key=True),
    id_column("source_id", primary_key=True),
    id_column("contact_id", primary_key=True),
)

parked = Table(
    "parked",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    id_column("source_id"),
    id_column("contact_id"),
    id_column("event_id"),
    id_column("meta_app_id", nullable=True),
    # Set where the source had an owner: the row goes to it alone, and ends with it.
    id_column("owner_account_id", nullable=True),
    id_column("owner_channel_id", nullable=True),
    document("record_headers"),
    Column("record_value", LargeBinary, nullable=False),
    Column("record_partition", Integer, nullable=False),
    Column("original_hash", LargeBinary, nullable=False),
    moment("arrived_at"),
    moment("parked_at"),
    moment("expires_at"),
    UniqueConstraint("event_id"),
    Index("ix_parked_key", "kind", "source_id", "contact_id", "id"),
    Index("ix_parked_expires_at", "expires_at"),
    Index(
        "ix_parked_owner",
        "owner_channel_id",
        postgresql_where=text("owner_channel_id IS NOT NULL"),
    ),
)

shards = Table(
    "shards",
    metadata,
    Column("role", Text, primary_key=True),
    Column("shard", SmallInteger, primary_key=True),
    Column("owner", Text),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    moment("expires_at", nullable=True),
    one_of("role", "sender", "relay", "timers"),
)

processes = Table(
    "processes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("role", Text, nullable=False),
    moment("started_at"),
    # True time: a process not seen for a lease is gone.
    moment("seen_at"),
    # The clock's move that this process has taken over.
    Column("clock_version", BigInteger, nullable=False, server_default="0"),
)

product_clock = Table(
    "product_clock",
    metadata,
    # One row. Moved by `gateway dev` alone.
    Column("id", Integer, primary_key=True),
    Column("offset_seconds", Float, nullable=False, server_default="0"),
    Column("version", BigInteger, nullable=False, server_default="0"),
)

timers = Table(
    "timers",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    Column("shard", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    id_column("conversation_id", nullable=True),
    # What it is about: an enquiry, an offer, an agent, a channel.
    id_column("subject_id"),
    moment("due_at"),
    Column("version", Integer, nullable=False, server_default="1"),
    document("data", default="{}"),
    Index("ix_timers_due", "shard", "due_at"),
    UniqueConstraint("account_id", "kind", "subject_id"),
    Index("ix_timers_conversation", "account_id", "conversation_id"),
)

# What has to be done outside at a moment; `gateway.db.errands` says why they are no timers.
errands = Table(
    "errands",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    Column("shard", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    id_column("conversation_id", nullable=True),
    # What it is about: a message, a channel.
    id_column("subject_id"),
    moment("due_at"),
    # How often it was set, and how often claimed.
    Column("version", Integer, nullable=False, server_default="1"),
    Column("run", BigInteger, nullable=False, server_default="0"),
    # Tries since it was set or last got on.
    Column("attempt", Integer, nullable=False, server_default="0"),
    # The database's time at which the attempt that runs must have ended; null while none does.
    moment("runs_until", nullable=True),
    document("data", default="{}"),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
    UniqueConstraint("account_id", "kind", "subject_id"),
    Index("ix_errands_due", "shard", "kind", "due_at"),
)
