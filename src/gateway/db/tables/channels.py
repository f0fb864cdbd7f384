"""Meta apps, channels and the destinations that enquiries are routed to."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from gateway.db.tables.base import ID, belongs_to, document, id_column, metadata, moment, one_of

meta_apps = Table(
    "meta_apps",
    metadata,
    id_column("app_id", primary_key=True),
    Column("name", Text, nullable=False),
    # One or two, encrypted: the second lives while the secret rotates.
    Column("app_secrets", ARRAY(LargeBinary), nullable=False),
    Column("verify_token", LargeBinary, nullable=False),
    Column("graph_version", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    moment("created_at"),
    moment("updated_at"),
)

# One row: rises whenever a secret that the ingress caches may have changed.
secret_versions = Table(
    "secret_versions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", BigInteger, nullable=False),
)

channels = Table(
    "channels",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_reason", Text),
    # Page id, Instagram id, or the channel's own id for a third party.
    id_column("source_id"),
    id_column("meta_app_id", nullable=True),
    id_column("page_id", nullable=True),
    Column("page_name", Text),
    Column("page_access_token", LargeBinary),
    # Whose login the token came from, app-scoped; none where it was given by hand.
    id_column("connected_by", nullable=True),
    Column("subscribed_fields", ARRAY(Text), nullable=False, server_default="{}"),
    Column("source_name", Text),
    Column("outgoing_webhook_url", Text),
    Column("incoming_token_hash", LargeBinary),
    Column("previous_incoming_token_hash", LargeBinary),
    moment("previous_incoming_token_expires_at", nullable=True),
    Column("signing_secret", LargeBinary),
    Column("previous_signing_secret", LargeBinary),
    moment("previous_signing_secret_expires_at", nullable=True),
    id_column("department_id", nullable=True),
    document("link", default='{"mode": "chat"}'),
    document("routing", nullable=True),
    Column("routing_version", Integer, nullable=False, server_default="1"),
    document("messages", default="{}"),
    document("custom_info", default="{}"),
    # What is known of the picture; itself it is in `channel_icons`.
    document("icon", nullable=True),
    Column("intermission_minutes", Integer, nullable=False, server_default="60"),
    Column("closed_enquiry_policy", Text, nullable=False, server_default="intermission"),
    Column("text_limit", Integer, nullable=False, server_default="2000"),
    Column("human_agent", Boolean, nullable=False, server_default=text("false")),
    Column("media_policy", Text, nullable=False, server_default="platform"),
    Column(
        "inbound_media_types",
        ARRAY(Text),
        nullable=False,
        server_default=text("'{image,audio,video,file}'"),
    ),
    Column("send_deadline_seconds", Integer, nullable=False, server_default="3600"),
    Column("on_unknown_outcome", Text, nullable=False, server_default="ask"),
    Column("on_suspend", Text, nullable=False, server_default="keep"),
    # A live channel holds its source: nobody else can connect it. Deleting or disconnecting by
    # hand frees it; what arrived before then still belongs here.
    Column("holds_source", Boolean, nullable=False, server_default=text("true")),
    moment("connected_at"),
    moment("freed_at", nullable=True),
    moment("token_checked_at", nullable=True),
    # When the token ends by itself, and at how many days left that was told last.
    moment("token_expires_at", nullable=True),
    Column("token_warned_days", Integer),
    # The platform takes nothing until then.
    moment("throttled_until", nullable=True),
    Column("failed_challenges", Integer, nullable=False, server_default="0"),
    Column("version", Integer, nullable=False, server_default="1"),
    moment("created_at"),
    moment("updated_at"),
    moment("deleted_at", nullable=True),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
    ForeignKeyConstraint(["meta_app_id"], ["meta_apps.app_id"]),
    one_of("kind", "messenger", "instagram", "third_party"),
    one_of("status", "active", "degraded", "disconnected", "suspended", "deleted"),
    one_of("closed_enquiry_policy", "intermission", "never", "always"),
    one_of("media_policy", "platform", "strict"),
    one_of("on_unknown_outcome", "ask", "resend"),
    one_of("on_suspend", "keep", "discard"),
    Index("ix_channels_id", "id", unique=True),
    Index(
        "uq_channels_source",
        "kind",
        "source_id",
        unique=True,
        postgresql_where=text("holds_source"),
    ),
    Index("ix_channels_kind_source_id", "kind", "source_id", "freed_at"),
    # Which channels send everything to an endpoint: asked for each endpoint with each event.
    Index(
        "ix_channels_endpoint",
        "account_id",
        text("(link ->> 'endpoint_id')"),
        postgresql_where=text("link ->> 'mode' = 'external_endpoint'"),
    ),
    Index(
        "ix_channels_connected_by",
        "meta_app_id",
        "connected_by",
        postgresql_where=text("holds_source"),
    ),
    Index("ix_channels_page", "meta_app_id", "page_id"),
)

# Apart, so that nobody reads a picture who wants to know of the channel.
channel_icons = Table(
    "channel_icons",
    metadata,
    id_column("account_id", primary_key=True),
    id_column("channel_id", primary_key=True),
    Column("mime_type", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    belongs_to("channels", "channel_id"),
)

agents = Table(
    "agents",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    Column("first_name", Text, nullable=False),
    Column("last_name", Text),
    Column("display_name", Text),
    Column("capacity", Integer, nullable=False, server_default="5"),
    # Empty: the agent serves every channel.
    Column("channel_ids", ARRAY(ID), nullable=False, server_default="{}"),
    Column("presence", Text, nullable=False, server_default="offline"),
    moment("presence_changed_at", nullable=True),
    moment("presence_expires_at", nullable=True),
    moment("last_enquiry_ended_at", nullable=True),
    Column("version", Integer, nullable=False, server_default="1"),
    moment("created_at"),
    moment("updated_at"),
    moment("deleted_at", nullable=True),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
    one_of("presence", "active", "busy", "idle", "offline"),
)

endpoints = Table(
    "endpoints",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("event_types", ARRAY(Text), nullable=False),
    # Empty: every channel.
    Column("channel_ids", ARRAY(ID), nullable=False, server_default="{}"),
    Column("authentication_kind", Text, nullable=False, server_default="none"),
    Column("authentication", LargeBinary),
    # Encrypted JSON, name to value; the names beside it are there to be shown.
    Column("headers", LargeBinary),
    Column("header_names", ARRAY(Text), nullable=False, server_default="{}"),
    Column("ordering", Text, nullable=False, server_default="conversation"),
    Column("lane_hold_seconds", Integer, nullable=False, server_default="900"),
    Column("max_concurrency", Integer, nullable=False, server_default="10"),
    Column("rate_limit", Integer),
    Column("status", Text, nullable=False, server_default="active"),
    Column("status_reason", Text),
    Column("signing_secret", LargeBinary, nullable=False),
    Column("previous_signing_secret", LargeBinary),
    moment("previous_signing_secret_expires_at", nullable=True),
    # Health: since when nothing but failures, how many and when the latest that was noted, when
    # they were told of, and how the last attempt ended.
    moment("failing_since", nullable=True),
    Column("failures", Integer, nullable=False, server_default="0"),
    moment("last_failed_at", nullable=True),
    moment("failing_told_at", nullable=True),
    Column("last_attempt_timed_out", Boolean, nullable=False, server_default=text("false")),
    # It asked not to be called until then.
    moment("throttled_until", nullable=True),
    Column("version", Integer, nullable=False, server_default="1"),
    moment("created_at"),
    moment("updated_at"),
    moment("deleted_at", nullable=True),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
    one_of("ordering", "conversation", "endpoint", "none"),
    one_of("status", "active", "paused", "disabled"),
    one_of("authentication_kind", "none", "bearer", "basic", "header"),
    UniqueConstraint("id"),
)
