"""What the tests of faults share: a stage with two processes of each role, and one of routers."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.e2e.stack import Gateway
from tests.faults.roles import Stage
from tests.support.loop_thread import LoopThread


# Outermost: the marks before the rules for all tests look at them, the order after any shuffling.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Iterator[None]:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            # A mark of its own would go before what its module says.
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(180))
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1", "::1", "localhost"]))
            # They share what they start, so one worker runs them all.
            item.add_marker(pytest.mark.xdist_group("faults"))
    yield
    if "quick" not in config.option.markexpr:
        items.sort(key=_leaves_running)


def _leaves_running(item: pytest.Item) -> int:
    """Return how much of what others start runs on after a test: roles cost a core's tenth idle."""
    fixtures = getattr(item, "fixturenames", ())
    return 2 * ("running" in fixtures) + ("stage" in fixtures)


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
