"""Meets a contact: finds or makes the contact and the one conversation with it on a channel."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, text, update

from gateway.contracts.moments import rfc3339
from gateway.db.channels import Channel
from gateway.db.conversations import Conversation, lock_conversations
from gateway.db.outbox import NewEvent
from gateway.db.tables import contacts
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids

PROFILE_FIELDS: Final = (
    "name",
    "first_name",
    "last_name",
    "email",
    "phone",
    "avatar_url",
    "locale",
)


@dataclass(slots=True)
class Known:
    """A contact that the gateway has met, and the conversation with it."""

    contact_id: str
    name: str | None
    blocked: bool
    conversation_id: str


# One by one: taken together, all contacts of a busy channel might be read to find a few.
_FIND: Final = text(
    """
    SELECT c.channel_id, c.source_contact_id, c.id, c.name, c.blocked_at, v.id AS conversation_id
    FROM unnest(CAST(:channels AS text[]), CAST(:contacts AS text[]))
      AS r(channel_id, source_contact_id)
    JOIN channels h ON h.id = r.channel_id
    CROSS JOIN LATERAL (
      SELECT * FROM contacts
      WHERE account_id = h.account_id AND channel_id = h.id
        AND source_contact_id = r.source_contact_id
      LIMIT 1) AS c
    JOIN conversations v ON v.account_id = c.account_id AND v.channel_id = c.channel_id
      AND v.contact_id = c.id
    """
)
_MAKE_CONTACT: Final = text(
    """
    INSERT INTO contacts (account_id, id, channel_id, source_contact_id, name, first_name,
                          last_name, email, phone, avatar_url, locale, attributes, created_at,
                          updated_at)
    VALUES (:account_id, :id, :channel_id, :source_contact_id, :name, :first_name, :last_name,
            :email, :phone, :avatar_url, :locale, CAST(:attributes AS jsonb), :now, :now)
    ON CONFLICT (account_id, channel_id, source_contact_id) DO NOTHING
    """
)
_MAKE_CONVERSATION: Final = text(
    """
    INSERT INTO conversations (account_id, id, channel_id, contact_id, inbound_partition,
                               created_at)
    VALUES (:account_id, :id, :channel_id, :contact_id, :partition, :now)
    """
)
_RENAME: Final = text(
    """
    UPDATE contacts SET source_contact_id = :now_known_as, updated_at = :now
    WHERE account_id = :account_id AND channel_id = :channel_id
      AND source_contact_id = :formerly
    """
)
_REPARTITION: Final = text(
    """
    UPDATE conversations SET inbound_partition = :partition
    WHERE account_id = :account_id AND id = :id
    """
)


async def find_known(
    work: UnitOfWork, pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Known]:
    """Return the contacts that are known, by channel and the source's id of them."""
    if not pairs:
        return {}
    channels, contacts = zip(*pairs, strict=True)
    rows = await work.connection.execute(
        _FIND, {"channels": list(channels), "contacts": list(contacts)}
    )
    return {
        (row.channel_id, row.source_contact_id): Known(
            contact_id=row.id,
            name=row.name,
            blocked=row.blocked_at is not None,
            conversation_id=row.conversation_id,
        )
        for row in rows
    }


async def meet(
    work: UnitOfWork,
    channel: Channel,
    source_contact_id: str,
    *,
    partition: int,
    profile: Mapping[str, Any] | None = None,
) -> tuple[Known, Conversation]:
    """Return a contact and its conversation under lock, made when this is the first contact.

    `partition` is that of the inbound topic which carries the contact's events.
    """
    pair = (channel.id, source_contact_id)
    known = (await find_known(work, [pair])).get(pair)
    if known is None:
        await _make(work, channel, source_contact_id, partition=partition, profile=profile or {})
        # Somebody else may have met the contact at the same moment; then theirs counts.
        known = (await find_known(work, [pair]))[pair]
    locked = await lock_conversations(work, [known.conversation_id], account_id=channel.account_id)
    return known, locked[known.conversation_id]


async def rename_contact(
    work: UnitOfWork, channel: Channel, *, formerly: str, now_known_as: str, partition: int
) -> None:
    """Let a contact go by another id of the source; its conversation goes on."""
    known = (await find_known(work, [(channel.id, formerly)])).get((channel.id, formerly))
    if known is None:
        return
    await lock_conversations(work, [known.conversation_id], account_id=channel.account_id)
    where = {"account_id": channel.account_id, "channel_id": channel.id, "now": work.now}
    await work.connection.execute(
        _RENAME, where | {"formerly": formerly, "now_known_as": now_known_as}
    )
    await work.connection.execute(
        _REPARTITION,
        {
            "account_id": channel.account_id,
            "id": known.conversation_id,
            "partition": partition,
        },
    )


async def update_profile(
    work: UnitOfWork, channel: Channel, contact_id: str, profile: Mapping[str, Any]
) -> str | None:
    """Write what a source tells about a contact and return the name that it now has.

    What the profile leaves out stays; a profile that changes nothing makes no event.
    """
    given = {name: profile[name] for name in (*PROFILE_FIELDS, "attributes") if name in profile}
    row = (
        (
            await work.connection.execute(
                select(contacts)
                .where(contacts.c.account_id == channel.account_id, contacts.c.id == contact_id)
                .with_for_update()
            )
        )
        .mappings()
        .one()
    )
    changes = {name: value for name, value in given.items() if row[name] != value}
    if not changes:
        return _text_or_none(row["name"])
    await work.connection.execute(
        update(contacts)
        .where(contacts.c.account_id == channel.account_id, contacts.c.id == contact_id)
        .values(**changes, updated_at=work.now, version=contacts.c.version + 1)
    )
    after = dict(row) | changes
    work.announce(
        NewEvent(
            type="gateway.contact.updated.v1",
            account_id=channel.account_id,
            channel_id=channel.id,
            occurred_at=work.now,
            data={"contact": contact_resource(after)},
        )
    )
    return _text_or_none(after["name"])


def contact_resource(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a contact's public form from its row."""
    return {
        "id": row["id"],
        "channel_id": row["channel_id"],
        "source_contact_id": row["source_contact_id"],
        **{name: row[name] for name in PROFILE_FIELDS},
        "attributes": row["attributes"],
        "blocked": row["blocked_at"] is not None,
        "created_at": rfc3339(row["created_at"]),
    }


async def _make(
    work: UnitOfWork,
    channel: Channel,
    source_contact_id: str,
    *,
    partition: int,
    profile: Mapping[str, Any],
) -> None:
    contact_id = ids.new_id(ids.CONTACT)
    given = {name: profile.get(name) for name in PROFILE_FIELDS}
    attributes = profile.get("attributes") or {}
    result = await work.connection.execute(
        _MAKE_CONTACT,
        given
        | {
            "account_id": channel.account_id,
            "id": contact_id,
            "channel_id": channel.id,
            "source_contact_id": source_contact_id,
            "attributes": json.dumps(attributes),
            "now": work.now,
        },
    )
    if result.rowcount == 0:
        return
    conversation_id = ids.new_id(ids.CONVERSATION)
    await work.connection.execute(
        _MAKE_CONVERSATION,
        {
            "account_id": channel.account_id,
            "id": conversation_id,
            "channel_id": channel.id,
            "contact_id": contact_id,
            "partition": partition,
            "now": work.now,
        },
    )
    work.announce(
        NewEvent(
            type="gateway.contact.created.v1",
            account_id=channel.account_id,
            channel_id=channel.id,
            occurred_at=work.now,
            data={
                "contact": contact_resource(
                    {
                        "id": contact_id,
                        "channel_id": channel.id,
                        "source_contact_id": source_contact_id,
                        **given,
                        "attributes": attributes,
                        "blocked_at": None,
                        "created_at": work.now,
                    }
                )
            },
        )
    )


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None
