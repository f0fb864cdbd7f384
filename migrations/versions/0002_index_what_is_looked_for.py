"""Index what is looked for in big tables, and drop indexes that nothing uses.

Forward only. Indexes of tables that roles write to are made without blocking them, outside of a
transaction: what an earlier, broken run left half-made is dropped first. The table of events is
partitioned, which does not allow that, and is not given one.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Name, table, columns, and the rows that it holds.
_INDEXES = (
    ("ix_channels_endpoint", "channels", "account_id, (link ->> 'endpoint_id')",
     "link ->> 'mode' = 'external_endpoint'"),
    ("ix_channels_meta_app_id", "channels", "meta_app_id", "holds_source"),
    ("ix_contacts_channel", "contacts", "channel_id, id", None),
    ("ix_contacts_blocked", "contacts", "account_id, id", "blocked_at IS NOT NULL"),
    ("ix_conversations_channel_active", "conversations",
     "channel_id, coalesce(last_message_at, created_at), id", None),
    ("ix_conversations_contact", "conversations", "contact_id", None),
    ("ix_messages_occurred", "messages", "conversation_id, occurred_at, sequence", None),
    ("ix_messages_unsent_automatic", "messages", "account_id, conversation_id",
     "status = 'accepted' AND automation_cause IS NOT NULL"),
    ("ix_enquiries_channel", "enquiries", "channel_id, id", None),
    ("ix_enquiries_contact", "enquiries", "contact_id, id", None),
    ("ix_enquiries_agent_all", "enquiries", "agent_id, id", "agent_id IS NOT NULL"),
    ("ix_enquiries_destination", "enquiries", "(destination ->> 'id'), id",
     "destination IS NOT NULL"),
    ("ix_enquiries_opened", "enquiries", "account_id, opened_at", None),
    ("ix_enquiries_inside", "enquiries", "account_id",
     "status IN ('open', 'offered', 'ongoing') AND queued_at IS NULL"),
    ("ix_deliveries_event", "deliveries", "event_id, target_id", "event_id IS NOT NULL"),
    ("ix_deliveries_unfinished_day", "deliveries", "event_created_at",
     "kind = 'event' AND status IN ('pending', 'sending', 'uncertain')"),
    ("ix_dead_letters_reason", "dead_letters", "account_id, reason, id", None),
    ("ix_dead_letters_stage", "dead_letters", "account_id, stage, id", None),
    ("ix_dead_letters_event_created_at", "dead_letters", "event_created_at",
     "event_created_at IS NOT NULL"),
    ("ix_parked_owner", "parked", "owner_channel_id", "owner_channel_id IS NOT NULL"),
)  # fmt: skip


def upgrade() -> None:
    op.execute("ALTER TABLE dead_letters ADD COLUMN IF NOT EXISTS event_created_at timestamptz")
    op.execute(
        """
        UPDATE dead_letters l SET event_created_at = d.event_created_at
        FROM deliveries d WHERE d.id = l.delivery_id AND d.event_created_at IS NOT NULL
        """
    )
    for unused in ("ix_events_id", "ix_enquiries_conversation"):
        op.execute(f"DROP INDEX IF EXISTS {unused}")
    with op.get_context().autocommit_block():
        # It takes seconds for a million rows, minutes for many, and waits for older transactions
        # to end. Nobody waits for it meanwhile.
        op.execute("SET statement_timeout = 0")
        op.execute("SET lock_timeout = 0")
        for name, table, columns, rows in _INDEXES:
            if _is_whole(name):
                continue
            where = "" if rows is None else f" WHERE {rows}"
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {table} ({columns}){where}")
        op.execute("SET statement_timeout = '60s'")
        op.execute("SET lock_timeout = '5s'")


def _is_whole(name: str) -> bool:
    found = op.get_bind().execute(
        sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"),
        {"name": name},
    )
    return bool(found.scalar_one_or_none())
