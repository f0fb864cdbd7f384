"""Keep logins, and who connected a channel."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ID = sa.Text(collation="C")
MOMENT = sa.DateTime(timezone=True)
JSON = postgresql.JSONB(none_as_null=True)
NONE = sa.text("'{}'")


def upgrade() -> None:
    op.create_table(
        "facebook_logins",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("meta_app_id", ID, nullable=False),
        sa.Column("key_id", ID, nullable=False),
        sa.Column("channel_id", ID, nullable=True),
        sa.Column("return_url", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("error", JSON, nullable=True),
        sa.Column("asks_again", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("browser_hash", sa.LargeBinary(), nullable=True),
        sa.Column("nonce_hash", sa.LargeBinary(), nullable=True),
        sa.Column("user_id", ID, nullable=True),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), server_default=NONE, nullable=False),
        sa.Column("pages", JSON, server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("lost", postgresql.ARRAY(ID), server_default=NONE, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "state IN ('started', 'granted', 'denied', 'failed', 'expired', 'finished')",
            name=op.f("ck_facebook_logins_state"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_facebook_logins_accounts_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["meta_app_id"],
            ["meta_apps.app_id"],
            name=op.f("fk_facebook_logins_meta_apps_meta_app_id"),
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_facebook_logins")),
    )
    op.create_index("ix_facebook_logins_id", "facebook_logins", ["id"], unique=True)
    op.create_index("ix_facebook_logins_user_id", "facebook_logins", ["meta_app_id", "user_id"])
    op.create_index(
        "ix_facebook_logins_account_id_created_at",
        "facebook_logins",
        ["account_id", "meta_app_id", "created_at"],
    )
    op.create_table(
        "page_tokens",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("meta_app_id", ID, nullable=False),
        sa.Column("page_id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), server_default=NONE, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("granted_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_page_tokens_accounts_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["meta_app_id"],
            ["meta_apps.app_id"],
            name=op.f("fk_page_tokens_meta_apps_meta_app_id"),
        ),
        sa.PrimaryKeyConstraint(
            "account_id", "meta_app_id", "page_id", "user_id", name=op.f("pk_page_tokens")
        ),
    )
    op.create_index("ix_page_tokens_user_id", "page_tokens", ["meta_app_id", "user_id"])
    op.add_column("channels", sa.Column("connected_by", ID, nullable=True))
    op.create_index(
        "ix_channels_connected_by",
        "channels",
        ["meta_app_id", "connected_by"],
        postgresql_where=sa.text("holds_source"),
    )


def downgrade() -> None:
    op.drop_index("ix_channels_connected_by", "channels")
    op.drop_column("channels", "connected_by")
    op.drop_table("page_tokens")
    op.drop_table("facebook_logins")
