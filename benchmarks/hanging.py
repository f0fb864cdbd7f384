"""How long healthy targets' messages take to their calls, while other targets hang.

Ten thousand Pages behind a Graph of 50 ms. A hundred healthy messages a second are accepted; beside
them messages for 1 % of all Pages that draw 20 % of what is sent, then for 5 % that draw 50 %.
Those Pages answer and hang by turns, five times each, in one run of one sender on a core of its
own.
"""

import asyncio
import os
import random
from collections.abc import Mapping
from statistics import median
from typing import Final

from benchmarks.crowd import Crowd, Quantiles
from benchmarks.desk import desk
from benchmarks.figures import record
from benchmarks.sending import sends_to, slow_graph
from benchmarks.stage import OTHER_CORE, mebibytes, stage

_PAGES: Final = 10_000
_GRAPH_MILLISECONDS: Final = 50
_PAIRS: Final = 5
_SECONDS: Final = 12.0
_PAUSE_SECONDS: Final = 2.0
_RATE: Final = 100
# Which share of all Pages hangs, and how much is sent to them for each healthy message.
_HANGING: Final[Mapping[str, tuple[float, float]]] = {
    "1_per_cent": (0.01, 0.25),
    "5_per_cent": (0.05, 1.0),
}


def main() -> None:
    """Measure."""
    os.sched_setaffinity(0, {OTHER_CORE})
    asyncio.run(_run())


async def _run() -> None:
    async with (
        stage() as place,
        desk(
            place.database_url, place.identity.encryption_keys, pages=_PAGES, conversations_each=1
        ) as full,
        slow_graph(place.directory, milliseconds=_GRAPH_MILLISECONDS) as graph_url,
        place.role("sender", environment=sends_to(graph_url)) as role,
    ):
        crowd = Crowd(full, graph_url, random.Random(7))  # noqa: S311 - no secret
        aside = {
            name: crowd.set_aside(round(_PAGES * share)) for name, (share, _) in _HANGING.items()
        }
        await crowd.warm_up(rate=_RATE)
        for name, (_, beside) in _HANGING.items():
            pairs = [await _pair(crowd, aside[name], beside * _RATE) for _ in range(_PAIRS)]
            _tell(name, pairs)
        record("hanging.memory", mebibytes(role.pid), "MiB")


async def _pair(crowd: Crowd, aside: list[int], beside: float) -> tuple[Quantiles, Quantiles]:
    # As much is sent, so that what differs is that they hang.
    calm = await crowd.answer(seconds=_SECONDS, rate=_RATE, beside=aside, beside_rate=beside)
    await crowd.hang(aside)
    disturbed = await crowd.answer(seconds=_SECONDS, rate=_RATE, beside=aside, beside_rate=beside)
    await crowd.heal()
    await asyncio.sleep(_PAUSE_SECONDS)
    return calm, disturbed


def _tell(name: str, pairs: list[tuple[Quantiles, Quantiles]]) -> None:
    record(f"hanging.{name}.calls", sum(each.calls for _, each in pairs), "messages")
    record(f"hanging.{name}.without.p50", median(calm.p50 for calm, _ in pairs), "ms")
    record(f"hanging.{name}.without.p99", median(calm.p99 for calm, _ in pairs), "ms")
    record(f"hanging.{name}.with.p50", median(with_.p50 for _, with_ in pairs), "ms")
    record(f"hanging.{name}.with.p99", median(with_.p99 for _, with_ in pairs), "ms")
    record(f"hanging.{name}.p99_more", median(with_.p99 - calm.p99 for calm, with_ in pairs), "ms")
