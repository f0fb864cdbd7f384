"""Routers that die, one every few seconds, while people write and others answer.

Nothing is lost, nothing happens twice and nothing is stuck: not a message, not an enquiry, not a
word that a channel says by itself.
"""

import asyncio
import random
from collections import Counter
from typing import Any

import httpx
import pytest
from tests.e2e.stack import Gateway
from tests.faults.cast import Account
from tests.faults.deployment import Deployment
from tests.faults.ledger import Ledger
from tests.faults.roles import Stage
from tests.faults.running import Run
from tests.faults.staff import Staff
from tests.faults.traffic import Plan, Traffic
from tests.support.desk import Desk
from tests.support.promises import forget_nobody

from gateway.clock import SystemClock
from gateway.db.engine import create_engine
from gateway.db.secrets import KeyRing, generate_key
from gateway.db.unit_of_work import Database

pytestmark = pytest.mark.faults

AGENTS = 50
KILL_EVERY = 5.0
KILLS = 12
PLAN = Plan(contacts=2_000, rate=50, answered=0.0)
# Fewer than come at once, so that some wait outside, on a slow machine too.
LIMIT = 20
_MANY = 1_000_000

_SPOKEN = """
    SELECT DISTINCT c.id FROM conversations c
    JOIN messages m ON m.account_id = c.account_id AND m.conversation_id = c.id
    WHERE c.account_id = ANY($1) AND m.direction = 'inbound'
"""
_CAUSES = """
    SELECT automation_cause AS cause, count(*) AS times FROM messages
    WHERE account_id = ANY($1) AND automation_cause IS NOT NULL GROUP BY 1
"""
_MISSED = """
    SELECT DISTINCT enquiry_id FROM events
    WHERE account_id = ANY($1) AND type = 'gateway.enquiry.missed.v1'
"""
_ENQUIRIES = """
    SELECT conversation_id, count(*) AS count FROM enquiries WHERE account_id = ANY($1) GROUP BY 1
"""
_TOLD = "SELECT type, count(*) AS count FROM events WHERE account_id = ANY($1) GROUP BY 1"
_WITHOUT = """
    SELECT count(*) AS count FROM messages
    WHERE account_id = ANY($1) AND direction = 'inbound' AND enquiry_id IS NULL
"""


@pytest.mark.timeout(600)
async def test_three_routers_die_in_turn_while_two_thousand_are_served(
    three_routers: Stage,
) -> None:
    async with three_routers.gateway() as gateway:
        run = Run("routers", Deployment.of(gateway.description))
        traffic = Traffic(run.deployment, run.ledger, PLAN)
        await traffic.prepare()
        async with httpx.AsyncClient(
            base_url=run.deployment.api_url, timeout=30, trust_env=False
        ) as client:
            staff = await _staff(gateway, traffic, client)
            await _serve(three_routers, traffic, staff, run.ledger)
            for each in traffic.cast.accounts:
                await _let_in(gateway, each, _MANY)
            await asyncio.gather(*(each.finish() for each in staff))
        totals = await run.require_clean()
        accounts = [account.id for account in traffic.cast.accounts]
        await _require_each_enquiry_once(run, accounts)
        await _require_each_word_once(run, accounts)
        for account in accounts:
            await _require_promises(run.deployment, account)
        told = Counter({row["type"]: row["count"] for row in await run.fetch(_TOLD, accounts)})
    assert totals["kills.routing"] == KILLS
    for name in (
        "offered",
        "accepted",
        "rejected",
        "offer_withdrawn",
        "queued",
        "missed",
        "closed",
    ):
        assert told[f"gateway.enquiry.{name}.v1"] > 20, told


async def _staff(gateway: Gateway, traffic: Traffic, client: httpx.AsyncClient) -> list[Staff]:
    accounts = traffic.cast.accounts
    staff = []
    for account in accounts:
        await _let_in(gateway, account, LIMIT)
        channels = [each for each in traffic.cast.channels.values() if each.account is account]
        staff.append(Staff(account, channels, AGENTS // len(accounts), random.Random(account.id)))
        await staff[-1].settle_in(client)
    return staff


async def _let_in(gateway: Gateway, account: Account, contacts: int) -> None:
    limit = {"concurrent_contacts_limit": contacts}
    await gateway.admin("PATCH", f"/v1/accounts/{account.id}", limit)


async def _serve(stage: Stage, traffic: Traffic, staff: list[Staff], ledger: Ledger) -> None:
    """Let people write and be served while routers die, and then until everything was heard."""
    over = asyncio.Event()

    async def strike() -> None:
        await stage.kill_in_turn("routing", every=KILL_EVERY, times=KILLS, ledger=ledger)
        over.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(strike())
        working = [group.create_task(each.work(over)) for each in staff]
        await traffic.run(webhooks=_MANY, until=over)
        await asyncio.gather(*working)


async def _require_each_enquiry_once(run: Run, accounts: list[str]) -> None:
    """Everybody wrote within an intermission of the last end, so each has one enquiry."""
    spoken = {row["id"] for row in await run.fetch(_SPOKEN, accounts)}
    counts = {row["conversation_id"]: row["count"] for row in await run.fetch(_ENQUIRIES, accounts)}
    assert counts == dict.fromkeys(spoken, 1)
    assert (await run.fetch(_WITHOUT, accounts))[0]["count"] == 0


async def _require_each_word_once(run: Run, accounts: list[str]) -> None:
    """Greeted once on the first message, told once an enquiry that nobody is there."""
    spoken = {row["id"] for row in await run.fetch(_SPOKEN, accounts)}
    missed = {row["enquiry_id"] for row in await run.fetch(_MISSED, accounts)}
    said = Counter({row["cause"]: row["times"] for row in await run.fetch(_CAUSES, accounts)})
    wanted = [f"welcome:{each}" for each in spoken] + [f"away:{each}" for each in missed]
    assert said == Counter(wanted)


async def _require_promises(deployment: Deployment, account: str) -> None:
    engine = create_engine(
        deployment.database_url, pool_size=1, max_overflow=1, application_name="tests"
    )
    clock: Any = SystemClock()
    database = Database(engine, clock=clock, keyring=KeyRing.from_text(generate_key("test")))
    try:
        await forget_nobody(Desk(deployment.database_url, engine, clock, database, account))
    finally:
        await engine.dispose()
