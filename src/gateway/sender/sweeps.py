"""What the sender looks for each second, because nothing announces it or the announcement is lost.

Calls whose process died, targets that were let go beside an insert that did not know, failing
deliveries that held their lane for long enough.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from gateway.contracts.topics import INBOUND
from gateway.db.channels import find_channels
from gateway.db.deliveries import Delivery, Due, find_overdue, find_waited_for
from gateway.db.held_deliveries import find_held_targets
from gateway.db.lanes import find_forgotten_lanes, free_lanes, promote_lanes
from gateway.db.messages import find_messages_by_id
from gateway.db.sending import find_endpoints
from gateway.db.unit_of_work import Database
from gateway.domain.delivery import Answer, Outcome, Retry, SendError, TargetKind, Unknown
from gateway.messaging.settlement import release_target
from gateway.sender.attempts import Attempt, Ended

_BATCH: Final = 200
# Shards whose waiting lanes one statement goes through.
_MEND_SHARDS: Final = 32
_ENDED_UNSEEN: Final = SendError(
    "upstream-failed",
    "The sender stopped in the middle of the call, so nobody can tell what came of it.",
    "Look whether the message arrived, then send it again if it did not.",
    retryable=True,
)


async def end_unseen_calls(
    database: Database, shards: Collection[int], *, mine: Collection[str]
) -> list[Ended]:
    """Return, as ended, the calls that must be over and that no process settled, but for `mine`.

    Nobody knows what came of a call to Graph; webhooks are sent again under the same id.
    """
    async with database.unit_of_work() as work:
        overdue = await find_overdue(work.connection, shards, mine=mine, limit=_BATCH)
        if not overdue:
            return []
        to_people = {row.target_id for row in overdue if row.message_id is not None}
        channels = await find_channels(work.connection, to_people)
        messages = await find_messages_by_id(
            work.connection, {row.message_id for row in overdue if row.message_id is not None}
        )
        endpoints = await find_endpoints(
            work.connection,
            {row.target_id for row in overdue if row.target_kind is TargetKind.ENDPOINT},
        )
    return [
        Ended(
            Attempt(
                delivery=row,
                called_at=row.call_started_at or work.now,
                ends_by=0,
                channel=channels.get(row.target_id),
                message=messages.get(row.message_id or ""),
                endpoint=endpoints.get(row.target_id),
            ),
            Answer(outcome=_unseen(row), milliseconds=_milliseconds(row), blames_target=False),
        )
        for row in overdue
    ]


async def mend_lanes(database: Database, shards: Sequence[int]) -> list[Due]:
    """Let lanes go on that wait for nothing; return what may leave."""
    due: list[Due] = []
    for start in range(0, len(shards), _MEND_SHARDS):
        async with database.unit_of_work() as work:
            lanes = await find_forgotten_lanes(
                work.connection, shards[start : start + _MEND_SHARDS]
            )
            due += await promote_lanes(work.connection, lanes)
    return due


async def release_lanes(database: Database, shards: Collection[int]) -> list[Due]:
    """Let lanes go on beside deliveries that held them for as long as they may."""
    async with database.unit_of_work() as work:
        lanes = await free_lanes(work.connection, shards, now=work.now)
        return await promote_lanes(work.connection, set(lanes))


async def release_stranded(database: Database, shards: Collection[int]) -> None:
    """Let go what was written as held just when its target was released.

    Deliveries of channels that hold nothing because they are deleted, or discard, are let go too:
    the claim fails them.
    """
    async with database.unit_of_work() as work:
        held = await find_held_targets(work.connection, shards)
        if not held:
            return
        channels = await find_channels(
            work.connection, {each for kind, each in held if kind is not TargetKind.ENDPOINT}
        )
        endpoints = await find_endpoints(
            work.connection, {each for kind, each in held if kind is TargetKind.ENDPOINT}
        )
        free = [channel.id for channel in channels.values() if channel.hold is None]
        free += [
            endpoint.id
            for endpoint in endpoints.values()
            if endpoint.status == "active" or endpoint.deleted_at is not None
        ]
        for target_id in sorted(free):
            await release_target(work, target_id)


async def find_ended_waits(
    database: Database, shards: Collection[int], *, now: datetime
) -> list[Delivery]:
    """Return the uncertain deliveries whose echo would have taken effect by now."""
    async with database.unit_of_work() as work:
        return await find_waited_for(work.connection, shards, topic=INBOUND, now=now, limit=_BATCH)


def _unseen(row: Delivery) -> Outcome:
    return Unknown(_ENDED_UNSEEN) if row.target_kind is TargetKind.PAGE else Retry(_ENDED_UNSEEN)


def _milliseconds(row: Delivery) -> int:
    if row.call_started_at is None or row.call_ends_by is None:
        return 0
    return round((row.call_ends_by - row.call_started_at).total_seconds() * 1000)
