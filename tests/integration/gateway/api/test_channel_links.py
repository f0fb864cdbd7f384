"""What answers on a channel: exactly one of people, a bot and an endpoint."""

import asyncio
import json

import pytest
from sqlalchemy import text
from tests.support.api import pointers, problem

from gateway.db.links import hold_bot, hold_endpoint

BOT = {"name": "Prices", "rules": [{"when": {"kind": "fallback"}}]}


@pytest.fixture
async def acme(api):
    return await api.account()


@pytest.fixture
async def ids(api, acme):
    """Two bots, an endpoint and a channel."""
    made = {
        "a bot": await acme.post("/v1/bots", BOT),
        "another bot": await acme.post("/v1/bots", BOT),
        "an endpoint": await acme.post("/v1/endpoints", {"name": "CRM", "url": api.hook.url}),
    }
    found = {name: each.json()["id"] for name, each in made.items()}
    return found | {"channel": (await api.third_party(acme))["id"]}


def _named(link, ids):
    return {name: ids.get(value, value) for name, value in link.items()}


async def _patch(acme, ids, link, **more):
    named = link and _named(link, ids)
    return await acme.patch(f"/v1/channels/{ids['channel']}", {"link": named, **more})


async def test_each_mode_is_reached_from_each_other(acme, ids):
    shown = {
        "chat": {"mode": "chat", "bot_id": None, "endpoint_id": None},
        "bot": {"mode": "bot", "bot_id": ids["a bot"], "endpoint_id": None},
        "external_endpoint": {
            "mode": "external_endpoint",
            "bot_id": None,
            "endpoint_id": ids["an endpoint"],
        },
    }
    # Sent back as it was read, and as little as has to be said.
    for mode in ("bot", "external_endpoint", "chat", "external_endpoint", "bot", "chat", "chat"):
        changed = await _patch(acme, ids, shown[mode])
        assert changed.json()["link"] == shown[mode]
    for link in (
        {"mode": "bot", "bot_id": "a bot"},
        {"mode": "external_endpoint", "endpoint_id": "an endpoint"},
        {"mode": "bot", "bot_id": "a bot"},
        {"mode": "chat"},
        {"mode": "external_endpoint", "endpoint_id": "an endpoint"},
    ):
        assert (await _patch(acme, ids, link)).json()["link"] == shown[link["mode"]]
    assert (await _patch(acme, ids, None)).json()["link"] == shown["chat"]


FAULTY = [
    ("chat", {"mode": "bot"}, "/link/bot_id", "missing"),
    ("chat", {"mode": "bot", "bot_id": None}, "/link/bot_id", "missing"),
    ("chat", {"mode": "bot", "bot_id": "an endpoint"}, "/link/bot_id", "unknown-bot"),
    ("chat", {"bot_id": "bot"}, "/link/bot_id", "not-of-this-mode"),
    ("chat", {"mode": "external_endpoint"}, "/link/endpoint_id", "missing"),
    (
        "chat",
        {"mode": "external_endpoint", "endpoint_id": "a bot"},
        "/link/endpoint_id",
        "unknown-endpoint",
    ),
    (
        "chat",
        {"mode": "external_endpoint", "endpoint_id": "an endpoint", "bot_id": "a bot"},
        "/link/bot_id",
        "not-of-this-mode",
    ),
    ("bot", {"mode": "external_endpoint"}, "/link/endpoint_id", "missing"),
    ("bot", {"mode": "chat", "bot_id": "a bot"}, "/link/bot_id", "not-of-this-mode"),
    ("bot", {"endpoint_id": "an endpoint"}, "/link/endpoint_id", "not-of-this-mode"),
    ("bot", {"bot_id": None}, "/link/bot_id", "missing"),
    ("bot", {"mode": "people"}, "/link/mode", "literal-error"),
    ("bot", {"move_open": "yes"}, "/link/move_open", "bool-type"),
]


async def test_what_does_not_hold_is_pointed_at(acme, ids):
    for before, link, pointer, code in FAULTY:
        await _patch(acme, ids, {"mode": "chat"})
        if before == "bot":
            await _patch(acme, ids, {"mode": "bot", "bot_id": "a bot"})
        refused = problem(await _patch(acme, ids, link), "validation-failed", 422)
        faults = [(each["pointer"], each["code"]) for each in refused["errors"]]
        assert faults == [(pointer, code)], link
        kept = (await acme.get(f"/v1/channels/{ids['channel']}")).json()["link"]
        assert kept["mode"] == before


async def test_routing_is_told_only_when_asked_to_move(api, acme, ids):
    to_bot = {"mode": "bot", "bot_id": "a bot"}
    await _patch(acme, ids, to_bot)
    await _patch(acme, ids, {"mode": "chat", "move_open": False})
    assert api.changes.told == []
    moved = await _patch(acme, ids, {**to_bot, "move_open": True})
    assert api.changes.told == [("link", acme.account_id, ids["channel"])]
    assert "move_open" not in moved.json()["link"]
    (row,) = await api.rows("SELECT link FROM channels")
    assert row["link"] == {"mode": "bot", "bot_id": ids["a bot"]}
    # What was left where it was may follow later.
    await _patch(acme, ids, {"move_open": True})
    assert len(api.changes.told) == 2


async def test_move_open_is_for_changes_only(api, acme):
    body = {
        "kind": "third_party",
        "name": "Acme app",
        "source": {"source_name": "Acme app", "outgoing_webhook_url": api.hook.url},
        "link": {"mode": "chat", "move_open": True},
    }
    refused = problem(await acme.post("/v1/channels", body), "validation-failed", 422)
    assert pointers(refused) == ["/link/move_open"]


async def test_a_bot_that_a_channel_lives_by_stays(acme, ids):
    path = f"/v1/bots/{ids['a bot']}"
    await _patch(acme, ids, {"mode": "bot", "bot_id": "a bot"})
    problem(await acme.delete(path), "conflict", 409)
    assert (await acme.delete(f"/v1/bots/{ids['another bot']}")).status_code == 204
    await acme.delete(f"/v1/channels/{ids['channel']}")
    assert (await acme.delete(path)).status_code == 204


@pytest.mark.parametrize(
    ("mode", "noun"),
    [("bot", "bot"), ("external_endpoint", "endpoint")],
)
async def test_a_link_and_a_deletion_at_once_do_not_both_succeed(api, acme, ids, mode, noun):
    hold = {"bot": hold_bot, "endpoint": hold_endpoint}[noun]
    destination_id = ids[{"bot": "a bot", "endpoint": "an endpoint"}[noun]]
    link = {"mode": mode, f"{noun}_id": destination_id}
    async with asyncio.TaskGroup() as group, api.database.unit_of_work() as work:
        assert await hold(work.connection, acme.account_id, destination_id)
        deleting = group.create_task(acme.delete(f"/v1/{noun}s/{destination_id}"))
        await api.until_waiting()
        await work.connection.execute(
            text("UPDATE channels SET link = CAST(:link AS jsonb)"), {"link": json.dumps(link)}
        )
    problem(await deleting, "conflict", 409)
    await _patch(acme, ids, {"mode": "chat"})
    async with asyncio.TaskGroup() as group, api.database.unit_of_work() as work:
        await work.connection.execute(
            text(f"UPDATE {noun}s SET deleted_at = now() WHERE id = :id"),
            {"id": destination_id},
        )
        await work.connection.execute(
            text(f"SELECT 1 FROM {noun}s WHERE id = :id FOR UPDATE"), {"id": destination_id}
        )
        patching = group.create_task(_patch(acme, ids, link))
        await api.until_waiting()
    refused = problem(await patching, "validation-failed", 422)
    assert pointers(refused) == [f"/link/{noun}_id"]


async def test_a_change_needs_nothing_of_a_routing_that_it_leaves_alone(api, acme, ids):
    routing = {"rule": "alternative", "destinations": [{"id": ids["another bot"]}]}
    path = f"/v1/channels/{ids['channel']}"
    await acme.patch(path, {"routing": routing})
    # One of its destinations is gone, say.
    api.rules.refusal = AssertionError("nobody asked")
    changed = await acme.patch(path, {"name": "Renamed"})
    assert changed.status_code == 200, changed.text
    assert changed.json()["routing"] == routing
