"""Make the first schema: tables, the product's clock, the shards and the first days of events."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("concurrent_contacts_limit", sa.Integer(), server_default="200", nullable=False),
        sa.Column("channels_limit", sa.Integer(), nullable=True),
        sa.Column(
            "departments_enabled", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("next_seq", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("account_id", sa.Text(collation="C"), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="1", nullable=False),
        sa.Column("topic", sa.Text(), nullable=True),
        sa.Column("partition", sa.Integer(), nullable=True),
        sa.Column("record_offset", sa.BigInteger(), nullable=True),
        sa.Column("record_key", sa.LargeBinary(), nullable=True),
        sa.Column(
            "record_headers",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("record_value", sa.LargeBinary(), nullable=True),
        sa.Column("delivery_id", sa.Text(collation="C"), nullable=True),
        sa.Column("contact_id", sa.Text(collation="C"), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("redelivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
    )
    op.create_index(
        "ix_dead_letters_account_id_id", "dead_letters", ["account_id", "id"], unique=False
    )
    op.create_index(
        "ix_dead_letters_unpublished",
        "dead_letters",
        ["id"],
        unique=False,
        postgresql_where=sa.text("published_at IS NULL"),
    )
    op.create_table(
        "events",
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("channel_id", sa.Text(collation="C"), nullable=True),
        sa.Column("conversation_id", sa.Text(collation="C"), nullable=True),
        sa.Column("enquiry_id", sa.Text(collation="C"), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column(
            "data", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("created_at", "id", name=op.f("pk_events")),
        postgresql_partition_by="RANGE (created_at)",
    )
    op.create_index("ix_events_feed", "events", ["account_id", "position"], unique=False)
    op.create_index("ix_events_id", "events", ["id"], unique=False)
    op.create_index(
        "ix_events_unpublished",
        "events",
        ["shard", "key", "sequence"],
        unique=False,
        postgresql_where=sa.text("position IS NULL"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column(
            "headers", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('running', 'done')", name=op.f("ck_idempotency_keys_state")),
        sa.PrimaryKeyConstraint("scope", "route", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(
        "ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False
    )
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("original_hash", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_inbox")),
    )
    op.create_index("ix_inbox_received_at", "inbox", ["received_at"], unique=False)
    op.create_table(
        "media",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("mime_type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_media")),
    )
    op.create_index("ix_media_id", "media", ["id"], unique=False)
    op.create_table(
        "meta_apps",
        sa.Column("app_id", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("app_secrets", postgresql.ARRAY(sa.LargeBinary()), nullable=False),
        sa.Column("verify_token", sa.LargeBinary(), nullable=False),
        sa.Column("graph_version", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("app_id", name=op.f("pk_meta_apps")),
    )
    op.create_table(
        "parked",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(collation="C"), nullable=False),
        sa.Column("contact_id", sa.Text(collation="C"), nullable=False),
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("meta_app_id", sa.Text(collation="C"), nullable=True),
        sa.Column("owner_account_id", sa.Text(collation="C"), nullable=True),
        sa.Column("owner_channel_id", sa.Text(collation="C"), nullable=True),
        sa.Column(
            "record_headers",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=False,
        ),
        sa.Column("record_value", sa.LargeBinary(), nullable=False),
        sa.Column("record_partition", sa.Integer(), nullable=False),
        sa.Column("original_hash", sa.LargeBinary(), nullable=False),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("parked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parked")),
        sa.UniqueConstraint("event_id", name=op.f("uq_parked_event_id")),
    )
    op.create_index("ix_parked_expires_at", "parked", ["expires_at"], unique=False)
    op.create_index(
        "ix_parked_key", "parked", ["kind", "source_id", "contact_id", "id"], unique=False
    )
    op.create_table(
        "parked_keys",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(collation="C"), nullable=False),
        sa.Column("contact_id", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("kind", "source_id", "contact_id", name=op.f("pk_parked_keys")),
    )
    op.create_table(
        "partition_owners",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=True),
        sa.Column("caught_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suspect_offset", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("owned", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_partition_owners")),
    )
    op.create_table(
        "pending_marks",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("channel_id", sa.Text(collation="C"), nullable=False),
        sa.Column("source_message_id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('delivered', 'read', 'failed')", name=op.f("ck_pending_marks_kind")
        ),
        sa.PrimaryKeyConstraint(
            "account_id", "channel_id", "source_message_id", "kind", name=op.f("pk_pending_marks")
        ),
    )
    op.create_index("ix_pending_marks_expires_at", "pending_marks", ["expires_at"], unique=False)
    op.create_table(
        "processes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("clock_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_processes")),
    )
    op.create_table(
        "product_clock",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("offset_seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product_clock")),
    )
    op.create_table(
        "secret_versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_secret_versions")),
    )
    op.create_table(
        "shards",
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('sender', 'relay', 'timers')", name=op.f("ck_shards_role")),
        sa.PrimaryKeyConstraint("role", "shard", name=op.f("pk_shards")),
    )
    op.create_table(
        "timers",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(collation="C"), nullable=True),
        sa.Column("subject_id", sa.Text(collation="C"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "data",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_timers")),
        sa.UniqueConstraint(
            "account_id", "kind", "subject_id", name=op.f("uq_timers_account_id_kind_subject_id")
        ),
    )
    op.create_index(
        "ix_timers_conversation", "timers", ["account_id", "conversation_id"], unique=False
    )
    op.create_index("ix_timers_due", "timers", ["shard", "due_at"], unique=False)
    op.create_table(
        "topics",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("partitions", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_topics")),
    )
    op.create_table(
        "agents",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("first_name", sa.Text(), nullable=False),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("display_name", sa.Text(), nullable=True),
        sa.Column("capacity", sa.Integer(), server_default="5", nullable=False),
        sa.Column(
            "channel_ids",
            postgresql.ARRAY(sa.Text(collation="C")),
            server_default="{}",
            nullable=False,
        ),
        sa.Column("presence", sa.Text(), server_default="offline", nullable=False),
        sa.Column("presence_changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("presence_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_enquiry_ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "presence IN ('active', 'busy', 'idle', 'offline')", name=op.f("ck_agents_presence")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_agents_accounts_account_id")
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_agents")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous_secret_hash", sa.LargeBinary(), nullable=True),
        sa.Column("previous_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_api_keys_accounts_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index("ix_api_keys_account_id_id", "api_keys", ["account_id", "id"], unique=False)
    op.create_table(
        "channels",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("source_id", sa.Text(collation="C"), nullable=False),
        sa.Column("meta_app_id", sa.Text(collation="C"), nullable=True),
        sa.Column("page_id", sa.Text(collation="C"), nullable=True),
        sa.Column("page_name", sa.Text(), nullable=True),
        sa.Column("page_access_token", sa.LargeBinary(), nullable=True),
        sa.Column(
            "subscribed_fields", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("source_name", sa.Text(), nullable=True),
        sa.Column("outgoing_webhook_url", sa.Text(), nullable=True),
        sa.Column("incoming_token_hash", sa.LargeBinary(), nullable=True),
        sa.Column("previous_incoming_token_hash", sa.LargeBinary(), nullable=True),
        sa.Column("previous_incoming_token_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("signing_secret", sa.LargeBinary(), nullable=True),
        sa.Column("previous_signing_secret", sa.LargeBinary(), nullable=True),
        sa.Column("previous_signing_secret_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("department_id", sa.Text(collation="C"), nullable=True),
        sa.Column(
            "link",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text('\'{"mode": "chat"}\'::jsonb'),
            nullable=False,
        ),
        sa.Column(
            "routing", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("routing_version", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "messages",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "custom_info",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("intermission_minutes", sa.Integer(), server_default="60", nullable=False),
        sa.Column(
            "closed_enquiry_policy", sa.Text(), server_default="intermission", nullable=False
        ),
        sa.Column("text_limit", sa.Integer(), server_default="2000", nullable=False),
        sa.Column("human_agent", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("media_policy", sa.Text(), server_default="platform", nullable=False),
        sa.Column(
            "inbound_media_types",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{image,audio,video,file}'"),
            nullable=False,
        ),
        sa.Column("send_deadline_seconds", sa.Integer(), server_default="3600", nullable=False),
        sa.Column("on_unknown_outcome", sa.Text(), server_default="ask", nullable=False),
        sa.Column("on_suspend", sa.Text(), server_default="keep", nullable=False),
        sa.Column("holds_source", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("connected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("freed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("token_checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("throttled_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_challenges", sa.Integer(), server_default="0", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "closed_enquiry_policy IN ('intermission', 'never', 'always')",
            name=op.f("ck_channels_closed_enquiry_policy"),
        ),
        sa.CheckConstraint(
            "kind IN ('messenger', 'instagram', 'third_party')", name=op.f("ck_channels_kind")
        ),
        sa.CheckConstraint(
            "media_policy IN ('platform', 'strict')", name=op.f("ck_channels_media_policy")
        ),
        sa.CheckConstraint(
            "on_suspend IN ('keep', 'discard')", name=op.f("ck_channels_on_suspend")
        ),
        sa.CheckConstraint(
            "on_unknown_outcome IN ('ask', 'resend')", name=op.f("ck_channels_on_unknown_outcome")
        ),
        sa.CheckConstraint(
            "status IN ('active', 'degraded', 'disconnected', 'suspended', 'deleted')",
            name=op.f("ck_channels_status"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_channels_accounts_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["meta_app_id"], ["meta_apps.app_id"], name=op.f("fk_channels_meta_apps_meta_app_id")
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_channels")),
    )
    op.create_index("ix_channels_id", "channels", ["id"], unique=True)
    op.create_index(
        "ix_channels_kind_source_id", "channels", ["kind", "source_id", "freed_at"], unique=False
    )
    op.create_index(
        "uq_channels_source",
        "channels",
        ["kind", "source_id"],
        unique=True,
        postgresql_where=sa.text("holds_source"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("target_kind", sa.Text(), nullable=False),
        sa.Column("target_id", sa.Text(collation="C"), nullable=False),
        sa.Column("lane", sa.Text(collation="C"), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(collation="C"), nullable=True),
        sa.Column("conversation_id", sa.Text(collation="C"), nullable=True),
        sa.Column("message_id", sa.Text(collation="C"), nullable=True),
        sa.Column("event_id", sa.Text(collation="C"), nullable=True),
        sa.Column("event_created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "payload", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.Column("holds_lane", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("holds_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("first_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=True),
        sa.Column("call_started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("call_ends_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('message', 'action', 'event')", name=op.f("ck_deliveries_kind")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'sending', 'uncertain', 'delivered', 'failed', 'cancelled')",
            name=op.f("ck_deliveries_status"),
        ),
        sa.CheckConstraint(
            "target_kind IN ('page', 'third_party', 'endpoint')",
            name=op.f("ck_deliveries_target_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_deliveries_accounts_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["shard", "target_id", "due_at"],
        unique=False,
        postgresql_where=sa.text("status = 'pending' AND ready AND due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_held",
        "deliveries",
        ["shard", "target_id"],
        unique=False,
        postgresql_where=sa.text("status = 'pending' AND due_at IS NULL"),
    )
    op.create_index(
        "ix_deliveries_holding",
        "deliveries",
        ["shard", "holds_until"],
        unique=False,
        postgresql_where=sa.text("status = 'pending' AND holds_lane AND holds_until IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_in_flight",
        "deliveries",
        ["shard", "call_ends_by"],
        unique=False,
        postgresql_where=sa.text("status = 'sending'"),
    )
    op.create_index(
        "ix_deliveries_lane",
        "deliveries",
        ["target_id", "lane", "ordinal"],
        unique=False,
        postgresql_where=sa.text("holds_lane"),
    )
    op.create_index(
        "ix_deliveries_message",
        "deliveries",
        ["message_id"],
        unique=False,
        postgresql_where=sa.text("message_id IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_target",
        "deliveries",
        ["account_id", "target_id", "status", "id"],
        unique=False,
    )
    op.create_index(
        "ix_deliveries_uncertain",
        "deliveries",
        ["shard", "due_at"],
        unique=False,
        postgresql_where=sa.text("status = 'uncertain' AND holds_lane"),
    )
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["shard", "target_id", "lane"],
        unique=False,
        postgresql_where=sa.text("status = 'pending' AND NOT ready"),
    )
    op.create_table(
        "endpoints",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("event_types", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "channel_ids",
            postgresql.ARRAY(sa.Text(collation="C")),
            server_default="{}",
            nullable=False,
        ),
        sa.Column("authentication_kind", sa.Text(), server_default="none", nullable=False),
        sa.Column("authentication", sa.LargeBinary(), nullable=True),
        sa.Column("ordering", sa.Text(), server_default="conversation", nullable=False),
        sa.Column("lane_hold_seconds", sa.Integer(), server_default="900", nullable=False),
        sa.Column("max_concurrency", sa.Integer(), server_default="10", nullable=False),
        sa.Column("rate_limit", sa.Integer(), nullable=True),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("signing_secret", sa.LargeBinary(), nullable=False),
        sa.Column("previous_signing_secret", sa.LargeBinary(), nullable=True),
        sa.Column("previous_signing_secret_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "last_attempt_timed_out", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("throttled_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "authentication_kind IN ('none', 'bearer', 'basic', 'header')",
            name=op.f("ck_endpoints_authentication_kind"),
        ),
        sa.CheckConstraint(
            "ordering IN ('conversation', 'endpoint', 'none')", name=op.f("ck_endpoints_ordering")
        ),
        sa.CheckConstraint(
            "status IN ('active', 'paused', 'disabled')", name=op.f("ck_endpoints_status")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_endpoints_accounts_account_id")
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_endpoints")),
        sa.UniqueConstraint("id", name=op.f("uq_endpoints_id")),
    )
    op.create_table(
        "feed_counters",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("next_position", sa.BigInteger(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_feed_counters_accounts_account_id")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_feed_counters")),
    )
    op.create_table(
        "contacts",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("channel_id", sa.Text(collation="C"), nullable=False),
        sa.Column("source_contact_id", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("avatar_url", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column(
            "attributes",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("blocked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("profile_fetched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "channel_id"],
            ["channels.account_id", "channels.id"],
            name=op.f("fk_contacts_channels_account_id_channel_id"),
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_contacts")),
        sa.UniqueConstraint(
            "account_id",
            "channel_id",
            "source_contact_id",
            name=op.f("uq_contacts_account_id_channel_id_source_contact_id"),
        ),
    )
    op.create_table(
        "delivery_attempts",
        sa.Column("delivery_id", sa.Text(collation="C"), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column(
            "error", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.id"],
            name=op.f("fk_delivery_attempts_deliveries_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("delivery_id", "attempt", name=op.f("pk_delivery_attempts")),
    )
    op.create_table(
        "conversations",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("channel_id", sa.Text(collation="C"), nullable=False),
        sa.Column("contact_id", sa.Text(collation="C"), nullable=False),
        sa.Column("next_seq", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("inbound_partition", sa.Integer(), nullable=False),
        sa.Column("enquiry_id", sa.Text(collation="C"), nullable=True),
        sa.Column("last_inbound_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_action_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_message_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_outbound_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_watermark", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_watermark", sa.DateTime(timezone=True), nullable=True),
        sa.Column("thread_owner", sa.Text(), server_default="idle", nullable=False),
        sa.Column("thread_owner_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("automation_paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "thread_owner IN ('us', 'other_app', 'page_inbox', 'idle')",
            name=op.f("ck_conversations_thread_owner"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "channel_id"],
            ["channels.account_id", "channels.id"],
            name=op.f("fk_conversations_channels_account_id_channel_id"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "contact_id"],
            ["contacts.account_id", "contacts.id"],
            name=op.f("fk_conversations_contacts_account_id_contact_id"),
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_conversations")),
        sa.UniqueConstraint(
            "account_id",
            "channel_id",
            "contact_id",
            name=op.f("uq_conversations_account_id_channel_id_contact_id"),
        ),
    )
    op.create_index(
        "ix_conversations_active",
        "conversations",
        ["account_id", sa.literal_column("coalesce(last_message_at, created_at)"), "id"],
        unique=False,
    )
    op.create_index("ix_conversations_id", "conversations", ["id"], unique=True)
    op.create_table(
        "enquiries",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("channel_id", sa.Text(collation="C"), nullable=False),
        sa.Column("conversation_id", sa.Text(collation="C"), nullable=False),
        sa.Column("contact_id", sa.Text(collation="C"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column(
            "destination", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("agent_id", sa.Text(collation="C"), nullable=True),
        sa.Column("agent_name", sa.Text(), nullable=True),
        sa.Column("handled_by", sa.Text(), nullable=True),
        sa.Column(
            "progress",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "assignment", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("custom_info", sa.Text(), nullable=True),
        sa.Column("close_reason", sa.Text(), nullable=True),
        sa.Column("late", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_response_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("missed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("followed_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "handled_by IN ('agent', 'bot', 'endpoint', 'page_inbox')",
            name=op.f("ck_enquiries_handled_by"),
        ),
        sa.CheckConstraint(
            "status IN ('open', 'offered', 'ongoing', 'closed', 'missed', 'followed_up')",
            name=op.f("ck_enquiries_status"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "conversation_id"],
            ["conversations.account_id", "conversations.id"],
            name=op.f("fk_enquiries_conversations_account_id_conversation_id"),
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_enquiries")),
    )
    op.create_index(
        "ix_enquiries_account_status", "enquiries", ["account_id", "status", "id"], unique=False
    )
    op.create_index(
        "ix_enquiries_agent",
        "enquiries",
        ["account_id", "agent_id"],
        unique=False,
        postgresql_where=sa.text("status = 'ongoing'"),
    )
    op.create_index(
        "ix_enquiries_conversation",
        "enquiries",
        ["account_id", "conversation_id", "id"],
        unique=False,
    )
    op.create_index("ix_enquiries_id", "enquiries", ["id"], unique=False)
    op.create_index(
        "ix_enquiries_queued",
        "enquiries",
        ["account_id", "queued_at", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'open' AND queued_at IS NOT NULL"),
    )
    op.create_index(
        "ix_enquiries_waiting",
        "enquiries",
        ["account_id", "entered_at", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'open' AND queued_at IS NULL"),
    )
    op.create_index(
        "uq_enquiries_live",
        "enquiries",
        ["account_id", "conversation_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('open', 'offered', 'ongoing')"),
    )
    op.create_table(
        "messages",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("channel_id", sa.Text(collation="C"), nullable=False),
        sa.Column("conversation_id", sa.Text(collation="C"), nullable=False),
        sa.Column("enquiry_id", sa.Text(collation="C"), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("author_kind", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Text(collation="C"), nullable=True),
        sa.Column("author_name", sa.Text(), nullable=True),
        sa.Column(
            "content", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column(
            "error", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("client_reference", sa.Text(), nullable=True),
        sa.Column("tag", sa.Text(), nullable=True),
        sa.Column("persona_id", sa.Text(collation="C"), nullable=True),
        sa.Column("reply_to", sa.Text(collation="C"), nullable=True),
        sa.Column("comment_id", sa.Text(collation="C"), nullable=True),
        sa.Column("take_thread", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("automation_cause", sa.Text(), nullable=True),
        sa.Column(
            "possibly_duplicate", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("late", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("source_message_id", sa.Text(collation="C"), nullable=True),
        sa.Column("platform_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "reactions",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unsent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "author_kind IN ('contact', 'agent', 'bot', 'system', 'page')",
            name=op.f("ck_messages_author_kind"),
        ),
        sa.CheckConstraint(
            "direction IN ('inbound', 'outbound')", name=op.f("ck_messages_direction")
        ),
        sa.CheckConstraint(
            "status IN ('received', 'accepted', 'sending', 'sent', 'delivered', 'read', 'failed', 'uncertain')",
            name=op.f("ck_messages_status"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "conversation_id"],
            ["conversations.account_id", "conversations.id"],
            name=op.f("fk_messages_conversations_account_id_conversation_id"),
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_messages")),
    )
    op.create_index(
        "ix_messages_conversation",
        "messages",
        ["account_id", "conversation_id", "sequence"],
        unique=False,
    )
    op.create_index("ix_messages_id", "messages", ["id"], unique=False)
    op.create_index(
        "ix_messages_unread",
        "messages",
        ["account_id", "conversation_id", "platform_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('sent', 'delivered') AND direction = 'outbound'"),
    )
    op.create_index(
        "uq_messages_automation_cause",
        "messages",
        ["account_id", "automation_cause"],
        unique=True,
        postgresql_where=sa.text("automation_cause IS NOT NULL"),
    )
    op.create_index(
        "uq_messages_source",
        "messages",
        ["channel_id", "direction", "source_message_id"],
        unique=True,
        postgresql_where=sa.text("source_message_id IS NOT NULL"),
    )
    op.create_table(
        "offers",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("enquiry_id", sa.Text(collation="C"), nullable=False),
        sa.Column("agent_id", sa.Text(collation="C"), nullable=False),
        sa.Column("destination_id", sa.Text(collation="C"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'accepted', 'rejected', 'expired', 'withdrawn')",
            name=op.f("ck_offers_status"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "enquiry_id"],
            ["enquiries.account_id", "enquiries.id"],
            name=op.f("fk_offers_enquiries_account_id_enquiry_id"),
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_offers")),
    )
    op.create_index(
        "ix_offers_agent_pending",
        "offers",
        ["account_id", "agent_id"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index("ix_offers_enquiry", "offers", ["account_id", "enquiry_id"], unique=False)
    op.create_table(
        "timeline_entries",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("enquiry_id", sa.Text(collation="C"), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column(
            "actor", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column(
            "data",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "enquiry_id"],
            ["enquiries.account_id", "enquiries.id"],
            name=op.f("fk_timeline_entries_enquiries_account_id_enquiry_id"),
        ),
        sa.PrimaryKeyConstraint(
            "account_id", "enquiry_id", "sequence", "position", name=op.f("pk_timeline_entries")
        ),
    )
    _make_clock()
    _make_days()
    op.execute("INSERT INTO secret_versions (id, version) VALUES (1, 1)")
    op.execute(
        "INSERT INTO shards (role, shard) SELECT role, shard"
        " FROM unnest(ARRAY['sender', 'relay', 'timers']) AS role, generate_series(0, 255) AS shard"
    )


def _make_clock() -> None:
    op.execute("INSERT INTO product_clock (id) VALUES (1)")
    op.execute(
        "CREATE FUNCTION gateway_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$"
        " SELECT clock_timestamp() + make_interval(secs => offset_seconds)"
        " FROM product_clock WHERE id = 1 $$"
    )


def _make_days() -> None:
    # A day that has rows in the default partition already stays there: nothing is moved.
    op.execute("CREATE TABLE events_default PARTITION OF events DEFAULT")
    op.execute(
        """
        CREATE FUNCTION gateway_make_event_days(first date, days integer) RETURNS integer
        LANGUAGE plpgsql AS $$
        DECLARE
          day date;
          made integer := 0;
        BEGIN
          FOR n IN 0 .. days - 1 LOOP
            day := first + n;
            IF to_regclass('events_' || to_char(day, 'YYYYMMDD')) IS NULL THEN
              BEGIN
                EXECUTE format(
                  'CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
                  'events_' || to_char(day, 'YYYYMMDD'),
                  (day::text || ' 00:00:00+00')::timestamptz,
                  ((day + 1)::text || ' 00:00:00+00')::timestamptz
                );
                made := made + 1;
              EXCEPTION WHEN check_violation THEN
                NULL;
              END;
            END IF;
          END LOOP;
          RETURN made;
        END $$
        """
    )
    op.execute("SELECT gateway_make_event_days((gateway_now() AT TIME ZONE 'UTC')::date - 1, 9)")
