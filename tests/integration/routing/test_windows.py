"""That a messaging window will close is told in time, and once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.automation import Automation
from tests.support.inbound import RULES, Inbound, inbound

from gateway.contracts.moments import rfc3339

NOTICE = timedelta(hours=1)


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Inbound]:
    async with inbound(database_url, replace(RULES, window_notice=NOTICE)) as stage:
        yield stage


@pytest.fixture
def at(stage: Inbound, database_url: str) -> Automation:
    return Automation(stage, database_url)


async def told(stage: Inbound) -> list[Any]:
    return await stage.all(
        "SELECT * FROM events WHERE type = 'gateway.conversation.window_closing.v1'"
        " ORDER BY sequence"
    )


async def pass_(at: Automation, **time: float) -> list[Any]:
    """Let time pass and timers fire, and return what was told so far."""
    at.stage.clock.advance(timedelta(**time))
    await at.timers()
    return await told(at.stage)


async def test_it_is_told_an_hour_before(at: Automation, stage: Inbound) -> None:
    channel = await at.channel(welcome=False)
    await at.change("channels", channel, human_agent=True)
    written_at = stage.clock.now()
    await at.says("hello")
    assert await pass_(at, hours=22, minutes=59, seconds=59) == []
    [event] = await pass_(at, seconds=1)
    assert event.conversation_id is not None
    assert event.channel_id == channel
    assert event.data == {
        "window": {
            "state": "open",
            "open_until": rfc3339(written_at + timedelta(hours=24)),
            "human_agent_until": rfc3339(written_at + timedelta(days=7)),
        }
    }
    assert len(await pass_(at, hours=1)) == 1
    # The next time that it is open it is told again.
    await at.says("hello again")
    assert len(await pass_(at, hours=23)) == 2
    assert await stage.value("SELECT count(*) FROM timers WHERE kind = 'window_closing'") == 0


async def test_each_action_puts_it_off(at: Automation, stage: Inbound) -> None:
    await at.channel(welcome=False)
    await at.says("hello")
    assert await pass_(at, hours=20) == []
    await at.says("still there")
    assert await pass_(at, hours=20) == []
    mid = await stage.value("SELECT source_message_id FROM messages ORDER BY sequence LIMIT 1")
    reaction = {"reaction": "love", "emoji": "❤", "action": "react", "mid": mid}
    await stage.feed(stage.item({"reaction": reaction}))
    assert await pass_(at, hours=22) == []
    assert len(await pass_(at, hours=1)) == 1


async def test_what_comes_late_is_told_at_once_or_never(at: Automation, stage: Inbound) -> None:
    await at.channel(welcome=False)
    now = stage.clock.now()
    await at.says("an hour before last midnight", at=now - timedelta(hours=23, minutes=30))
    assert len(await pass_(at)) == 1
    await at.says("long ago", visitor="74000002", at=now - timedelta(hours=25))
    assert len(await pass_(at, hours=25)) == 1


async def test_routers_side_by_side_tell_it_once(at: Automation, stage: Inbound) -> None:
    await at.channel(welcome=False)
    for n in range(10):
        await at.says("hello", visitor=f"7400010{n}")
    stage.clock.advance(timedelta(hours=23))
    await asyncio.gather(at.timers(), at.timers())
    assert len(await told(stage)) == 10


@pytest.mark.parametrize("why", ["blocked", "deleted"])
async def test_who_cannot_be_written_to_is_not_told_of(
    at: Automation, stage: Inbound, why: str
) -> None:
    channel = await at.channel(welcome=False)
    await at.says("hello")
    if why == "deleted":
        await at.change("channels", channel, status="deleted")
    else:
        await stage.execute("UPDATE contacts SET blocked_at = :now", now=stage.clock.now())
    assert await pass_(at, hours=23) == []
    assert await stage.value("SELECT count(*) FROM timers WHERE kind = 'window_closing'") == 0


async def test_it_can_be_switched_off(database_url: str) -> None:
    async with inbound(database_url) as stage:
        at = Automation(stage, database_url)
        await at.channel(welcome=False)
        await at.says("hello")
        assert await pass_(at, hours=24) == []
