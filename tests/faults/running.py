"""Traffic through the stage while something is done to it, and the verdict afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
from tests.e2e.stack import Gateway
from tests.faults.checker import check
from tests.faults.deployment import Deployment
from tests.faults.ledger import Ledger
from tests.faults.traffic import Plan, Traffic

# So many Pages that each of two senders is sure to have some of them in its shards.
PLAN: Final = Plan(contacts=80, accounts=2, pages=8, rate=20)
_MANY: Final = 1_000_000
_IN_FLIGHT: Final = """
    SELECT message_id, attempt FROM deliveries WHERE status = 'sending' AND kind = 'message'
"""
_LATE: Final = """
    SELECT coalesce(extract(epoch FROM (SELECT max(late) FROM (
      SELECT max(m.accepted_at - m.occurred_at) - min(m.accepted_at - m.occurred_at) AS late
      FROM messages m JOIN channels c ON c.account_id = m.account_id AND c.id = m.channel_id
      WHERE m.direction = 'inbound' AND m.account_id = ANY($1) GROUP BY c.kind) AS kinds)),
      0)::float AS effect,
    coalesce(extract(epoch FROM (
      SELECT max(first_attempt_at - created_at) FROM deliveries
      WHERE kind = 'message' AND account_id = ANY($1))), 0)::float AS call
"""


@dataclass(frozen=True)
class Run:
    """One test's traffic and what is known of it."""

    name: str
    deployment: Deployment
    ledger: Ledger = field(default_factory=Ledger)

    async def note(self, blow: str, process: str) -> None:
        """Write a blow down, with the calls that it may have struck."""
        role = process.partition("-")[0]
        rows = await self.fetch(_IN_FLIGHT) if role == "sender" else []
        in_flight = [list(row) for row in rows]
        self.ledger.note("blow", blow=blow, role=role, pid=0, in_flight=in_flight)

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """Ask the database."""
        connection = await asyncpg.connect(self.deployment.postgres_dsn)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def longest_waits(self) -> dict[str, float]:
        """Return for how many seconds what people wrote waited for its `effect` at most.

        And an accepted message for its `call`. What the quickest effect on a kind of channel took
        is left out: the product's clock may be ahead of Meta's, while third parties go by ours.
        """
        accounts = [entry["account"] for entry in self.ledger.of("account")]
        (late,) = await self.fetch(_LATE, accounts)
        return {name: round(seconds, 2) for name, seconds in late.items()}

    async def require_clean(self) -> dict[str, Any]:
        """Wait until all is settled; raise where anything was lost, doubled or out of order."""
        verdict = await check(self.ledger, self.deployment, name=self.name, advance_clock=True)
        verdict.require_clean()
        return verdict.totals


@asynccontextmanager
async def under_traffic(gateway: Gateway, name: str, plan: Plan = PLAN) -> AsyncIterator[Run]:
    """Let people write and be answered meanwhile, and then until everything was heard."""
    run = Run(name, Deployment.of(gateway.description))
    traffic = Traffic(run.deployment, run.ledger, plan)
    await traffic.prepare()
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(traffic.run(webhooks=_MANY, until=enough))
        yield run
        enough.set()
