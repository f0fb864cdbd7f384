"""Moving a conversation's thread between apps, against the sandbox."""

from datetime import timedelta

import pytest
from tests.support.api import pointers, problem
from tests.support.talk import set_state, wrote


@pytest.fixture
async def acme(api):
    return await api.account()


@pytest.fixture
async def messenger(api, acme):
    return await api.messenger(acme)


@pytest.fixture
async def path(api, acme, messenger):
    page = messenger["source"]["page_id"]
    await api.sandbox.post(f"/control/pages/{page}/visitors/psid1/messages", json={"text": "Hello"})
    conversation, _, _ = await wrote(api.database, acme.account_id, messenger["id"], "psid1")
    return f"/v1/conversations/{conversation}"


async def owner_at_meta(api, messenger):
    page = messenger["source"]["page_id"]
    answer = await api.sandbox.get(
        f"/v26.0/{page}/thread_owner",
        params={"recipient": "psid1"},
        headers={"Authorization": f"Bearer EAA{page}"},
    )
    return [row["thread_owner"]["app_id"] for row in answer.json()["data"]]


async def changes(api):
    told = await api.events(types=("gateway.conversation.thread_changed.v1",))
    return [(data["previous_owner"], data["thread_owner"]) for _, data in told]


async def test_a_thread_is_taken_passed_and_released(api, acme, messenger, path):
    taken = await acme.post(f"{path}/thread-control", {"action": "take"})
    assert taken.status_code == 200, taken.text
    assert taken.json()["thread_owner"] == "us"
    assert await owner_at_meta(api, messenger) == [messenger["meta_app_id"]]
    # Twice does no harm, and is told once.
    await acme.post(f"{path}/thread-control", {"action": "take"})
    passed = await acme.post(
        f"{path}/thread-control", {"action": "pass", "metadata": "a complaint"}
    )
    assert passed.json()["thread_owner"] == "page_inbox"
    assert await owner_at_meta(api, messenger) == ["263902037430900"]
    (row,) = await api.rows(
        "SELECT bool_and(traceparent IS NOT NULL) AS traced FROM events"
        " WHERE type LIKE '%thread_changed%'"
    )
    assert row["traced"] is True
    refused = await acme.post(f"{path}/thread-control", {"action": "release"})
    assert problem(refused, "thread-owned-elsewhere", 409)["meta_code"] == "meta-10-2018300"
    asked = await acme.post(f"{path}/thread-control", {"action": "request"})
    assert (asked.status_code, asked.json()["thread_owner"]) == (200, "page_inbox")
    await acme.post(f"{path}/thread-control", {"action": "take"})
    released = await acme.post(f"{path}/thread-control", {"action": "release"})
    assert released.json()["thread_owner"] == "idle"
    assert await owner_at_meta(api, messenger) == []
    assert await changes(api) == [
        ("idle", "us"),
        ("us", "page_inbox"),
        ("page_inbox", "us"),
        ("us", "idle"),
    ]


async def test_what_is_ours_becomes_idle_after_a_day(acme, path, clock):
    await acme.post(f"{path}/thread-control", {"action": "take"})
    clock.advance(timedelta(hours=23))
    said = {"content": {"type": "text", "text": "Hi"}}
    assert (await acme.post(f"{path}/messages", said)).status_code == 202
    clock.advance(timedelta(hours=23))
    assert (await acme.get(path)).json()["thread_owner"] == "us"
    clock.advance(timedelta(hours=1))
    assert (await acme.get(path)).json()["thread_owner"] == "idle"


async def test_a_repeat_with_the_same_key_asks_meta_once(api, acme, path):
    headers = {"Idempotency-Key": "k1"}
    answers = [
        await acme.post(f"{path}/thread-control", {"action": "take"}, headers=headers)
        for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    journal = (await api.sandbox.get("/control/journal")).json()["data"]
    assert sum("take_thread_control" in (entry["path"] or "") for entry in journal) == 1


async def test_what_cannot_be_is_refused(api, acme, messenger, path):
    third = await api.third_party(acme)
    conversation, _, _ = await wrote(api.database, acme.account_id, third["id"])
    elsewhere = f"/v1/conversations/{conversation}/thread-control"
    refused = await acme.post(elsewhere, {"action": "take"})
    assert pointers(problem(refused, "not-supported-by-channel", 422)) == ["/action"]
    wrong = {"action": "take", "target_app_id": "1"}
    refused = await acme.post(f"{path}/thread-control", wrong)
    assert pointers(problem(refused, "validation-failed", 422)) == ["/target_app_id"]
    refused = await acme.post(f"{path}/thread-control", {"action": "pass", "target_app_id": "17"})
    assert pointers(problem(refused, "validation-failed", 422)) == ["/target_app_id"]
    problem(
        await acme.post(f"{path}/thread-control", {"action": "seize"}), "validation-failed", 422
    )
    stranger = await api.account(name="Other")
    problem(await stranger.post(f"{path}/thread-control", {"action": "take"}), "not-found", 404)
    await set_state(api.database, "channels", messenger["id"], status="suspended")
    refused = await acme.post(f"{path}/thread-control", {"action": "take"})
    problem(refused, "channel-suspended", 409)
    assert await changes(api) == []


async def test_metas_faults_leave_everything_as_it_is(api, acme, messenger, path):
    page = messenger["source"]["page_id"]
    await api.sandbox.post("/control/pages", json={"page_id": page, "invalidate": "expired"})
    refused = await acme.post(f"{path}/thread-control", {"action": "take"})
    assert problem(refused, "upstream-failed", 502)["meta_code"] == "meta-190-463"
    assert await changes(api) == []
    shown = (await acme.get(f"/v1/channels/{messenger['id']}")).json()
    assert (shown["status"], shown["status_reason"]) == ("disconnected", "token_expired")


async def test_an_agents_answer_takes_the_thread_from_the_inbox(api, acme, path):
    await acme.post(f"{path}/thread-control", {"action": "pass"})
    agent = (await acme.post("/v1/agents", {"first_name": "Ann"})).json()
    said = {"content": {"type": "text", "text": "Hi"}}
    await acme.post(f"{path}/messages", said | {"author": {"kind": "agent", "id": agent["id"]}})
    (row,) = await api.rows("SELECT take_thread FROM messages WHERE direction = 'outbound'")
    assert row["take_thread"] is True
