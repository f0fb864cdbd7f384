"""Merges a contact into another: both turned out to be one person.

Nothing that was said moves: numbers order messages, events and lanes, and what is on its way is
settled where it was accepted. So the former conversation stays as it is and goes on in the other,
and the former contact's id leads to the one that is left.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from gateway.db.channels import Channel
from gateway.db.first_contact import Known, announce_contact
from gateway.db.unit_of_work import UnitOfWork

_INTO: Final = text(
    """
    UPDATE contacts c
    SET name = coalesce(c.name, f.name), first_name = coalesce(c.first_name, f.first_name),
        last_name = coalesce(c.last_name, f.last_name), email = coalesce(c.email, f.email),
        phone = coalesce(c.phone, f.phone), avatar_url = coalesce(c.avatar_url, f.avatar_url),
        locale = coalesce(c.locale, f.locale), attributes = f.attributes || c.attributes,
        blocked_at = coalesce(c.blocked_at, f.blocked_at), updated_at = :now,
        version = c.version + 1
    FROM contacts f
    WHERE c.account_id = :account_id AND c.id = :into
      AND f.account_id = :account_id AND f.id = :former
    RETURNING c.*
    """
)
_FORMER: Final = text(
    """
    UPDATE contacts
    SET name = NULL, first_name = NULL, last_name = NULL, email = NULL, phone = NULL,
        avatar_url = NULL, locale = NULL, attributes = '{}', merged_into = :into,
        updated_at = :now, version = version + 1
    WHERE account_id = :account_id AND id = :former
    RETURNING *
    """
)
_CONVERSATION: Final = text(
    """
    UPDATE conversations SET continued_in = :into
    WHERE account_id = :account_id AND id = :former
    """
)
_ENQUIRIES: Final = text(
    """
    UPDATE enquiries SET contact_id = :into
    WHERE account_id = :account_id AND conversation_id = :conversation_id
    """
)


@dataclass(frozen=True, slots=True)
class Merge:
    """A contact that is known by two ids of its source; `former` is the one that ends."""

    channel: Channel
    former: Known
    into: Known


async def merge_contacts(work: UnitOfWork, merge: Merge) -> None:
    """Let one contact be another from now on; both conversations are locked.

    What the person did in either opens the messaging window of both; who is blocked stays so.
    """
    former = work.conversations[merge.former.conversation_id]
    into = work.conversations[merge.into.conversation_id]
    ids = {
        "account_id": merge.channel.account_id,
        "former": merge.former.contact_id,
        "into": merge.into.contact_id,
        "now": work.now,
    }
    remaining = (await work.connection.execute(_INTO, ids)).mappings().one()
    ended = (await work.connection.execute(_FORMER, ids)).mappings().one()
    await work.connection.execute(
        _CONVERSATION,
        {"account_id": former.account_id, "former": former.id, "into": into.id},
    )
    await work.connection.execute(
        _ENQUIRIES,
        {"account_id": former.account_id, "conversation_id": former.id, "into": into.contact_id},
    )
    acted = [each.last_action_at for each in (former, into) if each.last_action_at is not None]
    former.last_action_at = into.last_action_at = max(acted, default=None)
    into.engaged_agent_id = into.engaged_agent_id or former.engaged_agent_id
    merge.into.name = remaining["name"]
    merge.into.blocked = remaining["blocked_at"] is not None
    announce_contact(work, merge.channel, remaining)
    announce_contact(work, merge.channel, ended)
