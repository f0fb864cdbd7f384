"""Keep comments that may get a private reply."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ID = sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "comments",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("channel_id", ID, nullable=False),
        sa.Column("comment_id", ID, nullable=False),
        sa.Column("author_id", ID, nullable=True),
        sa.Column("commented_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("message_id", ID, nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "channel_id"],
            ["channels.account_id", "channels.id"],
            name=op.f("fk_comments_channels_account_id_channel_id"),
        ),
        sa.PrimaryKeyConstraint("account_id", "channel_id", "comment_id", name=op.f("pk_comments")),
    )
    op.create_index("ix_comments_expires_at", "comments", ["expires_at"])
    op.create_index(
        "ix_comments_message_id",
        "comments",
        ["message_id"],
        postgresql_where=sa.text("message_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("comments")
