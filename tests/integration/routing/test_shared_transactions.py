"""Many events in one transaction: each sees what those before it did, and none ends the others."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.inbound import APP, PAGE, Inbound, inbound

from gateway.broker.records import Record
from gateway.db.channels import get_channel
from gateway.db.first_contact import meet
from gateway.domain import ids
from gateway.domain.partition import PartitionLostError
from gateway.meta.normalise import normalise
from routing.configuration import validate_routing
from routing.inbound.worker import InboundHandler

OTHER_PAGE = "1040002"


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Inbound]:
    async with inbound(database_url) as stage:
        yield stage


@pytest.fixture
def commits() -> list[str]:
    """The points of a handler that a test has counted with `counting`."""
    return []


def counting(commits: list[str]) -> Any:
    async def at(point: str) -> None:
        if point == "after_commit":
            commits.append(point)

    return at


async def agent(stage: Inbound, *, capacity: int = 5, account: str | None = None) -> str:
    agent_id = ids.new_id(ids.AGENT)
    await stage.execute(
        "INSERT INTO agents (account_id, id, first_name, capacity, presence, created_at,"
        " updated_at) VALUES (:account, :id, 'Ada', :capacity, 'active', :now, :now)",
        account=account or stage.account,
        id=agent_id,
        capacity=capacity,
        now=stage.clock.now(),
    )
    return agent_id


async def account(stage: Inbound) -> str:
    account_id = ids.new_id(ids.ACCOUNT)
    await stage.execute(
        "INSERT INTO accounts (id, name, created_at, updated_at) VALUES (:id, 'B', :now, :now)",
        id=account_id,
        now=stage.clock.now(),
    )
    return account_id


async def route(stage: Inbound, channel: str, *destinations: str) -> None:
    routing = validate_routing(
        {"rule": "alternative", "destinations": [{"id": each} for each in destinations]}
    )
    await stage.execute(
        "UPDATE channels SET routing = CAST(:routing AS jsonb) WHERE id = :id",
        routing=json.dumps(routing),
        id=channel,
    )


def record(stage: Inbound, item: dict[str, Any], *, page: str = PAGE, partition: int = 0) -> Record:
    """Return the next record, as the ingress makes it of an item of a Page."""
    item = item | (
        {"recipient": {"id": page}} if item["recipient"]["id"] == PAGE else {"sender": {"id": page}}
    )
    body = json.dumps({"object": "page", "entry": [{"id": page, "messaging": [item]}]}).encode()
    (event,) = normalise(body, meta_app_id=APP, received_at=stage.clock.now()).events
    return replace(stage.record(event), partition=partition)


def strangers(stage: Inbound, count: int, **where: Any) -> list[Record]:
    return [
        record(stage, stage.message(f"hello {n}", visitor=f"{where.get('page', '')}{n}"), **where)
        for n in range(count)
    ]


async def statuses(stage: Inbound, account_id: str | None = None) -> list[str]:
    rows = await stage.all(
        "SELECT e.status, e.queued_at FROM enquiries e WHERE e.account_id = :account ORDER BY e.id",
        account=account_id or stage.account,
    )
    return ["queued" if row.queued_at else row.status for row in rows]


async def texts(stage: Inbound) -> list[str]:
    rows = await stage.all("SELECT content FROM messages ORDER BY conversation_id, sequence")
    return [row.content["text"] for row in rows]


async def test_five_strangers_and_one_agent_with_room_for_two(
    stage: Inbound, commits: list[str]
) -> None:
    channel = await stage.channel()
    await route(stage, channel, await agent(stage, capacity=2))
    handler = stage.another(at=counting(commits))
    await handler.assigned(1)
    await handler.handle(1, strangers(stage, 5, partition=1))
    assert len(commits) == 1
    assert await statuses(stage) == ["offered", "offered", "open", "open", "open"]
    assert await stage.value("SELECT count(*) FROM offers WHERE status = 'pending'") == 2
    assert await stage.value("SELECT count(*) FROM timers WHERE kind = 'waiting'") == 5
    assert await stage.value("SELECT count(*) FROM timers WHERE kind = 'offer'") == 2
    assignment = await stage.value("SELECT assignment FROM enquiries ORDER BY id DESC LIMIT 1")
    [considered] = assignment["considered"]
    assert considered["reason"] == "full"


async def test_agents_are_asked_in_turn_as_those_before_fill_up(stage: Inbound) -> None:
    channel = await stage.channel()
    first, second = await agent(stage, capacity=1), await agent(stage, capacity=1)
    await route(stage, channel, first, second)
    await stage.handler.handle(0, strangers(stage, 3))
    rows = await stage.all("SELECT agent_id FROM offers ORDER BY id")
    assert [row.agent_id for row in rows] == [first, second]
    assert await statuses(stage) == ["offered", "offered", "open"]


async def test_an_account_with_two_places_lets_two_in_and_the_others_wait_in_order(
    stage: Inbound,
) -> None:
    channel = await stage.channel()
    await route(stage, channel, await agent(stage))
    await stage.execute("UPDATE accounts SET concurrent_contacts_limit = 2")
    await stage.handler.handle(0, strangers(stage, 5))
    assert await statuses(stage) == ["offered", "offered", "queued", "queued", "queued"]


async def test_a_stranger_who_writes_twice_at_once_is_one_contact_with_one_enquiry(
    stage: Inbound,
) -> None:
    await route(stage, await stage.channel(), await agent(stage))
    records = [record(stage, stage.message(each)) for each in ("one", "two", "three")]
    await stage.handler.handle(0, records)
    assert await statuses(stage) == ["offered"]
    assert await texts(stage) == ["one", "two", "three"]
    assert await stage.event_types() == [
        "message.received",
        "enquiry.opened",
        "enquiry.offered",
        "message.received",
        "message.received",
    ]
    created = "SELECT count(*) FROM events WHERE type = 'gateway.contact.created.v1'"
    assert await stage.value(created) == 1
    assert await stage.value("SELECT count(DISTINCT enquiry_id) FROM messages") == 1
    gaps = await stage.all(
        "SELECT sequence FROM events WHERE conversation_id IS NOT NULL ORDER BY sequence"
    )
    assert [row.sequence for row in gaps] == list(range(1, len(gaps) + 1))


async def test_what_was_missed_is_reopened_by_the_next_message_of_the_batch(
    stage: Inbound,
) -> None:
    channel = await stage.channel()
    away = await agent(stage)
    await stage.execute("UPDATE agents SET presence = 'offline'")
    await route(stage, channel, away)
    records = [record(stage, stage.message(each)) for each in ("one", "two")]
    await stage.handler.handle(0, records)
    assert await statuses(stage) == ["missed"]
    lines = await stage.all("SELECT type FROM timeline_entries ORDER BY sequence")
    assert [line.type for line in lines] == ["opened", "missed", "reopened", "missed"]


async def test_accounts_share_a_transaction_and_nothing_else(
    stage: Inbound, commits: list[str]
) -> None:
    other = await account(stage)
    ours = await stage.channel()
    theirs = await stage.channel(source=OTHER_PAGE, account=other)
    await route(stage, ours, await agent(stage, capacity=1))
    await route(stage, theirs, await agent(stage, capacity=2, account=other))
    await stage.execute(
        "UPDATE accounts SET concurrent_contacts_limit = 3 WHERE id = :id", id=other
    )
    handler = stage.another(at=counting(commits))
    await handler.assigned(1)
    mixed = [
        each
        for pair in zip(
            strangers(stage, 4, partition=1),
            strangers(stage, 4, page=OTHER_PAGE, partition=1),
            strict=True,
        )
        for each in pair
    ]
    await handler.handle(1, [replace(each, offset=n) for n, each in enumerate(mixed)])
    assert len(commits) == 1
    assert await statuses(stage) == ["offered", "open", "open", "open"]
    assert await statuses(stage, other) == ["offered", "offered", "open", "queued"]
    for account_id in (stage.account, other):
        rows = await stage.all(
            "SELECT sequence FROM events WHERE account_id = :id AND conversation_id IS NULL"
            " ORDER BY sequence",
            id=account_id,
        )
        assert [row.sequence for row in rows] == [1, 2, 3, 4]


async def test_one_that_cannot_be_done_is_set_aside_and_the_others_are_done(
    stage: Inbound,
) -> None:
    good = await stage.channel()
    await route(stage, good, await agent(stage, capacity=2))
    broken = await stage.channel(source=OTHER_PAGE)
    await stage.execute("UPDATE channels SET routing = '{}' WHERE id = :id", id=broken)
    records = strangers(stage, 3)
    records.insert(1, record(stage, stage.message("poison", visitor="x"), page=OTHER_PAGE))
    records = [replace(each, offset=n) for n, each in enumerate(records)]
    await stage.handler.handle(0, records)
    assert await statuses(stage) == ["offered", "offered", "open"]
    letter = await stage.one("SELECT * FROM dead_letters")
    assert (letter.reason, letter.attempts, letter.record_offset) == ("poison", 5, 1)
    assert await stage.value("SELECT next_offset FROM partition_owners") == 4


async def test_what_fails_in_one_partition_does_not_hold_up_another(stage: Inbound) -> None:
    await stage.channel()
    broken = await stage.channel(source=OTHER_PAGE)
    await stage.execute("UPDATE channels SET routing = '{}' WHERE id = :id", id=broken)
    handler = stage.another()
    for partition in (1, 2, 3):
        await handler.assigned(partition)
    poison = record(stage, stage.message("poison", visitor="x"), page=OTHER_PAGE, partition=2)
    portions = {
        1: strangers(stage, 2, partition=1),
        2: [poison],
        3: [record(stage, stage.message("three", visitor="three"), partition=3)],
    }
    await together(handler, portions)
    assert sorted(await texts(stage)) == ["hello 0", "hello 1", "three"]
    letter = await stage.one("SELECT * FROM dead_letters")
    assert (letter.reason, letter.partition) == ("poison", 2)


async def test_an_event_that_comes_twice_in_a_batch_has_one_effect(stage: Inbound) -> None:
    await stage.channel()
    first = record(stage, stage.message("once"))
    again = replace(first, offset=first.offset + 1)
    await stage.handler.handle(0, [first, again])
    assert await texts(stage) == ["once"]
    assert await statuses(stage) == ["open"]
    assert await stage.value("SELECT count(*) FROM inbox") == 1


async def test_a_stranger_to_whom_somebody_writes_at_that_moment_is_met_once(
    stage: Inbound,
) -> None:
    channel_id = await stage.channel()
    await route(stage, channel_id, await agent(stage))
    async with asyncio.TaskGroup() as group:
        async with stage.database.unit_of_work() as work:
            channel = await get_channel(work.connection, stage.account, channel_id)
            assert channel is not None
            known, conversation = await meet(work, channel, "1", partition=0)
            handling = group.create_task(stage.handler.handle(0, strangers(stage, 3)))
            await _until_somebody_waits(stage)
            conversation.take_sequence()
        await handling
    rows = await stage.all("SELECT id FROM contacts WHERE source_contact_id = '1'")
    assert [row.id for row in rows] == [known.contact_id]
    assert await stage.value("SELECT count(*) FROM conversations") == 3
    sequence = await stage.value(
        "SELECT sequence FROM messages WHERE conversation_id = :id", id=conversation.id
    )
    assert sequence == 2


async def _until_somebody_waits(stage: Inbound) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while not await stage.value(waiting):
            pass


async def test_marks_of_a_batch_see_what_those_before_them_did(stage: Inbound) -> None:
    await stage.channel()
    await stage.feed(stage.message("hello"))
    conversation = await stage.one("SELECT * FROM conversations")
    sent_at = stage.clock.now()
    for n in range(3):
        await stage.execute(
            "INSERT INTO messages (account_id, id, channel_id, conversation_id, sequence,"
            " direction, author_kind, content, status, source_message_id, platform_at,"
            " occurred_at, accepted_at) VALUES (:account, :id, :channel, :conversation, :sequence,"
            " 'outbound', 'agent', '{}', 'sent', :mid, :at, :at, :at)",
            account=stage.account,
            id=ids.new_id(ids.MESSAGE),
            channel=conversation.channel_id,
            conversation=conversation.id,
            sequence=100 + n,
            mid=f"m_out_{n}",
            at=sent_at,
        )
    watermark = round(sent_at.timestamp() * 1000)
    await stage.feed(
        stage.item({"delivery": {"mids": ["m_out_0"], "watermark": watermark - 1000}}),
        stage.item({"read": {"mid": "m_out_1"}}),
        stage.item({"read": {"watermark": watermark}}),
        stage.item({"delivery": {"mids": ["m_out_2"], "watermark": watermark}}),
    )
    rows = await stage.all(
        "SELECT status, delivered_at, read_at FROM messages WHERE direction = 'outbound'"
        " ORDER BY sequence"
    )
    assert [row.status for row in rows] == ["read"] * 3
    assert all(row.delivered_at is not None and row.read_at is not None for row in rows)
    assert (await stage.event_types())[-4:] == [
        "message.delivered",
        "message.read",
        "message.read",
        "message.read",
    ]


async def test_other_hands_in_the_middle_of_a_batch(stage: Inbound, commits: list[str]) -> None:
    await route(stage, await stage.channel(), await agent(stage))
    handler = stage.another(at=counting(commits))
    await handler.assigned(1)
    records = [
        record(stage, stage.message("before"), partition=1),
        record(stage, stage.echo(mid="m_e", app_id="263902037430900"), partition=1),
        record(stage, stage.message("after"), partition=1),
    ]
    await handler.handle(1, records)
    row = await stage.one("SELECT status, handled_by FROM enquiries")
    assert (row.status, row.handled_by) == ("ongoing", "page_inbox")
    assert await texts(stage) == ["before", "hi", "after"]
    assert await stage.value("SELECT next_offset FROM partition_owners WHERE partition = 1") == 3


async def together(handler: InboundHandler, portions: dict[int, Sequence[Record]]) -> None:
    """Have a handler do records of several partitions at the same time."""
    async with asyncio.TaskGroup() as group:
        for partition, records in portions.items():
            own = [replace(each, offset=n) for n, each in enumerate(records)]
            group.create_task(handler.handle(partition, own))


async def test_partitions_that_wait_at_the_same_moment_share_transactions(
    stage: Inbound, commits: list[str]
) -> None:
    await stage.channel()
    handler = stage.another(at=counting(commits))
    partitions = range(1, 11)
    for partition in partitions:
        await handler.assigned(partition)
    await together(
        handler,
        {
            n: [record(stage, stage.message(f"{n}", visitor=f"{n}"), partition=n)]
            for n in partitions
        },
    )
    assert sorted(map(int, await texts(stage))) == list(partitions)
    # Two lead at once, and whoever leads next takes all the others along.
    assert len(commits) == 3
    rows = await stage.all("SELECT next_offset FROM partition_owners WHERE partition > 0")
    assert [row.next_offset for row in rows] == [1] * 10


async def test_a_partition_that_was_lost_ends_nobody_elses_work(stage: Inbound) -> None:
    await stage.channel()
    handler = stage.another()
    partitions = range(1, 6)
    for partition in partitions:
        await handler.assigned(partition)
    await stage.another().assigned(3)
    portions = {
        n: [replace(record(stage, stage.message(f"{n}", visitor=f"{n}"), partition=n), offset=0)]
        for n in partitions
    }
    ended = await asyncio.gather(
        *(handler.handle(partition, records) for partition, records in portions.items()),
        return_exceptions=True,
    )
    assert [type(each) for each in ended if each is not None] == [PartitionLostError]
    assert sorted(map(int, await texts(stage))) == [1, 2, 4, 5]


async def test_two_routers_on_the_same_accounts_lock_in_one_order(
    stage: Inbound,
) -> None:
    accounts = [stage.account, *[await account(stage) for _ in range(3)]]
    pages = []
    for n, account_id in enumerate(accounts):
        page = f"104100{n}"
        channel = await stage.channel(source=page, account=account_id)
        agents = [await agent(stage, capacity=3, account=account_id) for _ in range(3)]
        await route(stage, channel, *agents)
        pages.append(page)
    routers = [stage.another(), stage.another()]
    for partition, router in enumerate(routers, start=1):
        await router.assigned(partition)

    async def traffic(partition: int, router: InboundHandler) -> None:
        for round_ in range(8):
            records = [
                record(
                    stage,
                    stage.message(f"{round_}", visitor=f"{partition}{n % 12}"),
                    page=pages[(n + partition * round_) % len(pages)],
                    partition=partition,
                )
                for n in range(24)
            ]
            await router.handle(
                partition,
                [replace(each, offset=24 * round_ + n) for n, each in enumerate(records)],
            )

    async with asyncio.TaskGroup() as group:
        for partition, router in enumerate(routers, start=1):
            group.create_task(traffic(partition, router))
    assert await stage.dead_letters() == []
    assert await stage.value("SELECT count(*) FROM messages") == 2 * 8 * 24
    deadlocks = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    async with stage.engine.connect() as connection:
        assert (await connection.execute(deadlocks)).scalar_one() == 0
    overloaded = await stage.all(
        "SELECT agent_id FROM offers WHERE status = 'pending' GROUP BY agent_id HAVING count(*) > 3"
    )
    assert overloaded == []
    twice = await stage.all(
        "SELECT conversation_id FROM enquiries GROUP BY conversation_id HAVING count(*) > 1"
    )
    assert twice == []
