"""Finds out whether a message that is to be sent again is there already."""

from typing import Final

from gateway.api.parts import ApiParts
from gateway.db.channels import Channel
from gateway.db.conversations import Conversation
from gateway.db.delivery_views import find_attempts_of_message
from gateway.db.messages import Message
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind
from gateway.domain.message import ARROWS, Direction, MessageStatus
from gateway.errors import IllegalTransitionError, UpstreamFailedError
from gateway.http.exchange import Exchange
from gateway.messaging.lookup import lookup_message
from gateway.messaging.settlement import settle_from_conversation
from gateway.meta.conversations import Lookup, NotShown, Shown

_RESENDABLE: Final = (MessageStatus.FAILED, MessageStatus.UNCERTAIN)


def check_resendable(message: Message) -> None:
    """Pass where a message failed, or nobody knows.

    Raises:
        IllegalTransitionError: It is neither.
    """
    if message.direction is Direction.INBOUND or message.status not in _RESENDABLE:
        raise IllegalTransitionError(
            f"The message is {message.status}.",
            extra={
                "state": message.status.value,
                "allowed": sorted(each.value for each in ARROWS[message.status]),
            },
        )


async def look_up(
    exchange: Exchange, parts: ApiParts, channel: Channel, message: Message
) -> Lookup:
    """Return whether Meta's conversation shows a message.

    Raises:
        UpstreamFailedError: Nobody knows whether the message was sent, and Meta does not tell.
    """
    if channel.kind is ChannelKind.THIRD_PARTY or message.comment_id is not None:
        return NotShown()
    uncertain = message.status is MessageStatus.UNCERTAIN
    if not uncertain:
        async with exchange.glance() as work:
            attempts = await find_attempts_of_message(
                work.connection, message.account_id, message.id
            )
        if not attempts:
            # It never left.
            return NotShown()
    try:
        return await lookup_message(exchange.database, parts.graph, channel, message)
    except UpstreamFailedError:
        if uncertain:
            raise
        return NotShown()


async def note_shown(
    work: UnitOfWork, conversation: Conversation, message: Message, shown: Shown
) -> None:
    """Take Meta's word that a message was sent, by its latest attempt."""
    await settle_from_conversation(
        work, conversation, message, mid=shown.mid, platform_at=shown.created_at
    )
