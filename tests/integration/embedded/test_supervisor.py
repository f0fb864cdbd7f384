import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable

import pytest
from tests.support.processes import gone

from gateway.embedded import EmbeddedError, Program, Supervisor, ending_signals

_RUN = "import time; print('on', flush=True); time.sleep(600)"
_RESIST = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {_RUN}"


class Spoken:
    """What programs said, to wait for."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def of(self, name: str) -> Callable[[str], None]:
        return lambda line: self.lines.put_nowait((name, line))

    async def next(self) -> tuple[str, str]:
        async with asyncio.timeout(10):
            return await self.lines.get()


@pytest.fixture
def spoken() -> Spoken:
    return Spoken()


def _program(code: str, output: Callable[[str], None], *, ending_seconds: float = 5) -> Program:
    return Program(
        [sys.executable, "-c", code], env={}, output=output, ending_seconds=ending_seconds
    )


async def test_what_dies_is_started_again_within_a_second(spoken: Spoken):
    restarted: asyncio.Queue[str] = asyncio.Queue()
    async with Supervisor(on_restart=restarted.put) as supervisor:
        await supervisor.start("api", _program(_RUN, spoken.of("api")), stage=1, restart=True)
        await spoken.next()
        before = supervisor.pids["api"]
        os.kill(before, signal.SIGKILL)
        async with asyncio.timeout(1):
            assert await restarted.get() == "api"
        after = supervisor.pids["api"]
        assert after != before
        await spoken.next()
    await gone(after)
    assert supervisor.pids == {}


async def test_what_dies_at_once_is_started_again_and_again_but_not_madly(spoken: Spoken):
    async with Supervisor() as supervisor:
        await supervisor.start(
            "api", _program("print('up')", spoken.of("api")), stage=1, restart=True
        )
        began = asyncio.get_running_loop().time()
        for _ in range(3):
            await spoken.next()
        assert 0.9 < asyncio.get_running_loop().time() - began < 3


async def test_what_need_not_be_there_stays_away(spoken: Spoken):
    async with Supervisor() as supervisor:
        await supervisor.start("demo", _program("", spoken.of("demo")), stage=2, restart=False)
        await supervisor.start("api", _program(_RUN, spoken.of("api")), stage=1, restart=True)
        await spoken.next()
        os.kill(supervisor.pids["api"], signal.SIGKILL)
        # By the time the other one is back, this one had every chance.
        await spoken.next()
        assert list(supervisor.pids) == ["api"]


async def test_stages_end_in_falling_order(spoken: Spoken):
    tell = (
        "import os, signal, time\n"
        "def end(*_): os.write(1, b'bye\\n'); os._exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"{_RUN}"
    )
    async with Supervisor() as supervisor:
        for name, stage in (("database", 0), ("api", 1), ("sender", 1), ("demo", 2)):
            await supervisor.start(name, _program(tell, spoken.of(name)), stage=stage, restart=True)
            assert await spoken.next() == (name, "on")
        assert list(supervisor.pids) == ["database", "api", "sender", "demo"]
    farewells = [await spoken.next() for _ in range(4)]
    assert farewells[0] == ("demo", "bye")
    assert set(farewells[1:3]) == {("api", "bye"), ("sender", "bye")}
    assert farewells[3] == ("database", "bye")


async def test_what_resists_is_killed(spoken: Spoken):
    async with Supervisor() as supervisor:
        await supervisor.start(
            "api", _program(_RESIST, spoken.of("api"), ending_seconds=0.1), stage=1, restart=True
        )
        await spoken.next()
        pid = supervisor.pids["api"]
    await gone(pid)


async def test_who_hurries_does_not_wait(spoken: Spoken):
    async with Supervisor() as supervisor:
        await supervisor.start(
            "api", _program(_RESIST, spoken.of("api"), ending_seconds=600), stage=1, restart=True
        )
        await spoken.next()
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(supervisor.stop())
            await asyncio.sleep(0)
            supervisor.hurry()
        assert supervisor.pids == {}


async def test_an_error_passes_through_and_leaves_nothing_behind(spoken: Spoken):
    pids: list[int] = []

    async def fail() -> None:
        async with Supervisor() as supervisor:
            await supervisor.start("api", _program(_RUN, spoken.of("api")), stage=1, restart=True)
            pids.extend(supervisor.pids.values())
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    await gone(pids[0])


async def test_being_cancelled_twice_leaves_nothing_behind(spoken: Spoken):
    pids: list[int] = []

    async def run() -> None:
        async with Supervisor() as supervisor:
            await supervisor.start(
                "api",
                _program(_RESIST, spoken.of("api"), ending_seconds=600),
                stage=1,
                restart=True,
            )
            await spoken.next()
            pids.extend(supervisor.pids.values())
            running.set()
            await asyncio.Event().wait()

    running = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
        await running.wait()
        task.cancel()
        # Once to leave the body, once more out of the wait for the program that resists.
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
    await gone(pids[0])


class Flaky:
    """A server that starts only when it feels like it."""

    def __init__(self, *starts: Exception | None) -> None:
        self.starts = deque(starts)
        self.started: asyncio.Queue[None] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.pid: int | None = None

    async def start(self) -> None:
        error = self.starts.popleft()
        if error is not None:
            raise error
        self.ended.clear()
        self.started.put_nowait(None)

    async def wait(self) -> int:
        await self.ended.wait()
        return 1

    async def stop(self) -> None:
        self.ended.set()

    async def kill(self) -> None:
        self.ended.set()


async def test_a_server_that_does_not_come_back_at_first_is_tried_again():
    server = Flaky(None, EmbeddedError("port taken"), OSError("no memory"), None)
    async with Supervisor() as supervisor:
        await supervisor.start("postgres", server, stage=0, restart=True)
        await server.started.get()
        server.ended.set()
        async with asyncio.timeout(5):
            await server.started.get()
    assert not server.starts


async def test_nothing_is_started_again_once_the_end_has_begun():
    server = Flaky(None)
    async with Supervisor() as supervisor:
        await supervisor.start("postgres", server, stage=0, restart=True)
        await supervisor.stop()
    assert server.started.qsize() == 1


async def test_a_server_that_does_not_start_is_the_callers_to_know():
    async with Supervisor() as supervisor:
        with pytest.raises(EmbeddedError):
            await supervisor.start("x", Flaky(EmbeddedError("no")), stage=0, restart=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signals_ask_for_an_end_and_then_insist(number: signal.Signals):
    insisted = asyncio.Event()
    with ending_signals(again=insisted.set) as asked:
        os.kill(os.getpid(), number)
        await asked.wait()
        assert not insisted.is_set()
        os.kill(os.getpid(), number)
        await insisted.wait()
