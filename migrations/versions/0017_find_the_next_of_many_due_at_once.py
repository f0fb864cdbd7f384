"""Find the next of many deliveries that are due at the same moment.

What was held is released with one due time for all, and a million of them were sorted with each
look for the first hundred. The index is made beside the other, without blocking anybody.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_ROWS = "status = 'pending' AND ready AND due_at IS NOT NULL"


def upgrade() -> None:
    _replace("shard, target_id, due_at, ordinal")


def downgrade() -> None:
    _replace("shard, target_id, due_at")


def _replace(columns: str) -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_deliveries_due_new")
        op.execute(
            f"CREATE INDEX CONCURRENTLY ix_deliveries_due_new ON deliveries ({columns})"
            f" WHERE {_ROWS}"
        )
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_deliveries_due")
        op.execute("ALTER INDEX ix_deliveries_due_new RENAME TO ix_deliveries_due")
