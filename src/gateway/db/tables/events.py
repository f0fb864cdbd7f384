"""What outside must learn: events, and the duties to deliver them and messages."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)

from gateway.db.tables.base import document, id_column, metadata, moment, one_of

# Outbox, feed and source of replay. Partitioned by day of created_at; the migration makes the
# default partition, maintenance the days.
events = Table(
    "events",
    metadata,
    Column("created_at", moment("x").type, primary_key=True),
    id_column(primary_key=True),
    id_column("account_id"),
    id_column("channel_id", nullable=True),
    id_column("conversation_id", nullable=True),
    id_column("enquiry_id", nullable=True),
    Column("type", Text, nullable=False),
    # The Kafka key: the conversation, or the account where there is none.
    id_column("key"),
    Column("sequence", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("subject", Text),
    moment("occurred_at"),
    Column("traceparent", Text),
    document("data"),
    Column("shard", SmallInteger, nullable=False),
    # Its place in the account's feed, given when it was published.
    Column("position", BigInteger),
    Index(
        "ix_events_unpublished",
        "shard",
        "key",
        "sequence",
        postgresql_where=text("position IS NULL"),
    ),
    Index("ix_events_feed", "account_id", "position"),
    # What was told of a person, for the day on which that person is erased.
    Index(
        "ix_events_conversation",
        "conversation_id",
        postgresql_where=text("conversation_id IS NOT NULL AND position IS NOT NULL"),
    ),
    Index(
        "ix_events_contact",
        text("((data -> 'contact') ->> 'id')"),
        postgresql_where=text("type LIKE 'gateway.contact.%'"),
    ),
    # By whom a comment, a post or a review of a Page was written.
    Index(
        "ix_events_writer",
        text(
            "COALESCE(data #>> '{comment,author,id}', data #>> '{page_change,value,from,id}',"
            " data #>> '{page_change,value,reviewer_id}')"
        ),
        postgresql_where=text("type IN ('gateway.comment.received.v1', 'gateway.page.changed.v1')"),
    ),
    postgresql_partition_by="RANGE (created_at)",
)

deliveries = Table(
    "deliveries",
    metadata,
    id_column(primary_key=True),
    id_column("account_id"),
    Column("shard", SmallInteger, nullable=False),
    Column("target_kind", Text, nullable=False),
    # The channel of a Page or third party, or the endpoint: the unit of limits.
    id_column("target_id"),
    # What must leave one after another: the conversation, the endpoint, or this delivery alone.
    id_column("lane"),
    # Place in the lane; what is asked for again goes to its end.
    Column("ordinal", BigInteger, Identity(), nullable=False),
    Column("kind", Text, nullable=False),
    id_column("channel_id", nullable=True),
    id_column("conversation_id", nullable=True),
    id_column("message_id", nullable=True),
    id_column("event_id", nullable=True),
    moment("event_created_at", nullable=True),
    # What an action does (`{"action": "typing_on"}`); messages and events stand in their tables.
    document("payload", nullable=True),
    Column("status", Text, nullable=False, server_default="pending"),
    # False while an earlier delivery holds the lane.
    Column("ready", Boolean, nullable=False),
    # True until it is settled, or has held its lane for as long as it may.
    Column("holds_lane", Boolean, nullable=False, server_default=text("true")),
    # Until when a failing one may hold its lane; null where it holds it until it is settled.
    moment("holds_until", nullable=True),
    # Null while the target is held. Of an uncertain one: until when its echo is waited for.
    moment("due_at", nullable=True),
    moment("held_at", nullable=True),
    moment("deadline_at", nullable=True),
    Column("attempt", Integer, nullable=False, server_default="0"),
    # How many attempts it had had when it was asked for again; null where it never was.
    Column("attempts_before", Integer),
    moment("first_attempt_at", nullable=True),
    # Fencing: which owner of the shard started the call that may be in flight, and until when.
    Column("epoch", BigInteger),
    moment("call_started_at", nullable=True),
    moment("call_ends_by", nullable=True),
    Column("traceparent", Text),
    moment("created_at"),
    moment("settled_at", nullable=True),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
    one_of("target_kind", "page", "third_party", "endpoint"),
    one_of("kind", "message", "action", "event"),
    one_of("status", "pending", "sending", "uncertain", "delivered", "failed", "cancelled"),
    Index(
        "ix_deliveries_due",
        "shard",
        "target_id",
        "due_at",
        # What was held is released with one due time for all.
        "ordinal",
        postgresql_where=text("status = 'pending' AND ready AND due_at IS NOT NULL"),
    ),
    Index(
        "ix_deliveries_waiting",
        "shard",
        "target_id",
        "lane",
        postgresql_where=text("status = 'pending' AND NOT ready"),
    ),
    Index(
        "ix_deliveries_lane",
        "target_id",
        "lane",
        "ordinal",
        postgresql_where=text("holds_lane"),
    ),
    Index(
        "ix_deliveries_in_flight",
        "shard",
        "call_ends_by",
        postgresql_where=text("status = 'sending'"),
    ),
    # Whose echo is still waited for.
    Index(
        "ix_deliveries_uncertain",
        "shard",
        "due_at",
        postgresql_where=text("status = 'uncertain' AND holds_lane"),
    ),
    Index(
        "ix_deliveries_holding",
        "shard",
        "holds_until",
        postgresql_where=text("status = 'pending' AND holds_lane AND holds_until IS NOT NULL"),
    ),
    Index(
        "ix_deliveries_held",
        "shard",
        "target_id",
        postgresql_where=text("status = 'pending' AND due_at IS NULL"),
    ),
    Index("ix_deliveries_target", "account_id", "target_id", "status", "id"),
    Index(
        "ix_deliveries_message",
        "message_id",
        postgresql_where=text("message_id IS NOT NULL"),
    ),
    # One delivery an event and endpoint.
    Index(
        "uq_deliveries_event",
        "event_id",
        "target_id",
        unique=True,
        postgresql_where=text("event_id IS NOT NULL"),
    ),
    # Which days of events are still needed.
    Index(
        "ix_deliveries_unfinished_day",
        "event_created_at",
        postgresql_where=text("kind = 'event' AND status IN ('pending', 'sending', 'uncertain')"),
    ),
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    id_column("delivery_id", primary_key=True),
    Column("attempt", Integer, primary_key=True),
    id_column("account_id"),
    moment("at"),
    # HTTP status; none where no answer came.
    Column("status", Integer),
    Column("milliseconds", Integer, nullable=False),
    # The first KiB of the answer, made printable.
    Column("body", Text),
    Column("outcome", Text, nullable=False),
    document("error", nullable=True),
    ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], ondelete="CASCADE"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    id_column(primary_key=True),
    # None: the instance administrator's.
    id_column("account_id", nullable=True),
    Column("reason", Text, nullable=False),
    # Which step set it aside: ingress, routing, sender.
    Column("stage", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="1"),
    Column("topic", Text),
    Column("partition", Integer),
    Column("record_offset", BigInteger),
    Column("record_key", LargeBinary),
    document("record_headers", default="{}"),
    Column("record_value", LargeBinary),
    id_column("delivery_id", nullable=True),
    # When the event was written that the delivery should have carried: its day is needed.
    moment("event_created_at", nullable=True),
    id_column("contact_id", nullable=True),
    moment("at"),
    moment("published_at", nullable=True),
    # Since when its record waits to be put back on its topic; null where it does not.
    moment("put_back_at", nullable=True),
    moment("redelivered_at", nullable=True),
    Index("ix_dead_letters_account_id_id", "account_id", "id"),
    Index("ix_dead_letters_reason", "account_id", "reason", "id"),
    Index("ix_dead_letters_stage", "account_id", "stage", "id"),
    Index(
        "ix_dead_letters_event_created_at",
        "event_created_at",
        postgresql_where=text("event_created_at IS NOT NULL"),
    ),
    Index("ix_dead_letters_unpublished", "id", postgresql_where=text("published_at IS NULL")),
    Index(
        "ix_dead_letters_put_back",
        "put_back_at",
        "id",
        postgresql_where=text("put_back_at IS NOT NULL"),
    ),
)

# Redeliveries and replays of many, done in the background, a part at a time.
reruns = Table(
    "reruns",
    metadata,
    id_column(primary_key=True),
    # None: the instance administrator's.
    id_column("account_id", nullable=True),
    Column("kind", Text, nullable=False),
    id_column("endpoint_id", nullable=True),
    # What was asked for, and by whose key.
    document("filter"),
    Column("actor", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="running"),
    # How far it has come: the position of an event, or the id of a delivery or a dead letter.
    Column("place", Text),
    Column("redelivered", BigInteger, nullable=False, server_default="0"),
    Column("passed_over", BigInteger, nullable=False, server_default="0"),
    moment("next_at"),
    moment("created_at"),
    moment("finished_at", nullable=True),
    one_of("kind", "dead_letters", "deliveries", "events"),
    one_of("status", "running", "finished", "cancelled", "failed"),
    Index("ix_reruns_running", "next_at", postgresql_where=text("status = 'running'")),
    Index("ix_reruns_account_id_id", "account_id", "id"),
    Index("ix_reruns_finished_at", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
)
