"""Private replies: the one message that answers a comment on a post, where its writer reads it.

Meta, "Private replies" of the Messenger Platform: one message a comment, within seven days of it,
not to the Page's own. Who wrote the comment is known to us where they have written to the Page
before; else the reply stands in a conversation of its own, whose contact takes the platform's id
once the reply's echo tells it.
"""

from datetime import datetime
from typing import Final

from gateway.api.parts import ApiParts
from gateway.contracts.inbound import inbound_key
from gateway.db.channels import Channel
from gateway.db.comments import Comment, lock_comment
from gateway.db.conversations import Conversation, lock_conversations
from gateway.db.first_contact import find_known, meet
from gateway.db.messages import Message, get_message
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind
from gateway.domain.conversation import PRIVATE_REPLY_WINDOW, commenter_name
from gateway.domain.message import MessageStatus
from gateway.errors import (
    ConflictError,
    FieldFault,
    InvalidFieldsError,
    MessagingWindowClosedError,
    NotSupportedByChannelError,
)

_POINTER: Final = "/recipient/comment_id"


async def existing_comment(work: UnitOfWork, channel: Channel, comment_id: str) -> Comment:
    """Return a comment on one of a channel's posts under lock; of an unknown one Meta judges.

    Raises:
        NotSupportedByChannelError: The channel has no comments.
        InvalidFieldsError: The Page itself wrote it.
    """
    if channel.kind is ChannelKind.THIRD_PARTY:
        detail = "Only Pages and Instagram accounts have comments."
        raise NotSupportedByChannelError(
            detail, faults=[FieldFault(_POINTER, "not-supported", detail)]
        )
    comment = await lock_comment(
        work.connection, channel.account_id, channel.id, comment_id, now=work.now
    )
    if comment.author_id is not None and comment.author_id == channel.source_id:
        detail = "The channel itself wrote this comment."
        raise InvalidFieldsError(detail, faults=[FieldFault(_POINTER, "own-comment", detail)])
    return comment


async def conversation_of_comment(
    work: UnitOfWork, parts: ApiParts, channel: Channel, comment: Comment
) -> Conversation:
    """Return the conversation with who wrote a comment, under lock."""
    pair = (channel.id, comment.author_id or "")
    known = (await find_known(work, [pair])).get(pair)
    if known is not None:
        wanted = known.conversation_id
        return (await lock_conversations(work, [wanted], account_id=channel.account_id))[wanted]
    name = commenter_name(comment.comment_id)
    key = inbound_key(channel.kind.value, channel.source_id, name)
    partition = await parts.inbound_partition(key)
    _, conversation = await meet(work, channel, name, partition=partition)
    return conversation


async def refuse_comment(
    work: UnitOfWork, comment: Comment, *, again: Message | None = None
) -> None:
    """Pass where a comment may be replied to now; `again` is a reply of it to be sent once more.

    Raises:
        MessagingWindowClosedError: It is older than seven days.
        ConflictError: It has had its reply, or the reply is on its way.
    """
    closes_at = reply_closes_at(comment)
    if closes_at is not None and work.now > closes_at:
        raise MessagingWindowClosedError(
            "A private reply has to be sent within seven days of the comment."
        )
    if comment.message_id is None or (again is not None and again.id == comment.message_id):
        return
    reply = await get_message(work.connection, comment.account_id, comment.message_id)
    if reply is not None and reply.status is not MessageStatus.FAILED:
        raise ConflictError(
            "This comment has had its private reply; each comment gets one. "
            "Wait until the person answers."
        )


def reply_closes_at(comment: Comment) -> datetime | None:
    """Return until when a comment may be replied to; None: when it was written is not known."""
    written_at = comment.commented_at
    return None if written_at is None else written_at + PRIVATE_REPLY_WINDOW
