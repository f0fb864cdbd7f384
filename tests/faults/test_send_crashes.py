"""Senders that die at each point of a send, whatever befalls it: nothing lost, doubled, reordered.

More than two hundred of them, so they live in the test's process, one after another, each under an
epoch of its own: a death ends all that one does at once, its connection to the database included,
while PostgreSQL and "Meta" live on. What processes do that are killed is seen in `test_kills.py`
and `test_crash_points.py`.
"""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.faults.lives import POINTS_OF_A_FILE, POINTS_OF_A_SEND, Lives, lives

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

_TIMES = 5
_BEFALLS = ("nothing", "retry", "throttle", "pause", "outage")


@pytest.fixture
async def stage(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Lives]:
    async with lives(database_url, tmp_path, monkeypatch) as opened:
        yield opened


async def test_a_death_at_any_point_of_a_send_whatever_befalls_it(stage: Lives) -> None:
    plans = [
        *itertools.product(_BEFALLS, POINTS_OF_A_SEND),
        *(("file", point) for point in (*POINTS_OF_A_SEND, *POINTS_OF_A_FILE)),
    ]
    for n in range(_TIMES):
        for befalls, point in plans:
            await stage.die(befalls, point, passing=n % 2 + 1)
    totals = await stage.require_clean("send-crashes")
    assert totals["kills.sender"] == _TIMES * len(plans) >= 200
    # All of it befell sends again and again while senders died around them, and was settled.
    for befalls in ("retry", "throttle", "pause", "outage"):
        assert totals[f"befell.{befalls}"] > _TIMES
    for outcome in ("retry", "throttle", "reauthenticate", "unknown"):
        assert totals[f"settled.{outcome}"]
    assert totals["uploads"] > _TIMES
    assert totals["replies"] == totals["messages.outbound"]
    assert totals.get("failed", 0) == 0
    assert totals["uncertain_ever"] <= totals["in_flight_at_kills"]
    assert totals["uncertain_left"] == totals["uncertain_never_called"]
