"""Find the reruns that ended long ago, to delete them."""

from collections.abc import Sequence

from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_reruns_finished_at")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_reruns_finished_at ON reruns (finished_at)"
            " WHERE finished_at IS NOT NULL"
        )


def downgrade() -> None:
    op.drop_index("ix_reruns_finished_at", table_name="reruns")
