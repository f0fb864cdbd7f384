"""The SQL of enquiries, their offers and timelines, and of the facts that decisions rest on."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.topics import INBOUND
from gateway.db.rows import as_json
from gateway.db.statements import with_rows
from gateway.domain.message import Direction, MessageStatus
from routing.enquiries import Enquiry, EnquiryStatus, HandledBy, Offer, OfferStatus, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class EnquirySummary:
    """What has to be known of an enquiry to tell what a message does to it."""

    id: str
    status: EnquiryStatus
    # When it was opened or reopened last, or let in.
    began_at: datetime
    closed_at: datetime | None
    missed_at: datetime | None
    close_reason: str | None
    agent_id: str | None
    handled_by: HandledBy | None
    # The endpoint that has it: it gets the enquiry's events whatever it subscribed to.
    endpoint_id: str | None

    @classmethod
    def of(cls, row: Enquiry) -> "EnquirySummary":
        """Return the summary of an enquiry as it stands."""
        return cls(
            id=row.id,
            status=row.status,
            began_at=row.entered_at or row.opened_at,
            closed_at=row.closed_at,
            missed_at=row.missed_at,
            close_reason=row.close_reason,
            agent_id=row.agent_id,
            handled_by=row.handled_by,
            endpoint_id=row.endpoint_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One line of an enquiry's timeline; it has the number of the event that told of it.

    `position` is among lines of the same number, where some tell of no event of their own.
    """

    sequence: int
    position: int = 0
    at: datetime
    type: str
    actor: dict[str, Any]
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWords:
    """What was said last in a conversation.

    Attributes:
        ours: It was said by our side.
        leaving: It is ours and has not left yet.
        at: When it left, or was accepted, or came.
    """

    ours: bool
    leaving: bool
    at: datetime


_ENQUIRY: Final = [f.name for f in fields(Enquiry) if f.name != "offers"]
_OFFER: Final = [f.name for f in fields(Offer)]
_LINE: Final = [f.name for f in fields(TimelineEntry)]
_TYPES: Final = {
    "destination": "jsonb",
    "progress": "jsonb",
    "assignment": "jsonb",
    "late": "boolean",
}
_KEY: Final = ("account_id", "id")


def _record(columns: Iterable[str]) -> str:
    return ", ".join(
        f"{name} {_TYPES.get(name, 'timestamptz' if name.endswith('_at') else 'text')}"
        for name in columns
    )


def _updates(columns: Iterable[str]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in columns if name not in _KEY)


_ENQUIRY_NAMES: Final = ", ".join(_ENQUIRY)
_OFFER_NAMES: Final = ", ".join(_OFFER)

_SUMMARIES: Final = with_rows(
    """
    SELECT id, status, COALESCE(entered_at, opened_at) AS began_at, closed_at, missed_at,
           close_reason, agent_id, handled_by,
           CASE WHEN destination ->> 'kind' = 'endpoint' THEN destination ->> 'id' END
             AS endpoint_id
    FROM enquiries WHERE id = ANY(:ids)
    """,
    [
        "id",
        "status",
        "began_at",
        "closed_at",
        "missed_at",
        "close_reason",
        "agent_id",
        "handled_by",
        "endpoint_id",
    ],
)
_GET: Final = with_rows(
    f"""
    SELECT {_ENQUIRY_NAMES},
           (SELECT jsonb_agg(to_jsonb(o) ORDER BY o.id) FROM offers o
            WHERE o.account_id = e.account_id AND o.enquiry_id = e.id) AS offers
    FROM enquiries e
    WHERE (e.account_id, e.id) IN (
      SELECT * FROM unnest(CAST(:account_ids AS text[]), CAST(:ids AS text[])))
    """,  # noqa: S608 - constant column names
    [*_ENQUIRY, "offers"],
)
_TIMELINE: Final = text(
    """
    SELECT sequence, at, type, actor, data FROM timeline_entries
    WHERE account_id = :account_id AND enquiry_id = :id ORDER BY sequence, position
    """
)
# One trip for everything that arrows write.
_SAVE: Final = text(
    f"""
    WITH saved AS (
      INSERT INTO enquiries ({_ENQUIRY_NAMES})
      SELECT {_ENQUIRY_NAMES}
      FROM jsonb_to_recordset(CAST(:enquiries AS jsonb)) AS r({_record(_ENQUIRY)})
      ON CONFLICT (account_id, id) DO UPDATE SET {_updates(_ENQUIRY)}
    ), offered AS (
      INSERT INTO offers (account_id, enquiry_id, {_OFFER_NAMES})
      SELECT account_id, enquiry_id, {_OFFER_NAMES}
      FROM jsonb_to_recordset(CAST(:offers AS jsonb))
        AS r(account_id text, enquiry_id text, {_record(_OFFER)})
      ON CONFLICT (account_id, id) DO UPDATE SET {_updates(_OFFER)}
    )
    INSERT INTO timeline_entries (account_id, enquiry_id, sequence, position, at, type, actor, data)
    SELECT r.*
    FROM jsonb_to_recordset(CAST(:timeline AS jsonb)) AS r(
      account_id text, enquiry_id text, sequence bigint, position smallint, at timestamptz,
      type text, actor jsonb, data jsonb)
    """  # noqa: S608 - constant column names
)
# A late message moves no enquiry, and one that failed has told the contact nothing.
_LAST_WORDS: Final = text(
    """
    SELECT direction, status, COALESCE(sent_at, accepted_at) AS at FROM messages
    WHERE account_id = :account_id AND conversation_id = :conversation_id
      AND NOT late AND NOT (direction = 'outbound' AND status = 'failed')
    ORDER BY sequence DESC LIMIT 1
    """
)
_CAUGHT_UP: Final = text(
    "SELECT caught_up_at FROM partition_owners WHERE topic = :topic AND partition = :partition"
)
_CONVERSATION: Final = text(
    "SELECT conversation_id FROM enquiries WHERE account_id = :account_id AND id = :id"
)
_LIVE_ELSEWHERE: Final = text(
    """
    SELECT id FROM enquiries
    WHERE account_id = :account_id AND conversation_id = :conversation_id AND id <> :besides
      AND status IN ('open', 'offered', 'ongoing')
    """
)


async def find_enquiries(
    connection: AsyncConnection, enquiry_ids: Iterable[str]
) -> dict[str, EnquirySummary]:
    """Return summaries by id, for workers that took the ids from rows of their own."""
    rows = await connection.execute(_SUMMARIES, {"ids": list(enquiry_ids)})
    return {
        row["id"]: EnquirySummary(
            **{
                **row,
                "status": EnquiryStatus(row["status"]),
                "handled_by": None if row["handled_by"] is None else HandledBy(row["handled_by"]),
            }
        )
        for row in rows.mappings()
    }


async def get_enquiries(
    connection: AsyncConnection, account_id: str, enquiry_ids: Collection[str]
) -> dict[str, Enquiry]:
    """Return those enquiries of an account that exist, with their offers, by id."""
    pairs = [(account_id, enquiry_id) for enquiry_id in enquiry_ids]
    return await get_enquiries_of_many(connection, pairs)


async def get_enquiries_of_many(
    connection: AsyncConnection, pairs: Collection[tuple[str, str]]
) -> dict[str, Enquiry]:
    """Return those enquiries, each named with its account, that exist, with their offers."""
    if not pairs:
        return {}
    wanted = {
        "account_ids": [account_id for account_id, _ in pairs],
        "ids": [enquiry_id for _, enquiry_id in pairs],
    }
    rows = await connection.execute(_GET, wanted)
    return {row["id"]: _enquiry(row) for row in rows.mappings()}


async def get_timeline(
    connection: AsyncConnection, account_id: str, enquiry_id: str
) -> list[TimelineEntry]:
    """Return an enquiry's timeline, in order."""
    rows = await connection.execute(_TIMELINE, {"account_id": account_id, "id": enquiry_id})
    return [TimelineEntry(**row) for row in rows.mappings()]


async def save_enquiries(
    connection: AsyncConnection,
    enquiries: Collection[Enquiry],
    *,
    offers: Collection[tuple[Enquiry, Offer]],
    timeline: Collection[tuple[Enquiry, TimelineEntry]],
) -> None:
    """Write enquiries, those of their offers that changed, and new lines of their timelines."""
    if not enquiries:
        return
    await connection.execute(
        _SAVE,
        {
            "enquiries": as_json([_row(enquiry) for enquiry in enquiries]),
            "offers": as_json(
                [_of(enquiry) | _columns(offer, _OFFER) for enquiry, offer in offers]
            ),
            "timeline": as_json(
                [_of(enquiry) | _columns(line, _LINE) for enquiry, line in timeline]
            ),
        },
    )


async def find_last_words(
    connection: AsyncConnection, account_id: str, conversation_id: str
) -> LastWords | None:
    """Return what was said last in a conversation."""
    row = (
        await connection.execute(
            _LAST_WORDS, {"account_id": account_id, "conversation_id": conversation_id}
        )
    ).one_or_none()
    if row is None:
        return None
    return LastWords(
        ours=row.direction == Direction.OUTBOUND,
        leaving=row.status in (MessageStatus.ACCEPTED, MessageStatus.SENDING),
        at=row.at,
    )


async def is_caught_up(connection: AsyncConnection, partition: int, *, at: datetime) -> bool:
    """Say whether all that contacts wrote until a moment has taken effect."""
    row = await connection.execute(_CAUGHT_UP, {"topic": INBOUND, "partition": partition})
    caught_up_at: datetime | None = row.scalar_one_or_none()
    return caught_up_at is not None and caught_up_at >= at


async def find_conversation(
    connection: AsyncConnection, account_id: str, enquiry_id: str
) -> str | None:
    """Return the conversation of an enquiry of an account."""
    row = await connection.execute(_CONVERSATION, {"account_id": account_id, "id": enquiry_id})
    found: str | None = row.scalar_one_or_none()
    return found


async def find_live_elsewhere(connection: AsyncConnection, enquiry: Enquiry) -> str | None:
    """Return another enquiry of the same conversation that is alive."""
    row = await connection.execute(
        _LIVE_ELSEWHERE,
        {
            "account_id": enquiry.account_id,
            "conversation_id": enquiry.conversation_id,
            "besides": enquiry.id,
        },
    )
    found: str | None = row.scalar_one_or_none()
    return found


def _enquiry(row: RowMapping) -> Enquiry:
    values = dict(row)
    values["status"] = EnquiryStatus(values["status"])
    values["progress"] = Progress.from_json(values["progress"])
    if values["handled_by"] is not None:
        values["handled_by"] = HandledBy(values["handled_by"])
    values["offers"] = [_offer(each) for each in values["offers"] or ()]
    return Enquiry(**values)


def _offer(document: dict[str, Any]) -> Offer:
    values = {name: document[name] for name in _OFFER}
    for name in ("created_at", "expires_at", "settled_at"):
        if values[name] is not None:
            values[name] = datetime.fromisoformat(values[name])
    return Offer(**values | {"status": OfferStatus(values["status"])})


def _row(enquiry: Enquiry) -> dict[str, Any]:
    return _columns(enquiry, _ENQUIRY) | {"progress": enquiry.progress.as_json()}


def _of(enquiry: Enquiry) -> dict[str, Any]:
    return {"account_id": enquiry.account_id, "enquiry_id": enquiry.id}


def _columns(record: object, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}
