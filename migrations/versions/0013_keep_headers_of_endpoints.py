"""Keep headers that endpoints want in each call."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("endpoints", sa.Column("headers", sa.LargeBinary(), nullable=True))
    op.add_column(
        "endpoints",
        sa.Column("header_names", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
    )


def downgrade() -> None:
    op.drop_column("endpoints", "header_names")
    op.drop_column("endpoints", "headers")
