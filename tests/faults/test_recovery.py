"""Whatever is killed is back, and does what it is asked for, within the time that is promised."""

import pytest
from tests.faults.recovery import recoveries
from tests.faults.totals import add_run

pytestmark = pytest.mark.faults

_LIMITS = {"ingress": 3.0, "routing": 15.0, "sender": 15.0, "postgresql": 10.0, "broker": 30.0}


@pytest.mark.timeout(400)
async def test_work_goes_on_soon_after_a_kill() -> None:
    seconds = {part: round(each, 2) async for part, each in recoveries(rounds=2)}
    add_run("recovery: seconds", seconds)
    late = {part: each for part, each in seconds.items() if each > _LIMITS[part]}
    assert seconds.keys() == _LIMITS.keys()
    assert not late
