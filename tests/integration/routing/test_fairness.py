"""Shares that hold whoever routes: three routers at once, one of which dies on the way."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.inbound import APP, PAGE, Inbound, inbound

from gateway.broker.records import Record
from gateway.domain import ids
from gateway.meta.normalise import normalise
from routing.configuration import validate_routing

if TYPE_CHECKING:
    from routing.inbound.worker import InboundHandler

ROUTERS = 3
SHARES = (50, 30, 20)
# How many enquiries come between two moments at which the first agent comes or goes.
PHASES = 10

COUNTS = [600, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]


class KilledError(BaseException):
    """The process died here."""


class Routers:
    """Three routers, each with a partition of its own, and one channel that shares out."""

    def __init__(self, stage: Inbound) -> None:
        self.stage = stage
        self.agents: list[str] = []
        self._visitors = itertools.count()
        self._offsets = [0] * ROUTERS
        self._handlers: list[InboundHandler] = []

    async def set_up(self) -> None:
        stage = self.stage
        self.agents = [ids.new_id(ids.AGENT) for _ in SHARES]
        for agent in self.agents:
            await stage.execute(
                "INSERT INTO agents (account_id, id, first_name, capacity, presence, created_at,"
                " updated_at) VALUES (:account, :id, 'Ada', 100000, 'active', :now, :now)",
                account=stage.account,
                id=agent,
                now=stage.clock.now(),
            )
        await stage.execute("UPDATE accounts SET concurrent_contacts_limit = 100000")
        shared = zip(self.agents, SHARES, strict=True)
        routing = validate_routing(
            {
                "rule": "percentage",
                "destinations": [{"id": agent, "share": share} for agent, share in shared],
            }
        )
        await stage.execute(
            "UPDATE channels SET routing = CAST(:routing AS jsonb) WHERE id = :id",
            routing=json.dumps(routing),
            id=await stage.channel(),
        )
        self._handlers = [stage.another(calm_seconds=0) for _ in range(ROUTERS)]
        for partition, handler in enumerate(self._handlers):
            await handler.assigned(partition)

    async def write(self, count: int) -> None:
        """Let so many strangers write at the same time, each heard by one of the routers."""
        parts: list[list[Record]] = [[] for _ in range(ROUTERS)]
        for n in range(count):
            partition = n % ROUTERS
            parts[partition].append(self._record(partition))
        await asyncio.gather(
            *(
                self._handlers[partition].handle(partition, part)
                for partition, part in enumerate(parts)
            )
        )

    async def write_and_die(self, count: int) -> None:
        """Let strangers write to a router that dies just before it commits, and to its heir."""

        async def die(point: str) -> None:
            if point == "before_commit":
                raise KilledError

        records = [self._record(0) for _ in range(count)]
        dying = self.stage.another(calm_seconds=0, at=die)
        await dying.assigned(0)
        with pytest.raises(KilledError):
            await dying.handle(0, records)
        heir = self._handlers[0]
        await heir.assigned(0)
        await heir.handle(0, records)
        # An heir goes record by record for a while; one who takes over in order does not.
        await heir.revoked(0)
        await heir.assigned(0)

    async def first_agent_is(self, presence: str) -> None:
        await self.stage.execute(
            "UPDATE agents SET presence = :presence WHERE id = :id",
            presence=presence,
            id=self.agents[0],
        )

    async def taken(self) -> Sequence[int]:
        """Return how many enquiries each agent was asked about."""
        rows = await self.stage.all("SELECT agent_id, count(*) AS asked FROM offers GROUP BY 1")
        counts = Counter({row.agent_id: row.asked for row in rows})
        return [counts[agent] for agent in self.agents]

    def _record(self, partition: int) -> Record:
        item = self.stage.message(visitor=str(next(self._visitors)))
        body = json.dumps({"object": "page", "entry": [{"id": PAGE, "messaging": [item]}]})
        now = self.stage.clock.now()
        (event,) = normalise(body.encode(), meta_app_id=APP, received_at=now).events
        offset = self._offsets[partition]
        self._offsets[partition] += 1
        return replace(self.stage.record(event), partition=partition, offset=offset)


@pytest.mark.parametrize("enquiries", COUNTS)
async def test_each_gets_its_share(database_url: str, enquiries: int) -> None:
    async with inbound(database_url) as stage:
        routers = Routers(stage)
        await routers.set_up()
        half = enquiries // 2
        await routers.write(half)
        await routers.write_and_die(20)
        await routers.write(half - 20)
        taken = await routers.taken()
    assert sum(taken) == enquiries
    for count, share in zip(taken, SHARES, strict=True):
        assert abs(count - enquiries * share / 100) <= 3, taken


@pytest.mark.parametrize("enquiries", COUNTS)
async def test_who_is_away_half_of_the_time_leaves_the_others_their_shares(
    database_url: str, enquiries: int
) -> None:
    async with inbound(database_url) as stage:
        routers = Routers(stage)
        await routers.set_up()
        for phase in range(PHASES):
            await routers.first_agent_is("offline" if phase % 2 else "active")
            await routers.write(enquiries // PHASES)
        first, second, third = await routers.taken()
    assert first + second + third == enquiries
    assert abs(second / (second + third) - 0.6) <= 0.01, (first, second, third)
    # Nor does the first make up for the time away.
    assert abs(first / enquiries - 0.25) <= 0.01, (first, second, third)
