"""Dead letters by REST: whose they are, and doing them again."""

import json

import pytest

from gateway.db.dead_letters import SetAside, set_aside
from gateway.db.publishing import find_returning, mark_returned


async def _letter(api, account_id=None, **more):
    letter = SetAside(
        **{
            "reason": "poison",
            "stage": "routing",
            "account_id": account_id,
            "topic": "gateway.inbound.v1",
            "partition": 3,
            "offset": 7,
            "key": b"key",
            "headers": [("ce_id", b"evt_1"), ("odd", b"\xff")],
            "value": b'{"a": 1}',
        }
        | more
    )
    async with api.database.unit_of_work() as work:
        await set_aside(work, [letter])
    return letter.id


async def test_each_sees_its_own(api) -> None:
    one, two = await api.account(), await api.account()
    mine, nobodys = await _letter(api, one.account_id), await _letter(api)
    assert [each["id"] for each in (await one.get("/v1/dead-letters")).json()["data"]] == [mine]
    assert (await two.get("/v1/dead-letters")).json()["data"] == []
    seen = (await api.admin.get("/v1/dead-letters")).json()["data"]
    assert [each["id"] for each in seen] == [nobodys]
    for call in (two.get, two.delete):
        assert (await call(f"/v1/dead-letters/{mine}")).status_code == 404
    letter = (await one.get(f"/v1/dead-letters/{mine}")).json()
    assert letter["record"]["value"] == '{"a": 1}'
    assert letter["record"]["headers"] == {"ce_id": "evt_1", "odd": "base64:/w=="}


async def test_filters_and_pages(api) -> None:
    caller = await api.account()
    ids = [await _letter(api, caller.account_id, reason=f"r{n % 2}") for n in range(4)]
    first = (await caller.get("/v1/dead-letters?reason=r1&limit=1")).json()
    assert [each["id"] for each in first["data"]] == [ids[3]]
    mine = f"/v1/dead-letters/{ids[0]}"
    await caller.post(f"{mine}/redeliver")
    for query, found in (
        ("redelivered=true", [ids[0]]),
        ("redelivered=false", ids[:0:-1]),
        ("from=2026-03-02T12:00:00Z", ids[::-1]),
        ("to=2026-03-02T12:00:00Z", []),
        ("stage=sender", []),
        ("endpoint_id=ept_1", []),
    ):
        listed = await caller.get(f"/v1/dead-letters?{query}")
        assert [each["id"] for each in listed.json()["data"]] == found, query
    second = await caller.get(f"/v1/dead-letters?reason=r1&limit=1&cursor={first['next_cursor']}")
    assert [each["id"] for each in second.json()["data"]] == [ids[1]]
    assert second.json()["next_cursor"] is None


async def test_a_record_is_asked_back_to_its_topic(api) -> None:
    caller = await api.account()
    letter = await _letter(api, caller.account_id)
    answer = await caller.post(f"/v1/dead-letters/{letter}/redeliver")
    assert answer.status_code == 202, answer.text
    async with api.database.unit_of_work() as work:
        [returning] = await find_returning(work.connection, limit=10)
        assert returning.topic == "gateway.inbound.v1"
        assert (returning.partition, returning.record_key) == (3, b"key")
        assert returning.record_value == b'{"a": 1}'
        await mark_returned(work.connection, [letter], now=work.now)
        assert await find_returning(work.connection, limit=10) == []
    shown = (await caller.get(f"/v1/dead-letters/{letter}")).json()
    assert shown["redelivered_at"] is not None
    [entry] = (await caller.get("/v1/audit")).json()["data"]
    assert (entry["action"], entry["subject_id"]) == ("dead_letter.redelivered", letter)
    assert entry["actor"].startswith("key_")


@pytest.mark.parametrize(
    ("reason", "again"), [("foreign-app", True), ("channel-deleted", True), ("id-conflict", False)]
)
async def test_only_what_had_no_effect_may_have_one(api, reason, again) -> None:
    caller = await api.account()
    letter = await _letter(api, caller.account_id, reason=reason)
    await api.rows("INSERT INTO inbox VALUES ('evt_1', '', now())")
    await caller.post(f"/v1/dead-letters/{letter}/redeliver")
    assert await api.rows("SELECT 1 FROM inbox") == ([] if again else [{"?column?": 1}])
    await api.rows("UPDATE dead_letters SET put_back_at = NULL, redelivered_at = now()")
    await api.rows("INSERT INTO inbox VALUES ('evt_1', '', now()) ON CONFLICT DO NOTHING")
    # It may have had it by now.
    await caller.post(f"/v1/dead-letters/{letter}/redeliver")
    assert len(await api.rows("SELECT 1 FROM inbox")) == 1


async def test_a_timer_that_failed_is_set_anew(api, clock) -> None:
    caller = await api.account()
    record = {
        "kind": "waiting",
        "subject_id": "enq_1",
        "conversation_id": None,
        "due_at": "2026-03-01T00:00:00.000Z",
        "data": {"failures": 5, "n": 1},
    }
    letter = await _letter(
        api,
        caller.account_id,
        reason="timer-failed",
        topic=None,
        headers=[],
        value=json.dumps(record).encode(),
    )
    answer = await caller.post(f"/v1/dead-letters/{letter}/redeliver")
    assert answer.json()["redelivered_at"] is not None
    [timer] = await api.rows("SELECT kind, subject_id, data, due_at FROM timers")
    assert timer == {
        "kind": "waiting",
        "subject_id": "enq_1",
        "data": {"n": 1},
        "due_at": clock.now(),
    }


async def test_an_errand_that_failed_is_set_anew(api, clock) -> None:
    caller = await api.account()
    record = {
        "kind": "look",
        "subject_id": "chn_1",
        "conversation_id": None,
        "due_at": "2026-03-01T00:00:00.000Z",
        "data": {"page": 2},
        "reason": "failed",
    }
    letter = await _letter(
        api,
        caller.account_id,
        reason="errand-failed",
        topic=None,
        headers=[],
        value=json.dumps(record).encode(),
    )
    answer = await caller.post(f"/v1/dead-letters/{letter}/redeliver")
    assert answer.json()["redelivered_at"] is not None
    [errand] = await api.rows("SELECT kind, subject_id, data, due_at, attempt FROM errands")
    assert errand == {
        "kind": "look",
        "subject_id": "chn_1",
        "data": {"page": 2},
        "due_at": clock.now(),
        "attempt": 0,
    }


async def test_what_holds_nothing_cannot_be_done_again(api) -> None:
    caller = await api.account()
    letter = await _letter(api, caller.account_id, topic=None, value=None)
    assert (await caller.post(f"/v1/dead-letters/{letter}/redeliver")).status_code == 409


async def test_a_letter_can_be_forgotten(api) -> None:
    caller = await api.account()
    letter = await _letter(api, caller.account_id)
    assert (await caller.delete(f"/v1/dead-letters/{letter}")).status_code == 204
    assert (await caller.delete(f"/v1/dead-letters/{letter}")).status_code == 404
    [entry] = (await caller.get("/v1/audit?action=dead_letter.forgotten")).json()["data"]
    assert entry["subject_id"] == letter
