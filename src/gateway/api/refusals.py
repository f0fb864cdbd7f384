"""What keeps a message from being sent, in the order in which it is told.

Deleted, suspended, blocked, thread, window; the content comes last, and is not looked at here.
"""

from typing import Final

from gateway.db.channels import Channel
from gateway.db.contacts import Contact
from gateway.db.conversations import Conversation
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelStatus, has_window
from gateway.domain.conversation import (
    WINDOW_CLOSED_SENTENCE,
    ThreadOwner,
    WindowState,
    window_at,
)
from gateway.domain.message import AuthorKind
from gateway.errors import (
    ChannelDeletedError,
    ChannelSuspendedError,
    ConflictError,
    ContactBlockedError,
    MessagingWindowClosedError,
    ThreadOwnedElsewhereError,
)
from gateway.messaging.thread_ownership import owner_at

HUMAN_AGENT_TAG: Final = "HUMAN_AGENT"


def refuse_channel(channel: Channel) -> None:
    """Pass where a channel takes messages, even if only to keep them for a while.

    Raises:
        ChannelDeletedError: It is deleted.
        ChannelSuspendedError: It is suspended.
    """
    if channel.status is ChannelStatus.DELETED:
        raise ChannelDeletedError("The channel is deleted.")
    if channel.status is ChannelStatus.SUSPENDED:
        raise ChannelSuspendedError("The channel is suspended.")


def refuse_contact(contact: Contact) -> None:
    """Pass where a contact is neither erased nor blocked.

    Raises:
        ConflictError: It is erased.
        ContactBlockedError: It is blocked.
    """
    if contact.erased_at is not None:
        raise ConflictError("The contact was erased.")
    if contact.blocked:
        raise ContactBlockedError("The contact is blocked.")


def refuse_thread(
    work: UnitOfWork,
    conversation: Conversation,
    channel: Channel,
    *,
    author_kind: AuthorKind,
    take_thread: bool,
) -> None:
    """Pass where nobody else has the thread, or the message is to take it.

    A person in the Page's inbox is in the way of robots only.

    Raises:
        ThreadOwnedElsewhereError: Somebody else has it.
    """
    if not has_window(channel.kind) or take_thread:
        return
    match owner_at(conversation, work.now):
        case ThreadOwner.OTHER_APP:
            raise ThreadOwnedElsewhereError("Another app has the thread at Meta.")
        case ThreadOwner.PAGE_INBOX if author_kind is AuthorKind.BOT:
            raise ThreadOwnedElsewhereError("A person in the Page's inbox has the thread.")
        case _:
            return


def refuse_window(
    work: UnitOfWork, conversation: Conversation, channel: Channel, *, tag: str | None
) -> None:
    """Pass where the messaging window is open for this message.

    Raises:
        MessagingWindowClosedError: It is not.
    """
    if not has_window(channel.kind):
        return
    window = window_at(
        work.now,
        kind=channel.kind,
        last_action_at=conversation.last_action_at,
        human_agent=channel.human_agent,
    )
    if tag == HUMAN_AGENT_TAG:
        may = channel.human_agent and window.state is not WindowState.CLOSED
    else:
        may = window.state is WindowState.OPEN
    if not may:
        raise MessagingWindowClosedError(WINDOW_CLOSED_SENTENCE)
