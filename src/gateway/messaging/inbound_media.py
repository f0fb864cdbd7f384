"""Media of messages from outside: wanted when they arrive, kept when they have been fetched."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from gateway.db.conversations import Conversation, lock_conversations
from gateway.db.errands import NewErrand, set_errands
from gateway.db.media import Media, insert_media, take_media
from gateway.db.messages import Message, get_message
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.domain.inbound_media import (
    KINDS,
    any_pending,
    is_pending,
    make_ready,
    make_unavailable,
    take_in,
)
from gateway.messaging.contents import describe_media
from gateway.messaging.files import remove_files
from gateway.messaging.transitions import announce_message

FETCH_ERRAND: Final = "media_fetch"
READY: Final = "gateway.message.media_ready.v1"


async def want_media(
    work: UnitOfWork, message: Message, *, accepted: Collection[str] = KINDS
) -> None:
    """Let the files of a message that is about to be stored be fetched.

    What the channel does not take is left out, and the message's content says so.
    """
    attachments = message.content.get("attachments")
    if not isinstance(attachments, list) or not attachments:
        return
    arrived = take_in(attachments, accepted=accepted)
    message.content = {**message.content, "attachments": arrived.attachments}
    await set_errands(work, [_errand(message, place, due_at=work.now) for place in arrived.wanted])


async def keep_fetched(
    work: UnitOfWork, account_id: str, message_id: str, place: int, media: Media
) -> None:
    """Let a message show a file that now lies in the store; one that nobody waits for goes."""
    found = await _lock(work, account_id, message_id)
    if found is None or not is_pending(found[1].content.get("attachments"), place):
        # It was taken back or erased meanwhile.
        await remove_files(work, [media])
        return
    conversation, message = found
    owned = replace(media, contact_id=conversation.contact_id)
    await insert_media(work.connection, owned)
    ready = make_ready(message.content["attachments"][place], describe_media(owned))
    await _write(work, conversation, message, place, ready)


async def give_up_fetching(
    work: UnitOfWork, account_id: str, message_id: str, place: int, *, reason: str
) -> None:
    """Let a message say why it has no file."""
    found = await _lock(work, account_id, message_id)
    if found is None or not is_pending(found[1].content.get("attachments"), place):
        return
    conversation, message = found
    attachment = make_unavailable(message.content["attachments"][place], reason)
    await _write(work, conversation, message, place, attachment)


async def drop_media(work: UnitOfWork, message: Message) -> None:
    """Delete the files that the contact sent with a message which is taken back."""
    attachments = message.content.get("attachments")
    named = [
        each["media_id"]
        for each in (attachments if isinstance(attachments, list) else ())
        if isinstance(each, dict) and isinstance(each.get("media_id"), str)
    ]
    # What an account uploaded may be in other messages, too, and stays.
    await remove_files(work, await take_media(work.connection, message.account_id, named))


async def _lock(
    work: UnitOfWork, account_id: str, message_id: str
) -> tuple[Conversation, Message] | None:
    seen = await get_message(work.connection, account_id, message_id)
    if seen is None:
        return None
    locked = await lock_conversations(work, [seen.conversation_id], account_id=account_id)
    message = await get_message(work.connection, account_id, message_id)
    conversation = locked.get(seen.conversation_id)
    return None if message is None or conversation is None else (conversation, message)


async def _write(
    work: UnitOfWork,
    conversation: Conversation,
    message: Message,
    place: int,
    attachment: dict[str, Any],
) -> None:
    attachments: Sequence[Any] = [
        attachment if n == place else each for n, each in enumerate(message.content["attachments"])
    ]
    content = {**message.content, "attachments": attachments}
    await work.change_message(message, content=content)
    if not any_pending(attachments):
        announce_message(work, conversation, message, READY)


def _errand(message: Message, place: int, *, due_at: datetime) -> NewErrand:
    return NewErrand(
        account_id=message.account_id,
        kind=FETCH_ERRAND,
        subject_id=f"{message.id}.{place}",
        due_at=due_at,
        shard_by=message.conversation_id,
        conversation_id=message.conversation_id,
        # Named now, so that every attempt writes to the same place of the store.
        data={"message_id": message.id, "place": place, "media_id": ids.new_id(ids.MEDIA)},
    )
