"""Takes the request that a contact be erased; routing does the rest, by a timer."""

from typing import Any, Final

from gateway.db.channels import Channel, get_channel
from gateway.db.comment_erasures import find_writer
from gateway.db.contacts import Contact, get_contact, lock_person
from gateway.db.conversation_views import find_conversations_with
from gateway.db.conversations import lock_conversations
from gateway.db.erasures import Subject, note_erasure
from gateway.db.errands import clear_errand
from gateway.db.timers import set_timer
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.conversation import comment_of
from gateway.errors import NotFoundError
from gateway.messaging.contact_profiles import CONTACT_PROFILE

ERASE_TIMER: Final = "erase"


async def request_erasure(work: UnitOfWork, account_id: str, contact_id: str) -> bool:
    """Forget a contact from now on; what it said goes within seconds.

    Doing so twice does no harm: False says that it was asked for before.

    Raises:
        NotFoundError: The account never had such a contact.
    """
    contact = await get_contact(work.connection, account_id, contact_id)
    if contact is None:
        raise NotFoundError("There is no such contact.")
    conversations = await find_conversations_with(work.connection, account_id, contact.id)
    await lock_conversations(work, conversations.values(), account_id=account_id)
    # One that turned out to be this contact is gone with it.
    people = await lock_person(work.connection, account_id, contact.id)
    channel = await get_channel(work.connection, account_id, contact.channel_id)
    assert channel is not None
    asked = False
    for each in people:
        if each.erased_at is None and each.id in conversations:
            await _erase(work, channel, each, conversations[each.id])
            asked = True
    return asked


async def _erase(
    work: UnitOfWork, channel: Channel, contact: Contact, conversation_id: str
) -> None:
    writer_id = await _writer_id(work, contact)
    await note_erasure(work.connection, contact, writer_id=writer_id, at=work.now)
    await clear_errand(
        work, account_id=contact.account_id, kind=CONTACT_PROFILE, subject_id=contact.id
    )
    subject = Subject(
        account_id=contact.account_id,
        channel_id=channel.id,
        contact_id=contact.id,
        conversation_id=conversation_id,
        kind=channel.kind.value,
        source_id=channel.source_id,
        source_contact_id=contact.source_contact_id,
        writer_id=writer_id,
    )
    await set_timer(
        work,
        account_id=contact.account_id,
        kind=ERASE_TIMER,
        subject_id=contact.id,
        conversation_id=conversation_id,
        due_at=work.now,
        data=as_data(subject),
    )


def as_data(subject: Subject) -> dict[str, Any]:
    """Return what the timer has to know; it goes with the timer."""
    return {
        "channel_id": subject.channel_id,
        "kind": subject.kind,
        "source_id": subject.source_id,
        "source_contact_id": subject.source_contact_id,
        "writer_id": subject.writer_id,
    }


async def _writer_id(work: UnitOfWork, contact: Contact) -> str:
    """Return what the source calls a contact as a writer of comments."""
    comment_id = comment_of(contact.source_contact_id)
    if comment_id is None:
        return contact.source_contact_id
    found = await find_writer(work.connection, contact.account_id, contact.channel_id, comment_id)
    return found or contact.source_contact_id
