"""Keep what was said automatically, and the names under which agents wrote."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "conversations",
        sa.Column(
            "automatic_at",
            postgresql.ARRAY(sa.DateTime(timezone=True)),
            server_default="{}",
            nullable=False,
        ),
    )
    op.add_column("messages", sa.Column("display_name", sa.Text(), nullable=True))
    op.add_column("enquiries", sa.Column("away_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("enquiries", "away_at")
    op.drop_column("messages", "display_name")
    op.drop_column("conversations", "automatic_at")
