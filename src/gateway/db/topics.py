"""How many partitions each topic had when it was made: keys are spread over these for ever."""

from typing import Final

from sqlalchemy import text

from gateway.db.unit_of_work import Database

_RECORD: Final = text(
    """
    INSERT INTO topics AS t (name, partitions, created_at) VALUES (:name, :partitions, :now)
    ON CONFLICT (name) DO UPDATE SET partitions = t.partitions
    RETURNING partitions
    """
)
_FIND: Final = text("SELECT partitions FROM topics WHERE name = :name")


class RecordedPartitions:
    """Table `topics`, as the broker's part of the product asks for it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, topic: str) -> int | None:
        """Return the count on record, or None."""
        async with self._database.unit_of_work() as work:
            found = await work.connection.execute(_FIND, {"name": topic})
            count: int | None = found.scalar_one_or_none()
            return count

    async def record(self, topic: str, partitions: int) -> int:
        """Put a count on record and return it, or the one that another process put there first."""
        async with self._database.unit_of_work() as work:
            parameters = {"name": topic, "partitions": partitions, "now": work.now}
            count: int = (await work.connection.execute(_RECORD, parameters)).scalar_one()
            return count
