"""Asks Meta's own conversation whether it shows a message whose outcome nobody knows."""

from datetime import timedelta
from typing import Final

from sqlalchemy import select

from gateway.db.channels import Channel
from gateway.db.messages import Message
from gateway.db.sending import find_recipients
from gateway.db.tables import messages
from gateway.db.unit_of_work import Database
from gateway.domain.channel import ChannelKind
from gateway.domain.message import Direction
from gateway.messaging.page_access import get_page_access
from gateway.messaging.resources import content_on_the_wire
from gateway.meta.conversations import Lookup, find_message
from gateway.meta.graph import GraphClient, PageAccess

LOOKUP_BUDGET: Final = timedelta(seconds=10)
# As far back as a thread's newest messages may reach.
_KNOWN_MESSAGES: Final = 200


async def lookup_message(
    database: Database, graph: GraphClient, channel: Channel, message: Message
) -> Lookup:
    """Return whether Meta's conversation shows a message; outside of any transaction.

    Raises:
        UpstreamFailedError: Meta did not answer, or would not tell.
    """
    access, contact_id, known_mids = await _facts(database, channel, message)
    thread = await graph.read_thread(
        access,
        contact_id,
        instagram=channel.kind is ChannelKind.INSTAGRAM,
        budget=LOOKUP_BUDGET,
    )
    content = content_on_the_wire(message)
    text = content.get("text") if content.get("type") == "text" else None
    return find_message(
        thread,
        text=text if isinstance(text, str) else None,
        since=message.accepted_at,
        known_mids=known_mids,
    )


async def _facts(
    database: Database, channel: Channel, message: Message
) -> tuple[PageAccess, str, set[str]]:
    async with database.unit_of_work() as work:
        access = await get_page_access(work, channel)
        recipients = await find_recipients(work.connection, [message.conversation_id])
        contact_id = recipients[message.conversation_id].source_contact_id
        known = (
            select(messages.c.source_message_id)
            .where(
                messages.c.account_id == message.account_id,
                messages.c.conversation_id == message.conversation_id,
                messages.c.direction == Direction.OUTBOUND,
                messages.c.source_message_id.is_not(None),
                messages.c.id != message.id,
            )
            .order_by(messages.c.sequence.desc())
            .limit(_KNOWN_MESSAGES)
        )
        known_mids = set((await work.connection.execute(known)).scalars())
        return access, contact_id, known_mids
