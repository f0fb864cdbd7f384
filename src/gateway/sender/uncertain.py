"""Ends the wait for an echo: a person decides, or the message is sent again.

A message is sent again by itself only where its channel says so, echoes are subscribed to, none
came, and Meta's own conversation, looked up successfully, does not show it.
"""

from typing import Final

import structlog

from gateway.db.channels import get_channel
from gateway.db.conversations import Conversation, lock_conversations
from gateway.db.deliveries import Delivery, Due, lock_deliveries, save_deliveries
from gateway.db.lanes import promote_lanes
from gateway.db.messages import Message, get_message
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.domain.delivery import DeliveryStatus
from gateway.domain.message import MessageStatus
from gateway.errors import UpstreamFailedError
from gateway.messaging.lookup import lookup_message
from gateway.messaging.settlement import resend_message, settle_from_echo
from gateway.messaging.transitions import announce_message
from gateway.meta.conversations import Lookup, NotShown, Shown, Unclear
from gateway.meta.graph import GraphClient
from gateway.sender.metrics import UNCERTAIN

ECHOES: Final = "message_echoes"

log = structlog.get_logger()


async def end_wait(database: Database, graph: GraphClient, delivery: Delivery) -> list[Due]:
    """End the wait of one delivery; return what its lane lets go."""
    async with database.unit_of_work() as work:
        channel = await get_channel(work.connection, delivery.account_id, delivery.target_id)
        message = await get_message(work.connection, delivery.account_id, delivery.message_id or "")
    if channel is None or message is None:
        return []
    lookup: Lookup = Unclear()
    if channel.on_unknown_outcome == "resend" and ECHOES in channel.subscribed_fields:
        try:
            lookup = await lookup_message(database, graph, channel, message)
        except UpstreamFailedError:
            log.info("uncertain.not_looked_up", message_id=message.id)
    async with database.unit_of_work() as work:
        return await _decide(work, delivery, lookup)


async def _decide(work: UnitOfWork, claimed: Delivery, lookup: Lookup) -> list[Due]:
    conversations = await lock_conversations(
        work, [claimed.conversation_id or ""], account_id=claimed.account_id
    )
    conversation = conversations[claimed.conversation_id or ""]
    channel = await get_channel(work.connection, claimed.account_id, claimed.target_id)
    message = await get_message(work.connection, claimed.account_id, claimed.message_id or "")
    row = (await lock_deliveries(work.connection, [claimed.id])).get(claimed.id)
    assert channel is not None
    if message is None or row is None or not _still_waits(message, row):
        return []
    match lookup:
        case Shown(mid, created_at):
            UNCERTAIN.labels("shown").inc()
            await settle_from_echo(
                work,
                conversation,
                message,
                attempt=row.attempt,
                mid=mid,
                platform_at=created_at,
            )
        case NotShown():
            UNCERTAIN.labels("resend").inc()
            await resend_message(work, conversation, channel, message)
        case Unclear():
            UNCERTAIN.labels("ask").inc()
            await _ask(work, conversation, message, row)
    return await promote_lanes(work.connection, {(row.target_id, row.lane)})


def _still_waits(message: Message, row: Delivery) -> bool:
    uncertain = message.status is MessageStatus.UNCERTAIN
    return uncertain and row.status is DeliveryStatus.UNCERTAIN and row.holds_lane


async def _ask(
    work: UnitOfWork, conversation: Conversation, message: Message, row: Delivery
) -> None:
    """Leave it to a person or a back end; an echo may still tell, however late."""
    row.holds_lane = False
    await save_deliveries(work.connection, [row])
    announce_message(
        work,
        conversation,
        message,
        "gateway.message.uncertain.v1",
        needs_decision=True,
    )
