"""Keep whose media is, and what Pages have with Meta."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ID = sa.Text(collation="C")


def upgrade() -> None:
    op.add_column("media", sa.Column("contact_id", ID, nullable=True))
    op.create_index("ix_media_created_at", "media", ["account_id", "created_at"], unique=False)
    op.create_index(
        "ix_media_contact",
        "media",
        ["contact_id"],
        unique=False,
        postgresql_where=sa.text("contact_id IS NOT NULL"),
    )
    op.create_table(
        "page_attachments",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("channel_id", ID, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("attachment_id", ID, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('image', 'audio', 'video', 'file')", name=op.f("ck_page_attachments_kind")
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "channel_id"],
            ["channels.account_id", "channels.id"],
            name=op.f("fk_page_attachments_channels_account_id_channel_id"),
        ),
        sa.PrimaryKeyConstraint(
            "account_id", "channel_id", "sha256", "kind", name=op.f("pk_page_attachments")
        ),
    )
    op.create_index(
        "ix_page_attachments_created_at", "page_attachments", ["created_at"], unique=False
    )


def downgrade() -> None:
    op.drop_table("page_attachments")
    op.drop_index("ix_media_contact", table_name="media")
    op.drop_index("ix_media_created_at", table_name="media")
    op.drop_column("media", "contact_id")
