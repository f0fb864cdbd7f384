"""SIGKILL of every role while people write and are answered: nothing lost, nothing twice, in order.

What is killed here starts again by itself; nobody helps.
"""

import asyncio

import httpx
import pytest
from tests.e2e.stack import call
from tests.faults.checker import check
from tests.faults.drill import Drill, drill
from tests.faults.traffic import Plan

pytestmark = pytest.mark.faults

_ROLES = ("api", "routing", "sender")


@pytest.mark.timeout(900)
async def test_kills_at_random_while_two_thousand_people_write() -> None:
    async with drill("kills-at-random", Plan(contacts=2_000, rate=85)) as run:

        async def strike(over: asyncio.Event) -> None:
            await run.blows.kill_at_random(_ROLES, every=6, until=over)

        await run.run(strike, webhooks=4_500)
        verdict = await check(run.ledger, run.deployment, name=run.name)
        verdict.require_clean()
    totals = verdict.totals
    assert totals["webhooks"] + totals["sandbox_webhooks"] >= 6_500
    assert totals["repeats"] > 0.25 * totals["webhooks"]
    assert all(totals[f"kills.{role}"] >= 3 for role in _ROLES)
    _require_honest(totals)


@pytest.mark.timeout(400)
async def test_kills_of_the_sender_in_the_middle_of_its_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a dead sender left becomes uncertain when its calls must have ended; echoes tell."""
    # Later than that.
    monkeypatch.setenv("SANDBOX_ECHO_DELAY_SECONDS", "22")
    plan = Plan(
        contacts=100, accounts=2, pages=1, third_party=False, rate=15, repeated=0.1, answered=0.8
    )
    async with drill("kills-of-the-sender", plan) as run:
        await _slow_down(run)

        async def strike(over: asyncio.Event) -> None:
            await run.blows.kill_at_random(["sender"], every=7, until=over)

        await run.run(strike, webhooks=600)
        verdict = await check(run.ledger, run.deployment, name=run.name)
        verdict.require_clean()
    totals = verdict.totals
    assert totals["kills.sender"] >= 3
    assert totals["uncertain_ever"] > totals["uncertain_never_called"]
    _require_honest(totals)


def _require_honest(totals: dict[str, int]) -> None:
    """Only calls in flight at a kill became uncertain, and each echo that came told of one."""
    assert totals["uncertain_ever"] <= totals["in_flight_at_kills"]
    assert totals["uncertain_left"] == totals["uncertain_never_called"]


async def _slow_down(run: Drill) -> None:
    async with httpx.AsyncClient(
        base_url=run.deployment.sandbox_url, timeout=30, trust_env=False
    ) as sandbox:
        drip = {"call": "messages", "mode": "drip", "delay_ms": 5, "count": 1_000_000}
        await call(sandbox, "POST", "/control/faults", drip)
        for channel in run.traffic.cast.channels.values():
            late = {"page_id": channel.source, "mode": "delay"}
            await call(sandbox, "POST", "/control/echoes", late)
