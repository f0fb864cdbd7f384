"""The life of a message: its states and the arrows between them."""

from enum import StrEnum
from typing import Final

# What is left of a message: its contact was erased, or it is past its account's retention.
EMPTIED_TYPES: Final = frozenset({"erased", "expired"})


class Direction(StrEnum):
    """Which way a message goes, seen from the gateway."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class AuthorKind(StrEnum):
    """Who wrote a message."""

    CONTACT = "contact"
    AGENT = "agent"
    BOT = "bot"
    SYSTEM = "system"
    PAGE = "page"


class MessageStatus(StrEnum):
    """Where a message stands; a message is in exactly one state."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    UNCERTAIN = "uncertain"


ARROWS: Final[dict[MessageStatus, frozenset[MessageStatus]]] = {
    MessageStatus.RECEIVED: frozenset(),
    MessageStatus.ACCEPTED: frozenset(
        {MessageStatus.SENDING, MessageStatus.FAILED, MessageStatus.SENT}
    ),
    MessageStatus.SENDING: frozenset(
        {
            MessageStatus.ACCEPTED,
            MessageStatus.SENT,
            MessageStatus.FAILED,
            MessageStatus.UNCERTAIN,
        }
    ),
    MessageStatus.UNCERTAIN: frozenset(
        {MessageStatus.SENT, MessageStatus.ACCEPTED, MessageStatus.FAILED}
    ),
    MessageStatus.SENT: frozenset(
        {MessageStatus.DELIVERED, MessageStatus.READ, MessageStatus.FAILED}
    ),
    MessageStatus.DELIVERED: frozenset({MessageStatus.READ}),
    MessageStatus.READ: frozenset(),
    MessageStatus.FAILED: frozenset({MessageStatus.ACCEPTED, MessageStatus.SENT}),
}


def may_move(source: MessageStatus, target: MessageStatus) -> bool:
    """Say whether an outbound message may move from one state to another."""
    return target in ARROWS[source]
