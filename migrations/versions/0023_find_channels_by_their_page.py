"""Find channels by their Page, and not only by its app.

The new index begins with the app, so that it does what the one before did.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_channels_page")
        op.execute("CREATE INDEX CONCURRENTLY ix_channels_page ON channels (meta_app_id, page_id)")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_channels_meta_app_id")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_channels_meta_app_id")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_channels_meta_app_id ON channels (meta_app_id)"
            " WHERE holds_source"
        )
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_channels_page")
