"""Messages accepted at a steady rate for many Pages, and how long each took to its call."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from benchmarks.desk import Desk
from benchmarks.sending import journal

_TICK_SECONDS: Final = 0.02
_WARM_UP_SECONDS: Final = 6.0


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of the times from a message's 202, its commit, to its call; in milliseconds."""

    p50: float
    p99: float
    calls: int


class Crowd:
    """People who are answered, each on a Page of their own."""

    def __init__(self, full: Desk, graph_url: str, chance: random.Random) -> None:
        self._full = full
        self.graph_url = graph_url
        places = list(range(len(full.conversations)))
        chance.shuffle(places)
        self._places = places
        self._next = 0
        self._phases = 0

    def set_aside(self, count: int) -> list[int]:
        """Return so many places that are answered no more, for a use of one's own."""
        aside, self._places = self._places[:count], self._places[count:]
        return aside

    async def call(self, path: str, body: object = None) -> httpx.Response:
        """Tell the local Graph something."""
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            return await client.post(f"{self.graph_url}{path}", json=body)

    async def hang(self, places: Sequence[int]) -> None:
        """Let some Pages' calls hang; those of no other do."""
        await self.call("/hang", [self._full.pages[place] for place in places])

    async def heal(self) -> None:
        """Let every call be answered, and those that hang."""
        await self.call("/heal")

    async def warm_up(self, *, rate: int) -> None:
        """Answer for a while, before and after PostgreSQL has seen what is in its tables."""
        await self.answer(seconds=_WARM_UP_SECONDS, rate=rate)
        await self._full.settle_down()
        await self.answer(seconds=_WARM_UP_SECONDS / 2, rate=rate)

    async def answer(
        self,
        *,
        seconds: float,
        rate: int,
        beside: Sequence[int] = (),
        beside_rate: float = 0,
    ) -> Quantiles:
        """Accept `rate` messages a second; return how long theirs took to their calls.

        `beside` others are written to as well, at a rate of their own, which are not counted.

        Raises:
            AssertionError: A message was not called within 10 s of the end.
        """
        self._phases += 1
        accepted: dict[str, float] = {}
        began, sent, sent_beside, tick = time.monotonic(), 0, 0, 0
        while (elapsed := time.monotonic() - began) < seconds:
            mine = int(elapsed * rate) - sent
            others = int(elapsed * beside_rate) - sent_beside
            text = f"{self._phases}-{tick}"
            places = [self._take() for _ in range(mine)]
            if beside:
                aside = [beside[(sent_beside + n) % len(beside)] for n in range(others)]
                await self._accept(aside, "beside")
            await self._accept(places, text)
            at = time.monotonic()
            accepted |= {f"{self._full.contacts[place]} {text}": at for place in places}
            sent, sent_beside, tick = sent + mine, sent_beside + others, tick + 1
            await asyncio.sleep(max(0.0, began + tick * _TICK_SECONDS - time.monotonic()))
        return await self._measured(accepted)

    async def _accept(self, places: Sequence[int], text: str) -> None:
        if places:
            wanted = list(dict.fromkeys(self._full.conversations[place] for place in places))
            await self._full.accept_for(wanted, text)

    def _take(self) -> int:
        self._next = (self._next + 1) % len(self._places)
        return self._places[self._next]

    async def _measured(self, accepted: dict[str, float]) -> Quantiles:
        deadline = time.monotonic() + 10
        while True:
            await asyncio.sleep(0.5)
            sends = await journal(self.graph_url)
            called = {f"{contact} {text}": at for at, contact, _, text in sends}
            late = [each for each in accepted if each not in called]
            if not late or time.monotonic() > deadline:
                break
        assert not late, f"{len(late)} of {len(accepted)} messages were not called"
        waits = sorted(max(0.0, called[each] - at) * 1000 for each, at in accepted.items())
        return Quantiles(
            p50=waits[len(waits) // 2], p99=waits[int(len(waits) * 0.99)], calls=len(waits)
        )
