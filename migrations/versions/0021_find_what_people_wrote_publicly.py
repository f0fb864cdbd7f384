"""Find the events that tell of somebody's comments, posts and reviews of a Page."""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import text

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_NAME = "ix_events_writer"
_WHAT = (
    "(coalesce(data #>> '{comment,author,id}', data #>> '{page_change,value,from,id}',"
    " data #>> '{page_change,value,reviewer_id}'))"
    " WHERE type IN ('gateway.comment.received.v1', 'gateway.page.changed.v1')"
)
_DAYS = text(
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = to_regclass('events')"
)
_IS_WHOLE = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


def upgrade() -> None:
    # Each day without blocking who writes to it, then the whole, which takes them over.
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute("SET lock_timeout = 0")
        for day in list(op.get_bind().execute(_DAYS).scalars()):
            of_day = f"{_NAME}_{day}"
            if op.get_bind().execute(_IS_WHOLE, {"name": of_day}).scalar_one_or_none():
                continue
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {of_day}")
            op.execute(f"CREATE INDEX CONCURRENTLY {of_day} ON {day} {_WHAT}")
        op.execute(f"CREATE INDEX IF NOT EXISTS {_NAME} ON events {_WHAT}")
        op.execute("SET statement_timeout = '60s'")
        op.execute("SET lock_timeout = '5s'")


def downgrade() -> None:
    op.execute(f"DROP INDEX IF EXISTS {_NAME}")
