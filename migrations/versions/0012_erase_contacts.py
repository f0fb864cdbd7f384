"""Erase contacts, and keep what people said for as long as an account wants."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Name, expression, and the rows that it holds.
_INDEXES = (
    (
        "ix_events_conversation",
        "conversation_id",
        "conversation_id IS NOT NULL AND position IS NOT NULL",
    ),
    ("ix_events_contact", "(data -> 'contact' ->> 'id')", "type LIKE 'gateway.contact.%'"),
)
_DAYS = text(
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = to_regclass('events')"
)


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.add_column("accounts", sa.Column("retention_days", sa.Integer(), nullable=True))
    op.add_column("contacts", sa.Column("heard_from", moment, nullable=True))
    op.add_column("contacts", sa.Column("erased_at", moment, nullable=True))
    op.create_table(
        "erasures",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("channel_id", sa.Text(collation="C"), nullable=False),
        sa.Column("contact_hash", sa.LargeBinary(), nullable=False),
        sa.Column("erased_at", moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "channel_id"],
            ["channels.account_id", "channels.id"],
            name=op.f("fk_erasures_channels_account_id"),
        ),
        sa.PrimaryKeyConstraint(
            "account_id", "channel_id", "contact_hash", name=op.f("pk_erasures")
        ),
    )
    op.create_table(
        "retention_progress",
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("message_id", sa.Text(collation="C"), nullable=True),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_retention_progress_accounts_account_id")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_retention_progress")),
    )
    _index_events()


def downgrade() -> None:
    for name, *_ in _INDEXES:
        op.execute(f"DROP INDEX IF EXISTS {name}")
    op.drop_table("retention_progress")
    op.drop_table("erasures")
    op.drop_column("contacts", "erased_at")
    op.drop_column("contacts", "heard_from")
    op.drop_column("accounts", "retention_days")


def _index_events() -> None:
    """Index each day without blocking who writes to it, then the whole, which takes them over."""
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute("SET lock_timeout = 0")
        days = list(op.get_bind().execute(_DAYS).scalars())
        for name, columns, where in _INDEXES:
            for day in days:
                of_day = f"{name}_{day}"
                if _is_whole(of_day):
                    continue
                op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {of_day}")
                op.execute(f"CREATE INDEX CONCURRENTLY {of_day} ON {day} ({columns}) WHERE {where}")
            op.execute(f"CREATE INDEX IF NOT EXISTS {name} ON events ({columns}) WHERE {where}")
        op.execute("SET statement_timeout = '60s'")
        op.execute("SET lock_timeout = '5s'")


def _is_whole(name: str) -> bool:
    found = op.get_bind().execute(
        text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"),
        {"name": name},
    )
    return bool(found.scalar_one_or_none())
