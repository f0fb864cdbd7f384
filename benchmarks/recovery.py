"""How soon the gateway works again after a kill, of each role and of what it stands on.

`tests/faults/recovery.py` says from when to when each is counted.
"""

import asyncio
from typing import Final

from tests.faults.recovery import recoveries

from benchmarks.figures import record

_ROUNDS: Final = 2


async def _measure() -> None:
    async for part, seconds in recoveries(rounds=_ROUNDS):
        record(f"recovery.{part}", seconds, "s")


def main() -> None:
    """Measure and record."""
    asyncio.run(_measure())
