"""Which endpoints get an event: each that is to have it, once."""

import itertools
import json
from collections.abc import AsyncIterator

import pytest
from tests.support.desk import Desk, desk

from gateway.db.outbox import NewEvent
from gateway.domain import ids

CHAT = {"mode": "chat"}
SUBSCRIPTIONS = {
    "none": [],
    "all": ["*"],
    "prefix": ["gateway.message.*"],
    "exact": ["gateway.message.received.v1"],
    "exact and all": ["gateway.message.received.v1", "*", "gateway.*"],
    "another": ["gateway.enquiry.opened.v1"],
}


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[Desk]:
    async with desk(database_url) as opened:
        yield opened


async def _announce(at: Desk, channel: str | None, **more: object) -> str:
    event = NewEvent(
        type="gateway.message.received.v1",
        account_id=at.account,
        channel_id=channel,
        occurred_at=at.clock.now(),
        data={},
        **more,
    )
    async with at.database.unit_of_work() as work:
        work.announce(event)
    return event.id


async def _getting(at: Desk, event_id: str) -> list[str]:
    rows = await at.all("SELECT target_id FROM deliveries WHERE event_id = :id", id=event_id)
    return sorted(row.target_id for row in rows)


@pytest.mark.parametrize("status", ["active", "paused"])
async def test_a_linked_endpoint_gets_everything_of_its_channel_once(at: Desk, status: str) -> None:
    channel = await at.channel()
    wants = {}
    for name, types in SUBSCRIPTIONS.items():
        for served in ([], [channel], [ids.new_id(ids.CHANNEL)]):
            endpoint = await at.endpoint(status, channel_ids=served)
            await at.change("endpoints", endpoint, event_types=types)
            heard = name not in ("none", "another") and served in ([], [channel])
            wants[endpoint] = heard
    conversations = ids.new_id(ids.CONVERSATION), None
    for linked, conversation, chosen in itertools.product(
        [None, *wants], conversations, (False, True)
    ):
        link = CHAT if linked is None else {"mode": "external_endpoint", "endpoint_id": linked}
        await at.execute(
            "UPDATE channels SET link = CAST(:link AS jsonb) WHERE id = :id",
            id=channel,
            link=json.dumps(link),
        )
        event = await _announce(
            at,
            channel,
            conversation_id=conversation,
            sequence=None if conversation is None else 1,
            also_to=(linked, linked) if chosen and linked is not None else (),
        )
        # As many deliveries as endpoints that are to have it: none has it twice.
        expected = sorted(each for each, heard in wants.items() if heard or each == linked)
        assert await _getting(at, event) == expected, (linked, conversation, chosen)


async def test_what_is_of_another_channel_or_of_none_it_does_not_get(at: Desk) -> None:
    own = await at.endpoint()
    await at.channel(link={"mode": "external_endpoint", "endpoint_id": own})
    assert await _getting(at, await _announce(at, await at.channel())) == []
    assert await _getting(at, await _announce(at, None)) == []


async def test_one_endpoint_may_have_several_channels(at: Desk) -> None:
    own = await at.endpoint()
    link = {"mode": "external_endpoint", "endpoint_id": own}
    for channel in (await at.channel(link=link), await at.channel(link=link)):
        assert await _getting(at, await _announce(at, channel)) == [own]


async def test_what_is_for_one_alone_the_linked_one_does_not_get(at: Desk) -> None:
    own, tried = await at.endpoint(), await at.endpoint()
    channel = await at.channel(link={"mode": "external_endpoint", "endpoint_id": own})
    assert await _getting(at, await _announce(at, channel, only_to=tried)) == [tried]


async def test_the_whole_life_of_an_enquiry_reaches_it_once(at: Desk) -> None:
    own, ada = await at.endpoint(), await at.agent()
    await at.change("endpoints", own, event_types=["*"])
    # It is the channel's, a destination of its rule, and subscribed to everything.
    channel = await at.channel(own, ada, link={"mode": "external_endpoint", "endpoint_id": own})
    enquiry = await at.say(channel) or ""
    await at.send(channel, agent=ada)
    await at.transfer(enquiry, ada)
    await at.accept(enquiry, ada)
    await at.transfer(enquiry, own)
    await at.close(enquiry)
    written = await at.value("SELECT count(*) FROM events WHERE channel_id = :id", id=channel)
    rows = await at.all("SELECT event_id FROM deliveries WHERE target_id = :id", id=own)
    assert len(rows) == len({row.event_id for row in rows}) == written
    assert written > 8
