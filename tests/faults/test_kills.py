"""SIGKILL of every role while people write and are answered: nothing lost, nothing twice, in order.

What is killed here starts again by itself; nobody helps.
"""

import asyncio

import pytest
from tests.faults.checker import check
from tests.faults.drill import drill
from tests.faults.traffic import Plan

pytestmark = pytest.mark.faults

_ROLES = ("api", "routing", "sender")


@pytest.mark.timeout(900)
async def test_kills_at_random_while_two_thousand_people_write() -> None:
    async with drill(Plan(contacts=2_000, rate=70)) as run:

        async def strike(over: asyncio.Event) -> None:
            await run.blows.kill_at_random(_ROLES, every=4, until=over)

        await run.run(strike, webhooks=12_000)
        verdict = await check(run.ledger, run.deployment, name="kills-at-random")
    verdict.require_clean()
    totals = verdict.totals
    assert totals["webhooks"] >= 12_000
    assert totals["repeats"] > 0.25 * totals["webhooks"]
    assert all(totals[f"kills.{role}"] >= 3 for role in _ROLES)
    assert totals["uncertain_ever"] <= totals["in_flight_at_kills"]
    # The others' echoes came, and told.
    assert totals.get("uncertain_left", 0) == totals.get("uncertain_never_called", 0)
