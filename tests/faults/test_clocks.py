"""Processes whose machine's clock is ten minutes off: not ready, and right all the same."""

from datetime import datetime, timedelta

import pytest
from tests.e2e.stack import Gateway
from tests.faults.roles import Stage
from tests.faults.running import under_traffic

pytestmark = pytest.mark.faults

_OFF = {
    "api-1": -600.0,
    "api-2": -600.0,
    "routing-1": -600.0,
    "routing-2": 600.0,
    "sender-1": 600.0,
    "sender-2": 600.0,
}
_WINDOW_SECONDS = 24 * 3600
_TOLERANCE = timedelta(seconds=5)
_PRODUCT_CLOCK = "SELECT gateway_now() AS now"


async def test_a_clock_ten_minutes_off_changes_nothing_but_readiness(
    stage: Stage, staged: Gateway
) -> None:
    tenant = await staged.tenant()
    page = await tenant.page()
    try:
        async with under_traffic(staged, "clocks") as run:
            for name, seconds in _OFF.items():
                stage.set_clock(name, seconds)
            for name in _OFF:
                checks = await stage.until_unready(name)
                assert {check for check, state in checks.items() if state != "ok"} == {"clock"}
            # What arrives now is of now, by whichever process it comes.
            (row,) = await run.fetch(_PRODUCT_CLOCK)
            conversation = await page.conversation("what time is it?")
            event = await tenant.event("message.received")
            received = event["data"]["message"]
            occurred_at = datetime.fromisoformat(received["occurred_at"])
            assert abs(occurred_at - row["now"]) < _TOLERANCE
        # The window is open for five minutes more; by the sender's machine it has closed.
        await staged.advance_clock(_WINDOW_SECONDS - 300)
        message = await tenant.post(
            f"/v1/conversations/{conversation}/messages",
            {"content": {"type": "text", "text": "just in time"}},
        )
        await tenant.event("message.sent", lambda e: e["data"]["message"]["id"] == message["id"])
        await run.require_clean()
    finally:
        for name in _OFF:
            stage.set_clock(name, 0)
    await stage.until_ready(*_OFF)
