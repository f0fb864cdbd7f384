"""Who waits for room, and how they are told: by timers that are due at once.

Nothing here touches another conversation. A place or an agent that came free only inserts timers,
`admit` or `re-offer`, one conversation each, and what follows is decided there under its own lock.
Such a timer has its own id as its subject, so that inserting one never waits for another
transaction. One that is there already does for both causes: whoever acts on it locks the agents
and the account before it reads them, and so sees what this transaction has done.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.timers import NewTimer, write_timers
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from routing.parties import count_inside

ADMIT_TIMER: Final = "admit"
RE_OFFER_TIMER: Final = "re-offer"
CLOSE_TIMER: Final = "close"
# In a closing timer's data: why, where it is not the channel's end.
CLOSE_REASON: Final = "reason"
# At a time; those who were let in tell the next ones.
_MOST_LET_IN: Final = 50


@dataclass(frozen=True, slots=True)
class Place:
    """Where an enquiry stands in the line of those that wait."""

    entered_at: datetime
    enquiry_id: str


# A rule may name a destination, or a team of which an agent is, at any depth.
_WAITING_FOR: Final = text(
    """
    WITH names AS (
      SELECT array_agg(id) AS ids FROM (
        SELECT CAST(:destination_id AS text) AS id
        UNION ALL
        SELECT t.id FROM teams t
        WHERE t.account_id = :account_id AND :destination_id = ANY(t.agent_ids)
          AND t.deleted_at IS NULL) AS n
    )
    SELECT e.conversation_id FROM names, enquiries e
    JOIN channels c ON c.account_id = e.account_id AND c.id = e.channel_id
    WHERE e.account_id = :account_id AND e.status = 'open' AND e.queued_at IS NULL
      AND (cardinality(CAST(:channel_ids AS text[])) = 0 OR e.channel_id = ANY(:channel_ids))
      AND (e.progress ->> 'first' = ANY(names.ids) OR jsonb_path_exists(
        c.routing, '$.** ? (@.id == $ids[*])', jsonb_build_object('ids', names.ids)))
      AND NOT COALESCE(e.progress -> 'tried', '{}') ? :destination_id
      AND (CAST(:after_at AS timestamptz) IS NULL
           OR (e.entered_at, e.id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS text)))
      AND NOT (:once AND EXISTS (
        SELECT 1 FROM timers t WHERE t.account_id = e.account_id
        AND t.conversation_id = e.conversation_id AND t.kind = 're-offer'))
    ORDER BY e.entered_at, e.id LIMIT :limit
    """
)
_ASKED: Final = text(
    """
    SELECT DISTINCT e.conversation_id FROM offers o
    JOIN enquiries e ON e.account_id = o.account_id AND e.id = o.enquiry_id
    WHERE o.account_id = :account_id AND o.agent_id = :agent_id AND o.status = 'pending'
      AND e.channel_id <> ALL(CAST(:served AS text[]))
    ORDER BY 1
    """
)
_OFFERED_TO: Final = text(
    """
    SELECT conversation_id FROM enquiries
    WHERE account_id = :account_id AND status = 'offered' AND destination ->> 'id' = :destination_id
    ORDER BY 1
    """
)
_IN_CHANNEL: Final = text(
    """
    SELECT conversation_id FROM enquiries
    WHERE account_id = :account_id AND channel_id = :channel_id
      AND status = ANY(CAST(:statuses AS text[]))
    ORDER BY conversation_id
    """
)
_FIRST_QUEUED: Final = text(
    """
    SELECT q.* FROM unnest(CAST(:account_ids AS text[]), CAST(:most AS integer[]))
      AS a(account_id, most)
    CROSS JOIN LATERAL (
      SELECT e.account_id, e.id, e.conversation_id, EXISTS (
        SELECT 1 FROM timers t WHERE t.account_id = e.account_id
        AND t.conversation_id = e.conversation_id AND t.kind = 'admit') AS told
      FROM enquiries e
      WHERE e.account_id = a.account_id AND e.status = 'open' AND e.queued_at IS NOT NULL
      ORDER BY e.queued_at, e.id LIMIT a.most) AS q
    """
)
_WAITING_SOMEWHERE: Final = text(
    """
    SELECT a.account_id FROM unnest(CAST(:account_ids AS text[])) AS a(account_id)
    WHERE EXISTS (SELECT 1 FROM enquiries e WHERE e.account_id = a.account_id
                  AND e.status = 'open' AND e.queued_at IS NULL)
    """
)


async def find_waiting(
    connection: AsyncConnection,
    account_id: str,
    destination_id: str,
    *,
    channel_ids: Collection[str] = (),
    limit: int | None = None,
    after: Place | None = None,
    once: bool = True,
) -> list[str]:
    """Return the conversations that wait for a destination, who waits longest first.

    Args:
        connection: Its transaction holds the lock of the agent, where the destination is one.
        account_id: Whose it is.
        destination_id: An agent, who may be one of a team that they wait for, a team or an
            endpoint.
        channel_ids: The channels that the agent serves; none means all.
        limit: How many at most.
        after: Only those behind this place.
        once: Leave out who is told already. Wrong where no lock guards the change.
    """
    rows = await connection.execute(
        _WAITING_FOR,
        {
            "account_id": account_id,
            "destination_id": destination_id,
            "channel_ids": list(channel_ids),
            "after_at": None if after is None else after.entered_at,
            "after_id": None if after is None else after.enquiry_id,
            "once": once,
            "limit": limit,
        },
    )
    return list(rows.scalars())


async def tell_waiting(
    work: UnitOfWork, account_id: str, destination_id: str, conversation_ids: Collection[str]
) -> None:
    """Have enquiries considered anew that wait for a destination."""
    await _tell(work, account_id, RE_OFFER_TIMER, conversation_ids, {"for": destination_id})


async def tell_asked(
    work: UnitOfWork, account_id: str, agent_id: str, *, served: Collection[str] = ()
) -> None:
    """Have enquiries considered anew that are offered to an agent, but of the channels served."""
    rows = await work.connection.execute(
        _ASKED, {"account_id": account_id, "agent_id": agent_id, "served": list(served)}
    )
    await _tell(work, account_id, RE_OFFER_TIMER, rows.scalars().all(), {})


async def tell_team(work: UnitOfWork, account_id: str, team_id: str) -> None:
    """Have enquiries considered anew that wait for a team, or are offered to it.

    The account is locked: every decision that did not see the team as it is now is seen here.
    """
    offered = await work.connection.execute(
        _OFFERED_TO, {"account_id": account_id, "destination_id": team_id}
    )
    await _tell(work, account_id, RE_OFFER_TIMER, offered.scalars().all(), {})
    waiting = await find_waiting(work.connection, account_id, team_id, once=False)
    await tell_waiting(work, account_id, team_id, waiting)


async def tell_channel(work: UnitOfWork, account_id: str, channel_id: str) -> None:
    """Have a channel's enquiries considered anew that nobody has."""
    conversations = await _in_channel(work.connection, account_id, channel_id, ("open", "offered"))
    await _tell(work, account_id, RE_OFFER_TIMER, conversations, {})


async def tell_first_queued(work: UnitOfWork, limits: Mapping[str, int]) -> None:
    """Have as many let in as there are places for, of those that wait outside longest.

    Args:
        work: The transaction, which has locked the accounts.
        limits: How many contacts each account may serve at once.
    """
    # Most of the time nobody waits, and how many places are taken does not matter.
    queues = await find_first_queued(work.connection, limits.keys())
    inside = await count_inside(work.connection, queues.keys()) if queues else {}
    free = {each: min(limits[each] - taken, _MOST_LET_IN) for each, taken in inside.items()}
    told: dict[str, list[str]] = {}
    for row in await _queued(work.connection, free):
        if not row.told:
            told.setdefault(row.account_id, []).append(row.conversation_id)
    for account_id, conversations in told.items():
        await _tell(work, account_id, ADMIT_TIMER, conversations, {})


async def close_channel(work: UnitOfWork, account_id: str, channel_id: str) -> int:
    """Have every enquiry of a channel closed that lives; return how many there are."""
    conversations = await _in_channel(
        work.connection, account_id, channel_id, ("open", "offered", "ongoing")
    )
    await _tell(work, account_id, CLOSE_TIMER, conversations, {})
    return len(conversations)


async def find_first_queued(
    connection: AsyncConnection, account_ids: Collection[str]
) -> dict[str, str]:
    """Return the enquiry of each account that waits outside longest, where one does."""
    rows = await _queued(connection, dict.fromkeys(account_ids, 1))
    return {row.account_id: row.id for row in rows}


async def find_where_some_wait(
    connection: AsyncConnection, account_ids: Collection[str]
) -> set[str]:
    """Return those accounts in which an enquiry waits for anybody, inside."""
    rows = await connection.execute(_WAITING_SOMEWHERE, {"account_ids": list(account_ids)})
    return set(rows.scalars())


async def _queued(connection: AsyncConnection, most: Mapping[str, int]) -> Sequence[Row[Any]]:
    """Return the enquiries that wait outside accounts longest, up to so many of each."""
    wanted = {each: count for each, count in most.items() if count > 0}
    if not wanted:
        return []
    rows = await connection.execute(
        _FIRST_QUEUED, {"account_ids": list(wanted), "most": list(wanted.values())}
    )
    return rows.all()


async def _in_channel(
    connection: AsyncConnection, account_id: str, channel_id: str, statuses: Collection[str]
) -> Sequence[str]:
    rows = await connection.execute(
        _IN_CHANNEL,
        {"account_id": account_id, "channel_id": channel_id, "statuses": list(statuses)},
    )
    return rows.scalars().all()


async def _tell(
    work: UnitOfWork,
    account_id: str,
    kind: str,
    conversation_ids: Collection[str],
    data: dict[str, Any],
) -> None:
    # A microsecond apart, so that they are acted on in their order.
    last = len(conversation_ids) - 1
    timers = [
        NewTimer(
            account_id=account_id,
            kind=kind,
            subject_id=ids.new_id(ids.TIMER),
            conversation_id=conversation_id,
            due_at=work.now - timedelta(microseconds=last - n),
            data=data,
        )
        for n, conversation_id in enumerate(conversation_ids)
    ]
    await write_timers(work, set_=timers)
