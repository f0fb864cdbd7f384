"""Erased contacts: since when what they said before is forgotten, and the forgetting itself.

A person is remembered by a hash alone, so that what is told later of the time before the request
can be recognised. Rows stay, so that numbers and places in feeds do; what they said goes.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.contacts import Contact
from gateway.db.lanes import Lane
from gateway.db.statements import with_rows
from gateway.domain.shards import shard_of

# What takes the place of a person's id at the source.
_NOBODY: Final = "erased:"
# What is said of an error that told something of the person.
_ERROR: Final = (
    "CASE WHEN error IS NULL THEN NULL ELSE jsonb_build_object('code', error -> 'code',"
    " 'detail', 'Erased.', 'retryable', false, 'remedy', null) END"
)
# Events of an enquiry and of a thread tell nothing that a person said or is called.
TELLING: Final = (
    "NOT data ?| ARRAY['erased', 'expired'] AND type NOT LIKE 'gateway.enquiry.%'"
    " AND type NOT LIKE 'gateway.conversation.%' AND type <> 'gateway.contact.erased.v1'"
)


def emptied(word: str) -> str:
    """Return what is left of an event's `data`, in SQL; `word` says why the rest is gone."""
    return f"""
    CASE
      WHEN data ? 'message' THEN jsonb_build_object(
        '{word}', true,
        'message', (data -> 'message') - ARRAY['client_reference', 'source_message_id', 'error',
                                               'reactions']
          || jsonb_build_object('content', jsonb_build_object('type', '{word}'),
                                'author', (data -> 'message' -> 'author') - 'name'))
      WHEN data ? 'contact' AND type LIKE 'gateway.contact.%' THEN jsonb_build_object(
        '{word}', true,
        'contact', jsonb_build_object('id', data -> 'contact' -> 'id',
                                      'channel_id', data -> 'contact' -> 'channel_id'))
      ELSE jsonb_build_object('{word}', true) END
    """


_LESS: Final = emptied("erased")
_NOTE: Final = text(
    """
    INSERT INTO erasures (account_id, channel_id, contact_hash, erased_at)
    VALUES (:account_id, :channel_id, :contact_hash, :at)
    ON CONFLICT (account_id, channel_id, contact_hash) DO UPDATE
    SET erased_at = greatest(erasures.erased_at, excluded.erased_at)
    """
)
_EMPTY_CONTACT: Final = text(
    """
    UPDATE contacts
    SET source_contact_id = :nobody, name = NULL, first_name = NULL, last_name = NULL,
        email = NULL, phone = NULL, avatar_url = NULL, locale = NULL, attributes = '{}',
        blocked_at = NULL, profile_fetched_at = NULL, erased_at = :at, updated_at = :at,
        version = version + 1
    WHERE account_id = :account_id AND id = :id
    """
)
_FIND: Final = with_rows(
    """
    SELECT r.channel_id, r.source_contact_id, e.erased_at
    FROM unnest(CAST(:channels AS text[]), CAST(:contacts AS text[]), CAST(:hashes AS bytea[]))
      AS r(channel_id, source_contact_id, contact_hash)
    JOIN channels h ON h.id = r.channel_id
    JOIN erasures e ON e.account_id = h.account_id AND e.channel_id = r.channel_id
      AND e.contact_hash = r.contact_hash
    """,
    ["channel_id", "source_contact_id", "erased_at"],
)
_MESSAGES: Final = text(
    f"""
    UPDATE messages SET content = '{{"type": "erased"}}', reactions = '{{}}',
      client_reference = NULL,
      comment_id = NULL, source_message_id = NULL, error = {_ERROR},
      author_name = CASE WHEN direction = 'inbound' THEN NULL ELSE author_name END
    WHERE account_id = :account_id AND conversation_id = :conversation_id
      AND sequence > :after AND sequence <= :until
    RETURNING id
    """  # noqa: S608 - constants of this module
)
_UNTIL: Final = text(
    """
    SELECT max(sequence) FROM (
      SELECT sequence FROM messages
      WHERE account_id = :account_id AND conversation_id = :conversation_id AND sequence > :after
      ORDER BY sequence LIMIT :limit) AS few
    """
)
ANSWERS_TO_MESSAGES: Final = text(
    """
    UPDATE delivery_attempts SET body = NULL
    WHERE body IS NOT NULL AND delivery_id IN (
      SELECT id FROM deliveries WHERE message_id = ANY(:ids))
    """
)
ANSWERS_TO_EVENTS: Final = text(
    """
    UPDATE delivery_attempts SET body = NULL
    WHERE body IS NOT NULL AND delivery_id IN (SELECT id FROM deliveries WHERE event_id = ANY(:ids))
    """
)
# Where events of a person are found: published ones, others, and those of the account.
_PLACES: Final = (
    "conversation_id = :conversation_id AND position IS NOT NULL",
    "shard = :shard AND key = :conversation_id AND position IS NULL",
    "type LIKE 'gateway.contact.%' AND data -> 'contact' ->> 'id' = :contact_id",
)
_CANCEL: Final = text(
    """
    UPDATE deliveries SET status = 'cancelled', holds_lane = false, settled_at = :now
    WHERE event_id = ANY(:ids) AND status = 'pending' RETURNING target_id, lane
    """
)
_PARKED: Final = text(
    "DELETE FROM parked WHERE kind = :kind AND source_id = :source_id AND contact_id = :contact_id"
)
_LETTERS: Final = text(
    """
    DELETE FROM dead_letters
    WHERE (account_id = :account_id OR account_id IS NULL) AND record_key = ANY(:keys)
    """
)
_TIMELINE: Final = text(
    """
    UPDATE timeline_entries t SET data = t.data - 'text'
    FROM enquiries e
    WHERE e.contact_id = :contact_id AND e.account_id = :account_id
      AND t.account_id = e.account_id AND t.enquiry_id = e.id AND t.data ? 'text'
    """
)
_TIMERS: Final = text(
    """
    DELETE FROM timers
    WHERE account_id = :account_id AND conversation_id = :conversation_id AND kind = :kind
    """
)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a request is about: what the gateway calls the person, and what the source does.

    `writer_id` is what the source calls whoever writes comments; for most it is the contact's id.
    """

    account_id: str
    channel_id: str
    contact_id: str
    conversation_id: str
    kind: str
    source_id: str
    source_contact_id: str
    writer_id: str


@dataclass(frozen=True, slots=True)
class EmptiedEvents:
    """Events that told of a person, and the lanes that may go on without them."""

    ids: list[str]
    lanes: set[Lane]


async def note_erasure(
    connection: AsyncConnection, contact: Contact, *, writer_id: str, at: datetime
) -> None:
    """Note that a contact was erased, and empty its row; the person may come back as another."""
    noted = [
        {
            "account_id": contact.account_id,
            "channel_id": contact.channel_id,
            "contact_hash": _hash(contact.channel_id, name),
            "at": at,
        }
        for name in sorted({contact.source_contact_id, writer_id})
    ]
    await connection.execute(_NOTE, noted)
    await connection.execute(
        _EMPTY_CONTACT,
        {
            "account_id": contact.account_id,
            "id": contact.id,
            "nobody": _NOBODY + contact.id,
            "at": at,
        },
    )


async def find_erasures(
    connection: AsyncConnection, pairs: Collection[tuple[str, str]]
) -> dict[tuple[str, str], datetime]:
    """Return when those were erased who were, by channel and the source's id of the person."""
    if not pairs:
        return {}
    channels, contacts = zip(*pairs, strict=True)
    hashes = [_hash(*pair) for pair in pairs]
    rows = await connection.execute(
        _FIND, {"channels": list(channels), "contacts": list(contacts), "hashes": hashes}
    )
    return {(row.channel_id, row.source_contact_id): row.erased_at for row in rows}


async def erase_messages(
    connection: AsyncConnection, subject: Subject, *, after: int, limit: int
) -> int | None:
    """Empty the messages that follow a number, and what was answered to them.

    Returns the number of the last one; None when there was none.
    """
    place = {"account_id": subject.account_id, "conversation_id": subject.conversation_id}
    bounds = place | {"after": after, "limit": limit}
    until: int | None = (await connection.execute(_UNTIL, bounds)).scalar_one()
    if until is None:
        return None
    emptied = await connection.execute(_MESSAGES, place | {"after": after, "until": until})
    await connection.execute(ANSWERS_TO_MESSAGES, {"ids": list(emptied.scalars())})
    return until


async def erase_events(
    connection: AsyncConnection, subject: Subject, *, now: datetime
) -> set[Lane]:
    """Empty the events that told of a person, and cancel what would still carry them.

    They keep their ids and places. Returns the lanes that may go on.
    """
    parameters = {
        "conversation_id": subject.conversation_id,
        "contact_id": subject.contact_id,
        "shard": shard_of(subject.conversation_id),
    }
    lanes: set[Lane] = set()
    for place in _PLACES:
        lanes |= (await empty_events(connection, place, parameters, now=now)).lanes
    return lanes


async def empty_events(
    connection: AsyncConnection, place: str, parameters: Mapping[str, object], *, now: datetime
) -> EmptiedEvents:
    """Empty the events that a condition in SQL names, and what was answered to them.

    What would still carry them is cancelled.
    """
    found = await connection.execute(
        text(f"SELECT id FROM events WHERE {place}"),  # noqa: S608 - conditions are constants
        parameters,
    )
    told = list(found.scalars())
    # Endpoints may repeat in their answers what they were told of anything.
    await connection.execute(ANSWERS_TO_EVENTS, {"ids": told})
    emptied = await connection.execute(
        text(f"UPDATE events SET data = {_LESS} WHERE {place} AND {TELLING} RETURNING id"),  # noqa: S608 - conditions are constants
        parameters,
    )
    cancelled = await connection.execute(_CANCEL, {"ids": list(emptied.scalars()), "now": now})
    return EmptiedEvents(told, {(row.target_id, row.lane) for row in cancelled})


async def erase_leftovers(
    connection: AsyncConnection, subject: Subject, *, keys: Sequence[bytes], timer_kind: str
) -> None:
    """Delete what waits, what was set aside under these keys, and what is yet to be said."""
    await connection.execute(
        _PARKED,
        {
            "kind": subject.kind,
            "source_id": subject.source_id,
            "contact_id": subject.source_contact_id,
        },
    )
    await connection.execute(_LETTERS, {"account_id": subject.account_id, "keys": list(keys)})
    named = {"account_id": subject.account_id, "conversation_id": subject.conversation_id}
    await connection.execute(
        _TIMELINE, {"account_id": subject.account_id, "contact_id": subject.contact_id}
    )
    await connection.execute(_TIMERS, named | {"kind": timer_kind})


def _hash(channel_id: str, source_contact_id: str) -> bytes:
    """Return what a person is recognised by who is not known any more."""
    return hashlib.sha256(
        f"{channel_id}:{source_contact_id}".encode("utf-8", "surrogatepass")
    ).digest()
