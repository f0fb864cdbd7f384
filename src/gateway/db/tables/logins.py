"""Facebook Login: logins on their way, and the Page tokens that they brought."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from gateway.db.tables.base import ID, document, id_column, metadata, moment, one_of

facebook_logins = Table(
    "facebook_logins",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    id_column("meta_app_id"),
    # The API key that began it.
    id_column("key_id"),
    # The channel that is to be re-authenticated, if it is about one.
    id_column("channel_id", nullable=True),
    Column("return_url", Text),
    Column("state", Text, nullable=False),
    # What went wrong, as the caller is shown it.
    document("error", nullable=True),
    # Meta asks again for what was declined only when told to.
    Column("asks_again", Boolean, nullable=False, server_default=text("false")),
    # SHA-256 of the cookie of the browser that began it, and of what Meta sends back; the latter
    # is taken away by its use.
    Column("browser_hash", LargeBinary),
    Column("nonce_hash", LargeBinary),
    # Of the person who logged in: app-scoped, neither a Page's nor a visitor's id.
    id_column("user_id", nullable=True),
    Column("scopes", ARRAY(Text), nullable=False, server_default="{}"),
    # [{"page_id", "name", "tasks", "instagram_id"}], tokens apart.
    document("pages", default="[]"),
    # Channels of this account whose Pages the grant left out.
    Column("lost", ARRAY(ID), nullable=False, server_default="{}"),
    moment("expires_at"),
    moment("created_at"),
    moment("updated_at"),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
    ForeignKeyConstraint(["meta_app_id"], ["meta_apps.app_id"]),
    one_of("state", "started", "granted", "denied", "failed", "expired", "finished"),
    Index("ix_facebook_logins_id", "id", unique=True),
    Index("ix_facebook_logins_user_id", "meta_app_id", "user_id"),
    Index("ix_facebook_logins_account_id_created_at", "account_id", "meta_app_id", "created_at"),
)

page_tokens = Table(
    "page_tokens",
    metadata,
    id_column("account_id", primary_key=True),
    id_column("meta_app_id", primary_key=True),
    id_column("page_id", primary_key=True),
    # Each administrator's own: when one's ends, another's takes over.
    id_column("user_id", primary_key=True),
    Column("token", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False, server_default="{}"),
    moment("expires_at", nullable=True),
    moment("granted_at"),
    ForeignKeyConstraint(["account_id"], ["accounts.id"]),
    ForeignKeyConstraint(["meta_app_id"], ["meta_apps.app_id"]),
    Index("ix_page_tokens_user_id", "meta_app_id", "user_id"),
)
