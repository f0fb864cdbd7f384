"""Loads that wait at the same moment are run together, a few runs at a time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from routing.inbound.convoy import Convoy


@dataclass
class Load:
    name: str
    size: int = 1


class Runs:
    """What was run together; each run waits until a test lets it end."""

    def __init__(self) -> None:
        self.loads: list[list[str]] = []
        self._gates: list[asyncio.Future[None]] = []
        self._begun = asyncio.Event()

    async def run(self, loads: Sequence[Load]) -> None:
        gate = asyncio.get_running_loop().create_future()
        self.loads.append([load.name for load in loads])
        self._gates.append(gate)
        self._begun.set()
        await gate

    async def begun(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.loads) < count:
                self._begun.clear()
                await self._begun.wait()

    def end(self, n: int, error: BaseException | None = None) -> None:
        if error is None:
            self._gates[n].set_result(None)
        else:
            self._gates[n].set_exception(error)


@pytest.fixture
def runs() -> Runs:
    return Runs()


async def test_who_comes_alone_runs_at_once(runs: Runs) -> None:
    convoy = Convoy(runs.run, at_once=1, most=10)
    async with asyncio.TaskGroup() as group:
        group.create_task(convoy.ride(Load("a")))
        await runs.begun(1)
        runs.end(0)
    assert runs.loads == [["a"]]


async def test_those_that_wait_ride_together_as_far_as_they_fit(runs: Runs) -> None:
    convoy = Convoy(runs.run, at_once=1, most=5)
    async with asyncio.TaskGroup() as group:
        group.create_task(convoy.ride(Load("a")))
        await runs.begun(1)
        for name, size in (("b", 3), ("c", 3), ("d", 2), ("e", 9)):
            group.create_task(convoy.ride(Load(name, size)))
        await asyncio.sleep(0)
        runs.end(0)
        for n in (1, 2, 3):
            await runs.begun(n + 1)
            runs.end(n)
    assert runs.loads == [["a"], ["b", "d"], ["c"], ["e"]]


async def test_no_more_run_than_may(runs: Runs) -> None:
    convoy = Convoy(runs.run, at_once=2, most=1)
    async with asyncio.TaskGroup() as group:
        for name in "abcd":
            group.create_task(convoy.ride(Load(name)))
        await runs.begun(2)
        await asyncio.sleep(0)
        assert runs.loads == [["a"], ["b"]]
        runs.end(1)
        await runs.begun(3)
        for n in (0, 2):
            runs.end(n)
        await runs.begun(4)
        runs.end(3)


async def test_whoever_leads_has_the_error_and_the_riders_ask_again(runs: Runs) -> None:
    convoy = Convoy(runs.run, at_once=1, most=10)
    first = asyncio.ensure_future(convoy.ride(Load("a")))
    await runs.begun(1)
    leader = asyncio.ensure_future(convoy.ride(Load("b")))
    rider = asyncio.ensure_future(convoy.ride(Load("c")))
    await asyncio.sleep(0)
    runs.end(0)
    await runs.begun(2)
    runs.end(1, ValueError("b"))
    ended = await asyncio.gather(first, leader, rider, return_exceptions=True)
    assert [type(each) for each in ended] == [type(None), ValueError, type(None)]


async def test_who_goes_alone_takes_nobody_along(runs: Runs) -> None:
    convoy = Convoy(runs.run, at_once=1, most=10)
    async with asyncio.TaskGroup() as group:
        async with convoy.alone():
            group.create_task(convoy.ride(Load("a")))
            await asyncio.sleep(0)
            assert runs.loads == []
        await runs.begun(1)
        runs.end(0)


@pytest.mark.parametrize("gone", ["waiting", "leading", "called"])
async def test_who_is_told_to_end_holds_nobody_up(runs: Runs, gone: str) -> None:
    convoy = Convoy(runs.run, at_once=1, most=1)
    first = asyncio.ensure_future(convoy.ride(Load("a")))
    await runs.begun(1)
    second = asyncio.ensure_future(convoy.ride(Load("b")))
    third = asyncio.ensure_future(convoy.ride(Load("c")))
    await asyncio.sleep(0)
    match gone:
        case "waiting":
            second.cancel()
            await asyncio.sleep(0)
            runs.end(0)
        case "leading":
            first.cancel()
        case _:
            # Its turn has come, and it is told to end before it knows.
            runs.end(0)
            await asyncio.sleep(0)
            second.cancel()
    runs_left = 2 if gone == "leading" else 1
    for n in range(runs_left):
        await runs.begun(n + 2)
        runs.end(n + 1)
    await asyncio.wait([first, second, third])
    assert [task.cancelled() for task in (first, second, third)] == [
        gone == "leading",
        gone != "leading",
        False,
    ]
    assert runs.loads[-1] == ["c"]
