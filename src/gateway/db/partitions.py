"""Who owns a partition of the inbound topic, how far it has come, and the fence between owners."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.partition import PartitionLostError


@dataclass(slots=True)
class Ownership:
    """One process's claim on one partition, good for as long as nobody has a higher epoch.

    `unclean` says that the owner before did not give the partition back: it may have died on a
    record. `suspect_offset` and `tries` say on which, and how often.
    """

    topic: str
    partition: int
    epoch: int
    next_offset: int | None
    unclean: bool
    suspect_offset: int | None
    tries: int


_FIND: Final = text(
    "SELECT owned FROM partition_owners WHERE topic = :topic AND partition = :partition FOR UPDATE"
)
_CLAIM: Final = text(
    """
    INSERT INTO partition_owners (topic, partition, epoch, owned)
    VALUES (:topic, :partition, 1, true)
    ON CONFLICT (topic, partition)
    DO UPDATE SET epoch = partition_owners.epoch + 1, owned = true
    RETURNING epoch, next_offset, suspect_offset, tries
    """
)
_MOVE: Final = text(
    """
    UPDATE partition_owners SET next_offset = :next_offset, suspect_offset = NULL, tries = 0
    WHERE topic = :topic AND partition = :partition AND epoch = :epoch
    """
)
# In their order, as somebody else may be moving some of them.
_MOVE_ALL: Final = text(
    """
    WITH mine AS (
      SELECT o.topic, o.partition, r.next_offset
      FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS integer[]),
                  CAST(:epochs AS bigint[]), CAST(:next_offsets AS bigint[]))
        AS r(topic, partition, epoch, next_offset)
      JOIN partition_owners o
        ON o.topic = r.topic AND o.partition = r.partition AND o.epoch = r.epoch
      ORDER BY o.topic, o.partition FOR NO KEY UPDATE OF o
    )
    UPDATE partition_owners o
    SET next_offset = mine.next_offset, suspect_offset = NULL, tries = 0
    FROM mine WHERE o.topic = mine.topic AND o.partition = mine.partition
    RETURNING o.partition
    """
)
_SUSPECT: Final = text(
    """
    UPDATE partition_owners
    SET tries = CASE WHEN suspect_offset = :offset THEN tries + 1 ELSE 1 END,
        suspect_offset = :offset
    WHERE topic = :topic AND partition = :partition AND epoch = :epoch
    RETURNING tries
    """
)
_CAUGHT_UP: Final = text(
    """
    WITH mine AS (
      SELECT o.topic, o.partition, r.at
      FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS integer[]),
                  CAST(:epochs AS bigint[]), CAST(:moments AS timestamptz[]))
        AS r(topic, partition, epoch, at)
      JOIN partition_owners o
        ON o.topic = r.topic AND o.partition = r.partition AND o.epoch = r.epoch
      ORDER BY o.topic, o.partition FOR NO KEY UPDATE OF o
    )
    UPDATE partition_owners o SET caught_up_at = greatest(o.caught_up_at, mine.at)
    FROM mine WHERE o.topic = mine.topic AND o.partition = mine.partition
    RETURNING o.partition
    """
)
_GIVE_BACK: Final = text(
    """
    UPDATE partition_owners SET owned = false, suspect_offset = NULL, tries = 0
    WHERE topic = :topic AND partition = :partition AND epoch = :epoch
    """
)


async def claim_partition(connection: AsyncConnection, topic: str, partition: int) -> Ownership:
    """Take a partition over: from the commit on, its former owner can change nothing."""
    where = {"topic": topic, "partition": partition}
    owned = (await connection.execute(_FIND, where)).scalar_one_or_none()
    row = (await connection.execute(_CLAIM, where)).one()
    return Ownership(
        topic=topic,
        partition=partition,
        epoch=row.epoch,
        next_offset=row.next_offset,
        unclean=bool(owned),
        suspect_offset=row.suspect_offset,
        tries=row.tries,
    )


async def move_partition(
    connection: AsyncConnection, ownership: Ownership, *, next_offset: int
) -> None:
    """Write how far the partition has come; the last statement of a batch's transaction.

    Raises:
        PartitionLostError: Somebody else owns it now.
    """
    result = await connection.execute(_MOVE, _key(ownership) | {"next_offset": next_offset})
    if result.rowcount == 0:
        raise PartitionLostError(f"{ownership.topic}/{ownership.partition}")


async def move_partitions(
    connection: AsyncConnection, moves: Sequence[tuple[Ownership, int]]
) -> set[int]:
    """Write how far partitions of a topic have come; the last statement of a transaction.

    Returns those that somebody else owns now; if there are any, the transaction must be rolled
    back.
    """
    parameters = _keys([ownership for ownership, _ in moves])
    next_offsets = [next_offset for _, next_offset in moves]
    result = await connection.execute(_MOVE_ALL, parameters | {"next_offsets": next_offsets})
    return {ownership.partition for ownership, _ in moves} - set(result.scalars())


async def suspect_record(connection: AsyncConnection, ownership: Ownership, *, offset: int) -> int:
    """Note that a record is about to be tried alone; return how often it has been.

    Raises:
        PartitionLostError: Somebody else owns the partition now.
    """
    result = await connection.execute(_SUSPECT, _key(ownership) | {"offset": offset})
    tries = result.scalar_one_or_none()
    if tries is None:
        raise PartitionLostError(f"{ownership.topic}/{ownership.partition}")
    return int(tries)


async def mark_caught_up(
    connection: AsyncConnection, marks: Sequence[tuple[Ownership, datetime]]
) -> set[int]:
    """Note that all that was in partitions' logs at a moment has taken effect.

    Returns those of the partitions, which are of one topic, that somebody else owns now.
    """
    parameters = _keys([ownership for ownership, _ in marks])
    result = await connection.execute(_CAUGHT_UP, parameters | {"moments": [at for _, at in marks]})
    return {ownership.partition for ownership, _ in marks} - set(result.scalars())


async def give_partition_back(connection: AsyncConnection, ownership: Ownership) -> None:
    """Note that the owner has ended its work on a partition in order."""
    await connection.execute(_GIVE_BACK, _key(ownership))


async def database_now(connection: AsyncConnection) -> datetime:
    """Return the product's time by the database's clock."""
    now = (await connection.execute(text("SELECT gateway_now()"))).scalar_one()
    assert isinstance(now, datetime)
    return now


def _key(ownership: Ownership) -> dict[str, object]:
    return {
        "topic": ownership.topic,
        "partition": ownership.partition,
        "epoch": ownership.epoch,
    }


def _keys(ownerships: Sequence[Ownership]) -> dict[str, list[object]]:
    return {
        "topics": [ownership.topic for ownership in ownerships],
        "partitions": [ownership.partition for ownership in ownerships],
        "epochs": [ownership.epoch for ownership in ownerships],
    }
