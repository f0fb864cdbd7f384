"""What contacts are called: asked for when they write, written down when it is known."""

from collections.abc import Mapping
from typing import Final

from gateway.db.channels import Channel
from gateway.db.contacts import get_contact, note_profile
from gateway.db.errands import NewErrand
from gateway.db.first_contact import Known, update_profile
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.contact_profile import profile_is_due

CONTACT_PROFILE: Final = "contact_profile"


def profile_errand(
    work: UnitOfWork, channel: Channel, known: Known, source_contact_id: str
) -> NewErrand | None:
    """Return the errand that asks what a contact who has just written is called, if it is due."""
    due = profile_is_due(
        channel.kind,
        source_contact_id,
        named=known.name is not None,
        asked_at=known.profile_fetched_at,
        now=work.now,
    )
    if not due or known.blocked:
        return None
    return NewErrand(
        account_id=channel.account_id,
        kind=CONTACT_PROFILE,
        subject_id=known.contact_id,
        conversation_id=known.conversation_id,
        due_at=work.now,
    )


async def take_profile(
    work: UnitOfWork, channel: Channel, contact_id: str, profile: Mapping[str, str]
) -> None:
    """Write down what a contact is called, and that it was asked for; what changed is told.

    Nothing is written of who was erased meanwhile.
    """
    contact = await get_contact(work.connection, channel.account_id, contact_id, lock=True)
    if contact is None or contact.erased_at is not None:
        return
    await update_profile(work, channel, contact.id, profile)
    await note_profile(work.connection, contact, at=work.now)
