"""The events feed: order, cursors, filters, waiting, and what is not kept any more."""

import asyncio

from sqlalchemy import text

from gateway.db.outbox import NewEvent
from gateway.db.publishing import find_unpublished, give_positions
from gateway.domain.shards import SHARDS


async def _announce(api, account, *names):
    async with api.database.unit_of_work() as work:
        for name in names:
            work.announce(NewEvent(f"gateway.{name}.v1", account, {"name": name}, work.now))


async def _publish(api):
    async with api.database.unit_of_work() as work:
        events = await find_unpublished(work.connection, range(SHARDS), limit=500)
        await give_positions(work.connection, events)


def _types(answer):
    assert answer.status_code == 200, answer.text
    return [item["type"].split(".", 1)[1] for item in answer.json()["data"]]


async def test_events_come_in_the_order_published_and_only_once(api) -> None:
    caller = await api.account()
    await _announce(api, caller.account_id, "message.received", "enquiry.opened")
    assert _types(await caller.get("/v1/events")) == []
    await _publish(api)
    first = await caller.get("/v1/events?limit=1")
    assert _types(first) == ["message.received.v1"]
    item = first.json()["data"][0]
    assert item["data"] == {"name": "message.received"}
    assert item["account_id"] == caller.account_id
    cursor = first.json()["next_cursor"]
    second = await caller.get(f"/v1/events?after={cursor}")
    assert _types(second) == ["enquiry.opened.v1"]
    last = await caller.get(f"/v1/events?after={second.json()['next_cursor']}")
    assert _types(last) == []
    assert last.json()["next_cursor"] == second.json()["next_cursor"]


async def test_types_filter_and_the_cursor_passes_what_was_left_out(api) -> None:
    caller = await api.account()
    await _announce(api, caller.account_id, "message.received", "enquiry.opened", "message.sent")
    await _publish(api)
    answer = await caller.get("/v1/events?types=gateway.message.*")
    assert _types(answer) == ["message.received.v1", "message.sent.v1"]
    none = await caller.get("/v1/events?types=gateway.contact.*")
    assert _types(none) == []
    assert none.json()["next_cursor"] == answer.json()["next_cursor"]


async def test_another_account_sees_nothing(api) -> None:
    one, two = await api.account(), await api.account()
    await _announce(api, one.account_id, "message.received")
    await _publish(api)
    assert _types(await two.get("/v1/events")) == []


async def test_who_waits_is_answered_when_something_comes(api) -> None:
    caller = await api.account()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(caller.get("/v1/events?wait=30"))
        await _announce(api, caller.account_id, "message.received")
        await _publish(api)
        answer = await waiting
    assert _types(answer) == ["message.received.v1"]


async def test_who_waits_is_let_go_when_the_process_ends(api) -> None:
    caller = await api.account()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(caller.get("/v1/events?wait=30"))
        await asyncio.sleep(0)
        await api.app.state.feed.close()
        assert _types(await waiting) == []


async def test_a_cursor_before_what_is_kept_is_expired(api) -> None:
    caller = await api.account()
    await _announce(api, caller.account_id, "a", "b", "c")
    await _publish(api)
    cursor = (await caller.get("/v1/events?limit=1")).json()["next_cursor"]
    async with api.database.unit_of_work() as work:
        await work.connection.execute(text("DELETE FROM events WHERE position < 3"))
    expired = await caller.get(f"/v1/events?after={cursor}")
    assert expired.status_code == 410
    assert expired.json()["type"] == "/problems/cursor-expired"
    assert _types(await caller.get("/v1/events")) == ["c.v1"]


async def test_a_malformed_cursor_is_named(api) -> None:
    caller = await api.account()
    for query in ("after=nonsense", "wait=31", "limit=0", "unknown=1"):
        answer = await caller.get(f"/v1/events?{query}")
        assert answer.status_code == 422, query
        assert answer.json()["errors"][0]["pointer"] == f"/query/{query.partition('=')[0]}"
