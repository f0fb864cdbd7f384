"""Who owns a partition of the inbound topic, how far it has come, and the fence between owners."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import TextualSelect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.statements import with_rows
from gateway.domain.partition import PartitionLostError


@dataclass(slots=True)
class Ownership:
    """One process's claim on one partition, good for as long as nobody has a higher epoch.

    `unclean` says that the owner before did not give the partition back: it may have died on a
    record. `suspect_offset` says on which, where it may have done so for the second time; `tries`
    how often the record was tried alone, with 0 for the first of a batch that was tried.
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


def _write_mine(kind: str, change: str) -> TextualSelect:
    """Return the statement that writes a value for each of the partitions still owned as named.

    In their order, as somebody else may be writing some of them.
    """
    return with_rows(
        f"""
        WITH mine AS (
          SELECT o.topic, o.partition, r.value
          FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS integer[]),
                      CAST(:epochs AS bigint[]), CAST(:values AS {kind}[]))
            AS r(topic, partition, epoch, value)
          JOIN partition_owners o
            ON o.topic = r.topic AND o.partition = r.partition AND o.epoch = r.epoch
          ORDER BY o.topic, o.partition FOR NO KEY UPDATE OF o
        )
        UPDATE partition_owners o SET {change}
        FROM mine WHERE o.topic = mine.topic AND o.partition = mine.partition
        RETURNING o.partition
        """,  # noqa: S608 - constants of this file
        ["partition"],
    )


_MOVE: Final = _write_mine("bigint", "next_offset = mine.value, suspect_offset = NULL, tries = 0")
_CAUGHT_UP: Final = _write_mine(
    "timestamptz", "caught_up_at = greatest(o.caught_up_at, mine.value)"
)
_SUSPECT: Final = text(
    """
    UPDATE partition_owners
    SET tries = CASE
          WHEN NOT CAST(:alone AS boolean) THEN 0
          WHEN suspect_offset = :offset THEN tries + 1
          ELSE 1
        END,
        suspect_offset = :offset
    WHERE topic = :topic AND partition = :partition AND epoch = :epoch
    RETURNING tries
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
    if await move_partitions(connection, [(ownership, next_offset)]):
        raise PartitionLostError(f"{ownership.topic}/{ownership.partition}")


async def move_partitions(
    connection: AsyncConnection, moves: Sequence[tuple[Ownership, int]]
) -> set[int]:
    """Write how far partitions of a topic have come; the last statement of a transaction.

    Returns those that somebody else owns now; if there are any, the transaction must be rolled
    back.
    """
    return await _write(connection, _MOVE, moves)


async def suspect(
    connection: AsyncConnection, ownership: Ownership, *, offset: int, alone: bool
) -> int:
    """Note that a record is about to be tried, alone or as the first of a batch.

    Returns:
        How often it has been tried alone, this time included; 0 for a batch.

    Raises:
        PartitionLostError: Somebody else owns the partition now.
    """
    result = await connection.execute(
        _SUSPECT, _key(ownership) | {"offset": offset, "alone": alone}
    )
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
    return await _write(connection, _CAUGHT_UP, marks)


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


async def _write(
    connection: AsyncConnection,
    statement: TextualSelect,
    values: Sequence[tuple[Ownership, int]] | Sequence[tuple[Ownership, datetime]],
) -> set[int]:
    """Write a value for each partition; return those that somebody else owns now."""
    ownerships = [ownership for ownership, _ in values]
    parameters = {
        "topics": [ownership.topic for ownership in ownerships],
        "partitions": [ownership.partition for ownership in ownerships],
        "epochs": [ownership.epoch for ownership in ownerships],
        "values": [value for _, value in values],
    }
    written = (await connection.execute(statement, parameters)).scalars()
    return {ownership.partition for ownership in ownerships} - set(written)
