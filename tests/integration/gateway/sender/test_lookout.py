"""When the sender looks for work, and where."""

import asyncio

import pytest

from gateway.db.deliveries import find_due
from gateway.domain.shards import SHARDS
from gateway.sender import lookout

pytestmark = pytest.mark.integration


@pytest.fixture
def looks(monkeypatch):
    """Give where was looked, one look after another."""
    looks = asyncio.Queue()

    async def noted(connection, shards, **wanted):
        looks.put_nowait(set(shards))
        return await find_due(connection, shards, **wanted)

    monkeypatch.setattr(lookout, "find_due", noted)
    return looks


async def test_what_is_announced_does_not_wait_while_looking_everywhere_rests(
    outbox, looks, monkeypatch
):
    # For as long as it ever does.
    monkeypatch.setattr(lookout, "_PAUSE", 1_000_000)
    async with outbox.sender() as (sender, _), asyncio.timeout(10):
        assert len(await looks.get()) == SHARDS
        sender.wake([7])
        assert await looks.get() == {7}


async def test_what_was_not_announced_is_found_by_looking_everywhere(outbox, looks):
    async with outbox.sender(), asyncio.timeout(10):
        for _ in range(2):
            assert len(await looks.get()) == SHARDS
