"""What the tests of faults share: a stage with two processes of each role, and one of routers."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.e2e.stack import Gateway
from tests.faults.roles import Stage
from tests.support.loop_thread import LoopThread

# What the roles said last, for who wants to know why something failed.
_KEPT = Path(__file__).parents[2] / "build" / "stage-logs"


# Before the rules for all tests, which look at these marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            # A mark of its own would go before what its module says.
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(180))
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1", "::1", "localhost"]))
            # They share what they start, so one worker runs them all.
            item.add_marker(pytest.mark.xdist_group("faults"))


@pytest.fixture(scope="session")
def stage(loop_thread: LoopThread) -> Iterator[Stage]:
    """Two processes of each role; whoever takes one away brings it back."""
    with tempfile.TemporaryDirectory(prefix="gateway-stage-") as name:
        stage = Stage(Path(name), loop_thread)
        try:
            stage.start()
            yield stage
        finally:
            stage.stop()
            shutil.rmtree(_KEPT, ignore_errors=True)
            shutil.copytree(stage.directory / "logs", _KEPT)


@pytest.fixture
async def staged(stage: Stage) -> AsyncIterator[Gateway]:
    """The stage's gateway, all of it ready."""
    async with stage.gateway() as gateway:
        yield gateway


@pytest.fixture
async def three_routers(loop_thread: LoopThread) -> AsyncIterator[Stage]:
    """Three routers as they are shipped, beside one process of the other roles, all ready."""
    with tempfile.TemporaryDirectory(prefix="gateway-routers-") as name:
        stage = Stage(Path(name), loop_thread, each=1, counts={"routing": 3}, mortal=False)
        try:
            await asyncio.to_thread(stage.start)
            async with stage.gateway():
                yield stage
        finally:
            await asyncio.to_thread(stage.stop)
