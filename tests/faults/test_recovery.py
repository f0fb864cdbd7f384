"""Whatever is killed is back, and does what it is asked for, within the time that is promised."""

import asyncio
import sys
import time

import pytest
from tests.faults.recovery import recoveries
from tests.faults.totals import add_run

pytestmark = pytest.mark.faults

_LIMITS = {"ingress": 3.0, "routing": 15.0, "sender": 15.0, "postgresql": 10.0, "broker": 30.0}
# Where others have the processor, a start takes long whatever is started: what this takes by
# itself is a fifth of the shortest limit on a machine that has time.
_START = ("-c", "import aiokafka, fastapi, sqlalchemy")
_STARTS = 4.0


@pytest.mark.timeout(400)
async def test_work_goes_on_soon_after_a_kill() -> None:
    starts = [await _start()]
    seconds = {}
    async for part, each in recoveries(rounds=2):
        seconds[part] = round(each, 2)
        starts.append(await _start())
    add_run("recovery: seconds", seconds | {"start": round(max(starts), 2)})
    patience = _STARTS * max(starts)
    assert seconds.keys() == _LIMITS.keys()
    assert not {p: each for p, each in seconds.items() if each > max(_LIMITS[p], patience)}, starts


async def _start() -> float:
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(sys.executable, *_START)
    assert await process.wait() == 0
    return time.monotonic() - began
