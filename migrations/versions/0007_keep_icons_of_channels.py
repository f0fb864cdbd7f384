"""Keep icons of channels."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ID = sa.Text(collation="C")


def upgrade() -> None:
    op.add_column("channels", sa.Column("icon", postgresql.JSONB(none_as_null=True), nullable=True))
    op.create_table(
        "channel_icons",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("channel_id", ID, nullable=False),
        sa.Column("mime_type", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "channel_id"],
            ["channels.account_id", "channels.id"],
            name=op.f("fk_channel_icons_channels_account_id_channel_id"),
        ),
        sa.PrimaryKeyConstraint("account_id", "channel_id", name=op.f("pk_channel_icons")),
    )


def downgrade() -> None:
    op.drop_table("channel_icons")
    op.drop_column("channels", "icon")
