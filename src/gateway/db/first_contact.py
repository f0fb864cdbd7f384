"""Meets a contact: finds or makes the contact and the one conversation with it on a channel."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.moments import from_rfc3339, rfc3339
from gateway.db.channels import Channel
from gateway.db.contacts import Addressee
from gateway.db.conversations import Conversation, lock_conversations
from gateway.db.erasures import find_erasures
from gateway.db.outbox import NewEvent
from gateway.db.rows import as_json
from gateway.db.statements import with_rows
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
    # What is older has no effect: it was said by the same person, who was erased.
    heard_from: datetime | None = None
    # When the platform was asked what it is called.
    profile_fetched_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody whom the gateway meets for the first time.

    `partition` is that of the inbound topic which carries the contact's events.
    """

    channel: Channel
    source_contact_id: str
    partition: int
    profile: Mapping[str, Any]
    heard_from: datetime | None = None
    traceparent: str | None = None

    @property
    def pair(self) -> tuple[str, str]:
        """The channel and the source's id of the contact."""
        return self.channel.id, self.source_contact_id


# One by one, which the limits see to: taken together, all contacts of a busy channel might be read
# to find a few, and in a database that has not counted its rows yet, once for each of them.
_FIND: Final = with_rows(
    """
    SELECT c.channel_id, r.source_contact_id, c.id, c.name, c.blocked_at, c.heard_from,
           c.profile_fetched_at, v.id AS conversation_id
    FROM unnest(CAST(:channels AS text[]), CAST(:contacts AS text[]))
      AS r(channel_id, source_contact_id)
    JOIN channels h ON h.id = r.channel_id
    CROSS JOIN LATERAL (
      SELECT id, merged_into FROM contacts
      WHERE account_id = h.account_id AND channel_id = h.id
        AND source_contact_id = r.source_contact_id
      LIMIT 1) AS f
    CROSS JOIN LATERAL (
      SELECT * FROM contacts
      WHERE account_id = h.account_id AND id = coalesce(f.merged_into, f.id)
      LIMIT 1) AS c
    CROSS JOIN LATERAL (
      SELECT id FROM conversations
      WHERE account_id = c.account_id AND channel_id = c.channel_id AND contact_id = c.id
      LIMIT 1) AS v
    """,
    [
        "channel_id",
        "source_contact_id",
        "id",
        "name",
        "blocked_at",
        "heard_from",
        "profile_fetched_at",
        "conversation_id",
    ],
)
# In the order of the index, so that two who meet the same strangers wait for one another in turn.
_MAKE_CONTACTS: Final = text(
    """
    INSERT INTO contacts (account_id, id, channel_id, source_contact_id, name, first_name,
                          last_name, email, phone, avatar_url, locale, attributes, heard_from,
                          created_at, updated_at)
    SELECT r.*, :now, :now FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
      account_id text, id text, channel_id text, source_contact_id text, name text,
      first_name text, last_name text, email text, phone text, avatar_url text, locale text,
      attributes jsonb, heard_from timestamptz)
    ORDER BY r.account_id, r.channel_id, r.source_contact_id
    ON CONFLICT (account_id, channel_id, source_contact_id) DO NOTHING
    RETURNING id
    """
)
_MAKE_CONVERSATIONS: Final = text(
    """
    INSERT INTO conversations (account_id, id, channel_id, contact_id, inbound_partition,
                               created_at)
    SELECT r.*, :now FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
      account_id text, id text, channel_id text, contact_id text, inbound_partition integer)
    """
)
_LOCK_CONTACTS: Final = text(
    """
    SELECT 1 FROM contacts
    WHERE (account_id, id) IN (
      SELECT * FROM unnest(CAST(:account_ids AS text[]), CAST(:ids AS text[])))
    ORDER BY id FOR UPDATE
    """
)
_RENAME: Final = text(
    """
    UPDATE contacts SET source_contact_id = :now_known_as, updated_at = :now
    WHERE account_id = :account_id AND channel_id = :channel_id
      AND source_contact_id = :formerly
    RETURNING *
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
            heard_from=row.heard_from,
            profile_fetched_at=row.profile_fetched_at,
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
        erased = await find_erasures(work.connection, [pair])
        stranger = Stranger(
            channel, source_contact_id, partition, profile or {}, heard_from=erased.get(pair)
        )
        known = (await meet_strangers(work, [stranger]))[pair]
    locked = await lock_conversations(work, [known.conversation_id], account_id=channel.account_id)
    return known, locked[known.conversation_id]


async def meet_strangers(
    work: UnitOfWork, strangers: Sequence[Stranger]
) -> dict[tuple[str, str], Known]:
    """Make contacts that were not known a moment ago, with their conversations.

    Those that are made here are locked; where somebody else met one at the same moment, theirs
    counts, and its conversation has yet to be locked. To be called before any lock is taken: an
    insert waits for who inserts the same.
    """
    rows = [_stranger_row(each) for each in strangers]
    made = set(
        (
            await work.connection.execute(_MAKE_CONTACTS, {"rows": as_json(rows), "now": work.now})
        ).scalars()
    )
    found = {}
    for stranger, row in zip(strangers, rows, strict=True):
        if row["id"] in made:
            found[stranger.pair] = _make_conversation(work, stranger, row)
    await _write_conversations(work, [each.conversation_id for each in found.values()])
    missing = [each.pair for each in strangers if each.pair not in found]
    return found | await find_known(work, missing)


async def rename_contact(
    work: UnitOfWork, channel: Channel, *, formerly: str, now_known_as: str, partition: int
) -> None:
    """Let a contact go by another id of the source; its conversation goes on."""
    known = (await find_known(work, [(channel.id, formerly)])).get((channel.id, formerly))
    if known is None:
        return
    await lock_conversations(work, [known.conversation_id], account_id=channel.account_id)
    where = {"account_id": channel.account_id, "channel_id": channel.id, "now": work.now}
    renamed = await work.connection.execute(
        _RENAME, where | {"formerly": formerly, "now_known_as": now_known_as}
    )
    announce_contact(work, channel, renamed.mappings().one())
    await work.connection.execute(
        _REPARTITION,
        {
            "account_id": channel.account_id,
            "id": known.conversation_id,
            "partition": partition,
        },
    )


async def lock_contacts(
    connection: AsyncConnection, contacts_of: Collection[tuple[str, str]]
) -> None:
    """Lock contacts, each named with its account, in the order of their ids."""
    if contacts_of:
        account_ids, contact_ids = zip(*contacts_of, strict=True)
        await connection.execute(
            _LOCK_CONTACTS, {"account_ids": list(account_ids), "ids": list(contact_ids)}
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
    announce_contact(work, channel, after)
    return _text_or_none(after["name"])


def announce_contact(work: UnitOfWork, channel: Channel, row: Mapping[Any, Any]) -> None:
    """Tell what a contact is now, from its row."""
    work.announce(
        NewEvent(
            type="gateway.contact.updated.v1",
            account_id=channel.account_id,
            channel_id=channel.id,
            occurred_at=work.now,
            data={"contact": contact_resource(row)},
        )
    )


def contact_resource(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a contact's public form from its row."""
    return {
        "id": row["id"],
        "channel_id": row["channel_id"],
        "source_contact_id": row["source_contact_id"],
        **{name: row[name] for name in PROFILE_FIELDS},
        "attributes": row["attributes"],
        "blocked": row["blocked_at"] is not None,
        "merged_into": row.get("merged_into"),
        "created_at": rfc3339(row["created_at"]),
    }


def _stranger_row(stranger: Stranger) -> dict[str, Any]:
    profile = stranger.profile
    return {
        "account_id": stranger.channel.account_id,
        "id": ids.new_id(ids.CONTACT),
        "channel_id": stranger.channel.id,
        "source_contact_id": stranger.source_contact_id,
        **{name: profile.get(name) for name in PROFILE_FIELDS},
        "attributes": profile.get("attributes") or {},
        "heard_from": None if stranger.heard_from is None else rfc3339(stranger.heard_from),
    }


def _make_conversation(work: UnitOfWork, stranger: Stranger, row: Mapping[str, Any]) -> Known:
    """Begin the conversation with a contact that was just made, and tell of the contact."""
    conversation = Conversation(
        account_id=row["account_id"],
        id=ids.new_id(ids.CONVERSATION),
        channel_id=row["channel_id"],
        contact_id=row["id"],
        inbound_partition=stranger.partition,
        created_at=work.now,
    )
    conversation.remember()
    work.conversations[conversation.id] = conversation
    full = " ".join(filter(None, (row["first_name"], row["last_name"])))
    work.addressees[conversation.id] = Addressee(name=row["name"] or full or None, blocked=False)
    resource = contact_resource({**row, "blocked_at": None, "created_at": work.now})
    work.announce(
        NewEvent(
            type="gateway.contact.created.v1",
            account_id=row["account_id"],
            channel_id=row["channel_id"],
            occurred_at=work.now,
            traceparent=stranger.traceparent,
            data={"contact": resource},
        )
    )
    return Known(
        contact_id=row["id"],
        name=_text_or_none(row["name"]),
        blocked=False,
        conversation_id=conversation.id,
        heard_from=None if row["heard_from"] is None else from_rfc3339(row["heard_from"]),
    )


async def _write_conversations(work: UnitOfWork, conversation_ids: Sequence[str]) -> None:
    if not conversation_ids:
        return
    rows = [
        {
            "account_id": conversation.account_id,
            "id": conversation.id,
            "channel_id": conversation.channel_id,
            "contact_id": conversation.contact_id,
            "inbound_partition": conversation.inbound_partition,
        }
        for conversation in map(work.conversations.__getitem__, conversation_ids)
    ]
    await work.connection.execute(_MAKE_CONVERSATIONS, {"rows": as_json(rows), "now": work.now})


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None
