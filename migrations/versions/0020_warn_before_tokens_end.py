"""Warn before tokens end."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "channels", sa.Column("token_expires_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("channels", sa.Column("token_warned_days", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("channels", "token_warned_days")
    op.drop_column("channels", "token_expires_at")
