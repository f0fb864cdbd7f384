"""Count how often endpoints fail on end, and remember that it was told of."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column(
        "endpoints", sa.Column("failures", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("endpoints", sa.Column("last_failed_at", MOMENT, nullable=True))
    op.add_column("endpoints", sa.Column("failing_told_at", MOMENT, nullable=True))


def downgrade() -> None:
    op.drop_column("endpoints", "failing_told_at")
    op.drop_column("endpoints", "last_failed_at")
    op.drop_column("endpoints", "failures")
