"""How much memory each role has resident after 300,000 events, and whether it still grows.

Each role works through its events as fast as it goes, on core 0: the ingress takes webhooks, the
routing role empties a topic, the sender sends to a local Graph. Growth is from a third of the way,
when caches and pools are full, to the end. It takes a quarter of an hour, so it is run by name:
`make bench ARGS=memory`. MEMORY_EVENTS sets another number, MEMORY_ROLES names some of the roles,
and MEMORY_BROKER=apache takes Apache Kafka instead of the embedded broker.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from statistics import median
from typing import Any, Final

import asyncpg
import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.desk import desk
from benchmarks.figures import record
from benchmarks.ingress import register
from benchmarks.routing import fill
from benchmarks.sending import sends_to, slow_graph
from benchmarks.stage import OTHER_CORE, Role, broker_of, mebibytes, prefix_of, stage
from benchmarks.targets import Targets
from benchmarks.town import Town

_EVENTS: Final = 300_000
_WARM: Final = 1 / 3
_NEAREST: Final = 3
_POLL_SECONDS: Final = 0.5
_PATIENCE_SECONDS: Final = 900.0
_ROUND_SECONDS: Final = 4
_PAGES: Final = 30
_CONVERSATIONS: Final = 80
_GRAPH_MILLISECONDS: Final = 50
# Messages that are accepted and have not been sent: enough to keep the sender busy.
_AHEAD: Final = 8_000
_READ: Final = "SELECT coalesce(sum(next_offset), 0)::bigint FROM partition_owners"


class _Curve:
    """What a role has resident, by the events that it has done."""

    def __init__(self, name: str, role: Role, events: int) -> None:
        self._name = name
        self._prefix = prefix_of("memory", broker_of("memory"))
        self._pid = role.pid
        self._events = events
        self._began = time.monotonic()
        self._points: list[tuple[int, float]] = []

    def note(self, done: int) -> bool:
        """Take a point and tell whether all is done."""
        self._points.append((done, mebibytes(self._pid)))
        if time.monotonic() - self._began > _PATIENCE_SECONDS:
            raise TimeoutError(f"{done} of {self._events} {self._name} events are done")
        return done >= self._events

    def tell(self) -> None:
        """Record the end, and the growth since the warm-up."""
        warm, end = self._around(_WARM), self._around(1.0)
        record(f"{self._prefix}.{self._name}.after_{self._events // 3}", warm, "MiB")
        record(f"{self._prefix}.{self._name}.after_{self._events}", end, "MiB")
        record(f"{self._prefix}.{self._name}.growth_after_warm_up", (end / warm - 1) * 100, "%")

    def _around(self, share: float) -> float:
        # Several points, as collections of garbage let it swing a little.
        nearest = sorted(self._points, key=lambda point: abs(point[0] / self._events - share))
        near = [size for _, size in nearest[:_NEAREST]]
        return median(near)


def main() -> None:
    """Measure."""
    os.sched_setaffinity(0, {OTHER_CORE})
    events = int(os.environ.get("MEMORY_EVENTS", _EVENTS))  # noqa: TID251 - no setting of a role's
    wanted = os.environ.get("MEMORY_ROLES", ",".join(_ROLES))  # noqa: TID251 - see above
    for name in wanted.split(","):
        asyncio.run(_ROLES[name](events))


async def _ingress(events: int) -> None:
    async with stage(broker=broker_of("memory")) as here, here.role("api") as role:
        targets = Targets(here)
        ours = await register(here, role)
        curve, done = _Curve("api", role, events), 0
        while not curve.note(done):
            requests = targets.requests(_ROUND_SECONDS)
            # A round beside an idle moment is no load; the moment is when the next is prepared.
            done += (await targets.round(ours, requests, seconds=_ROUND_SECONDS)).load.requests
        curve.tell()


async def _routing(events: int) -> None:
    async with stage(broker=broker_of("memory")) as here:
        town = Town(accounts=4, pages=20, contacts=2_000, events=events)
        await fill(here, town, {})
        async with here.role("routing") as role:
            connection = await asyncpg.connect(here.database_url.replace("+asyncpg", ""))
            try:
                curve = _Curve("routing", role, events)
                while not curve.note(await connection.fetchval(_READ)):  # noqa: ASYNC110 - the role tells nobody
                    await asyncio.sleep(_POLL_SECONDS)
            finally:
                await connection.close()
            curve.tell()


async def _sender(events: int) -> None:
    async with (
        stage(broker=broker_of("memory")) as here,
        desk(
            here.database_url,
            here.identity.encryption_keys,
            pages=_PAGES,
            conversations_each=_CONVERSATIONS,
        ) as full,
        slow_graph(here.directory, milliseconds=_GRAPH_MILLISECONDS) as graph_url,
        here.role("sender", environment=sends_to(graph_url)) as role,
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
    ):
        curve, accepted, done = _Curve("sender", role, events), 0, 0
        while not curve.note(done):
            if accepted < events and accepted - done < _AHEAD:
                await full.accept(str(accepted))
                accepted += len(full.conversations)
            else:
                await asyncio.sleep(_POLL_SECONDS)
            done = await _attempts(client, role)
        curve.tell()


async def _attempts(client: httpx.AsyncClient, role: Role) -> int:
    text = (await client.get(f"{role.ops_url}/metrics")).text
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "gateway_delivery_attempts_total"
    )


_ROLES: Final[dict[str, Callable[[int], Coroutine[Any, Any, None]]]] = {
    "api": _ingress,
    "routing": _routing,
    "sender": _sender,
}
