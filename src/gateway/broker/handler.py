"""What a consumer asks of those who do the work."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from gateway.broker.records import Record


class PartitionHandler(Protocol):
    """Works on partitions, each strictly one call at a time (but for `caught_up` and `now`).

    Every method may raise `PartitionLostError`: somebody else owns the partition now. It is then
    dropped, and claimed again after a while if Kafka still gives it to this process. After any
    other exception the same call is made again, ever less often.
    """

    async def assigned(self, partition: int) -> int | None:
        """Claim a partition; return the offset to go on at, or None for the log's start."""
        ...

    async def handle(self, partition: int, records: Sequence[Record]) -> None:
        """Give records their effects, in order; return when all have had them."""
        ...

    async def now(self) -> datetime:
        """Return the database's time; it is asked for before log ends are read."""
        ...

    async def caught_up(self, partition: int, at: datetime) -> None:
        """Take note that all that was in the log at a moment has been handled."""
        ...

    async def out_of_range(self, partition: int, offset: int, log_start: int) -> int:
        """Raise the alarm that the log has no such offset; return where to go on."""
        ...

    async def revoked(self, partition: int) -> None:
        """Give a partition back; no call for it is running, and none will be made."""
        ...
