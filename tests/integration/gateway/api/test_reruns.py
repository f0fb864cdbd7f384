"""Redeliveries and replays of many: in order, at a rate, once, and on after a death."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.support.api import pointers, problem
from tests.support.talk import wrote

from gateway.db.conversations import lock_conversations
from gateway.db.dead_letters import SetAside, set_aside
from gateway.db.outbox import NewEvent
from gateway.db.publishing import find_unpublished, give_positions
from gateway.domain.shards import SHARDS
from routing.reruns import Reruns

SECOND = timedelta(seconds=1)
RECEIVED = "gateway.message.received.v1"


async def _endpoint(api, caller, **more):
    made = await caller.post("/v1/endpoints", {"name": "CRM", "url": api.hook.url, **more})
    assert made.status_code == 201, made.text
    return made.json()["id"]


async def _announce(api, account, count=1, *, kind=RECEIVED, **more):
    events = []
    async with api.database.unit_of_work() as work:
        for _ in range(count):
            event = NewEvent(kind, account, {}, work.now, **more)
            work.announce(event)
            events.append(event.id)
    return events


async def _publish(api):
    async with api.database.unit_of_work() as work:
        events = await find_unpublished(work.connection, range(SHARDS), limit=500)
        await give_positions(work.connection, events)


async def _settle(api, status="failed"):
    await api.rows(
        "UPDATE deliveries SET status = :status, holds_lane = false, ready = true, attempt = 10,"
        " settled_at = now()",
        status=status,
    )


async def _pending(api):
    """Return the events of what is pending, in the order of the lanes."""
    rows = await api.rows(
        "SELECT event_id FROM deliveries WHERE status = 'pending' ORDER BY ordinal"
    )
    return [row["event_id"] for row in rows]


def _reruns(api, *, per_second=100):
    return Reruns(api.database, per_second=per_second)


async def _rerun(caller, made):
    assert made.status_code == 202, made.text
    shown = await caller.get(f"/v1/reruns/{made.json()['id']}")
    assert shown.status_code == 200
    return shown.json()


def _day(api):
    now = api.clock.now()
    return {
        "from": (now - timedelta(hours=1)).isoformat(),
        "to": (now + timedelta(hours=1)).isoformat(),
    }


async def test_failed_deliveries_go_again_in_order_so_many_a_second(api):
    acme = await api.account()
    endpoint = await _endpoint(api, acme, ordering="endpoint")
    events = await _announce(api, acme.account_id, 5)
    await _settle(api)
    made = await acme.post(f"/v1/endpoints/{endpoint}/redeliver")
    assert made.json()["status"] == "running"
    # A new process each time: the place is in the database.
    assert await _reruns(api, per_second=2).run_due() == 1
    assert await _pending(api) == events[:2]
    (first, second) = await api.rows(
        "SELECT ready, holds_lane, attempt, attempts_before FROM deliveries"
        " WHERE status = 'pending' ORDER BY ordinal"
    )
    assert first == {"ready": True, "holds_lane": True, "attempt": 10, "attempts_before": 10}
    assert second == first | {"ready": False}
    assert await _reruns(api, per_second=2).run_due() == 0
    # What waits is let go first.
    api.clock.advance(SECOND)
    await _reruns(api, per_second=2).run_due()
    assert await _pending(api) == events[:2]
    got = []
    for _ in range(3):
        got += await _pending(api)
        await api.rows(
            "UPDATE deliveries SET status = 'delivered', holds_lane = false"
            " WHERE status = 'pending'"
        )
        api.clock.advance(SECOND)
        await _reruns(api, per_second=2).run_due()
    assert got == events
    rerun = await _rerun(acme, made)
    assert (rerun["status"], rerun["redelivered"], rerun["passed_over"]) == ("finished", 5, 0)
    audit = (await acme.get("/v1/audit?action=delivery.redelivered")).json()["data"]
    assert len(audit) == 5
    assert {entry["details"]["rerun_id"] for entry in audit} == {rerun["id"]}


async def test_events_of_a_time_are_replayed_once_each_under_their_ids(api):
    acme = await api.account()
    had = await _announce(api, acme.account_id, 2)
    endpoint = await _endpoint(api, acme)
    delivered = await _announce(api, acme.account_id, 2)
    await _settle(api, "delivered")
    api.clock.advance(timedelta(hours=2))
    later = await _announce(api, acme.account_id, 1)
    await _settle(api, "delivered")
    await _publish(api)
    span = {"from": "2026-03-02T11:00:00Z", "to": "2026-03-02T13:00:00Z"}
    made = await acme.post(f"/v1/endpoints/{endpoint}/replay", span)
    await _reruns(api).run_due()
    assert await _pending(api) == [*had, *delivered]
    assert later[0] not in await _pending(api)
    rerun = await _rerun(acme, made)
    assert (rerun["status"], rerun["redelivered"]) == ("finished", 4)
    # One delivery an event and endpoint, and again: what is pending is not doubled.
    await acme.post(f"/v1/endpoints/{endpoint}/replay", span)
    await _reruns(api).run_due()
    assert len(await api.rows("SELECT 1 FROM deliveries WHERE target_id = :e", e=endpoint)) == 5
    (row,) = await api.rows(
        "SELECT attempts_before FROM deliveries WHERE event_id = :id", id=had[0]
    )
    assert row["attempts_before"] == 0


async def test_a_replay_keeps_to_what_the_endpoint_wants_and_was_asked_for(api):
    acme = await api.account()
    other = await _endpoint(api, acme)
    await acme.post(f"/v1/endpoints/{other}/test")
    wanted = await _announce(api, acme.account_id)
    await _announce(api, acme.account_id, kind="gateway.contact.blocked.v1")
    opened = await _announce(api, acme.account_id, kind="gateway.enquiry.opened.v1")
    await _settle(api, "delivered")
    endpoint = await _endpoint(api, acme, event_types=["gateway.message.*", "gateway.endpoint.*"])
    await _publish(api)
    day = _day(api)
    await acme.post(f"/v1/endpoints/{endpoint}/replay", day)
    await _reruns(api).run_due()
    # The test was for the other alone.
    assert await _pending(api) == wanted
    only = day | {"event_types": ["gateway.enquiry.*"]}
    await acme.post(f"/v1/endpoints/{other}/replay", only)
    await _reruns(api).run_due()
    assert await _pending(api) == [*wanted, *opened]


async def test_a_long_replay_goes_on_where_it_was(api, monkeypatch):
    monkeypatch.setattr("gateway.messaging.reruns._LOOKED_AT", 3)
    acme = await api.account()
    events = await _announce(api, acme.account_id, 4)
    await _announce(api, acme.account_id, 4, kind="gateway.contact.blocked.v1")
    events += await _announce(api, acme.account_id, 2)
    endpoint = await _endpoint(api, acme, event_types=["gateway.message.*"], ordering="none")
    await _publish(api)
    await acme.post(f"/v1/endpoints/{endpoint}/replay", _day(api))
    got = []
    for _ in range(10):
        await _reruns(api, per_second=2).run_due()
        got += await _pending(api)
        await _settle(api, "delivered")
        api.clock.advance(SECOND)
    assert got == events


async def test_replayed_events_of_a_conversation_stay_in_order_whatever_their_times(api):
    acme = await api.account()
    channel = await api.third_party(acme)
    conversation, _, _ = await wrote(api.database, acme.account_id, channel["id"])
    await api.rows("UPDATE events SET type = 'gateway.contact.blocked.v1'")
    events = []
    for _ in range(3):
        async with api.database.unit_of_work() as work:
            locked = await lock_conversations(work, [conversation], account_id=acme.account_id)
            event = NewEvent(
                RECEIVED,
                acme.account_id,
                {},
                work.now,
                channel_id=channel["id"],
                conversation_id=conversation,
                sequence=locked[conversation].take_sequence(),
            )
            work.announce(event)
            events.append(event.id)
        # Its transaction began earlier and waited for the lock.
        api.clock.advance(-timedelta(seconds=1))
    endpoint = await _endpoint(api, acme, event_types=["gateway.message.*"])
    await _publish(api)
    api.clock.advance(timedelta(minutes=1))
    await acme.post(f"/v1/endpoints/{endpoint}/replay", _day(api))
    await _reruns(api).run_due()
    assert await _pending(api) == events


async def test_a_held_endpoint_is_waited_for_and_a_deleted_one_not(api):
    acme = await api.account()
    endpoint = await _endpoint(api, acme, event_types=["gateway.message.*"])
    await _announce(api, acme.account_id)
    await _settle(api)
    await acme.post(f"/v1/endpoints/{endpoint}/pause")
    made = await acme.post(f"/v1/endpoints/{endpoint}/redeliver")
    await _reruns(api).run_due()
    assert await _pending(api) == []
    await acme.post(f"/v1/endpoints/{endpoint}/resume")
    api.clock.advance(10 * SECOND)
    await _reruns(api).run_due()
    assert len(await _pending(api)) == 1
    assert (await _rerun(acme, made))["status"] == "finished"
    made = await acme.post(f"/v1/endpoints/{endpoint}/redeliver", {"status": "delivered"})
    await acme.delete(f"/v1/endpoints/{endpoint}")
    await _reruns(api).run_due()
    assert (await _rerun(acme, made))["status"] == "cancelled"


async def _letters(api, account_id, count, **more):
    letters = [
        SetAside(
            **{
                "reason": "poison",
                "stage": "routing",
                "account_id": account_id,
                "topic": "gateway.inbound.v1",
                "partition": 1,
                "value": b"{}",
            }
            | more
        )
        for _ in range(count)
    ]
    async with api.database.unit_of_work() as work:
        await set_aside(work, letters)
    return [letter.id for letter in letters]


async def test_dead_letters_of_a_filter_are_done_again_each_with_its_row(api):
    acme, other = await api.account(), await api.account()
    wanted = await _letters(api, acme.account_id, 3)
    await _letters(api, acme.account_id, 1, reason="id-conflict")
    await _letters(api, acme.account_id, 1, topic=None, value=None)
    await _letters(api, other.account_id, 1)
    await _letters(api, None, 1)
    made = await acme.post("/v1/dead-letters/redeliver", {"reason": "poison", "stage": "routing"})
    reruns = _reruns(api, per_second=2)
    for _ in range(3):
        await reruns.run_due()
        api.clock.advance(SECOND)
    rows = await api.rows("SELECT id FROM dead_letters WHERE put_back_at IS NOT NULL ORDER BY id")
    assert [row["id"] for row in rows] == wanted
    rerun = await _rerun(acme, made)
    assert (rerun["status"], rerun["redelivered"], rerun["passed_over"]) == ("finished", 3, 1)
    audit = (await acme.get("/v1/audit?action=dead_letter.redelivered")).json()["data"]
    assert [entry["subject_id"] for entry in audit] == wanted[::-1]
    # What was done again is not meant, unless somebody says so.
    again = await acme.post("/v1/dead-letters/redeliver", {"reason": "poison"})
    api.clock.advance(SECOND)
    await reruns.run_due()
    assert (await _rerun(acme, again))["redelivered"] == 0
    assert (await other.get("/v1/audit")).json()["data"] == []


async def test_the_administrator_has_those_of_no_account_done_again(api):
    acme = await api.account()
    await _letters(api, acme.account_id, 1)
    [nobodys] = await _letters(api, None, 1)
    made = await api.admin.post("/v1/dead-letters/redeliver")
    await _reruns(api).run_due()
    assert (await _rerun(api.admin, made))["redelivered"] == 1
    rows = await api.rows("SELECT id FROM dead_letters WHERE put_back_at IS NOT NULL")
    assert [row["id"] for row in rows] == [nobodys]
    actors = {entry["actor"] for entry in (await api.admin.get("/v1/audit")).json()["data"]}
    assert actors == {"admin"}
    problem(await acme.get(f"/v1/reruns/{made.json()['id']}"), "not-found", 404)


async def test_dead_deliveries_go_again_and_what_became_dead_meanwhile_does_not(api):
    acme = await api.account()
    endpoint = await _endpoint(api, acme)
    [event] = await _announce(api, acme.account_id)
    await _settle(api)
    (row,) = await api.rows("SELECT id, event_created_at FROM deliveries")
    dead = {
        "reason": "delivery-exhausted",
        "stage": "sender",
        "topic": None,
        "delivery_id": row["id"],
        "event_created_at": row["event_created_at"],
    }
    await _letters(api, acme.account_id, 1, **dead)
    made = await acme.post("/v1/dead-letters/redeliver", {"endpoint_id": endpoint})
    api.clock.advance(SECOND)
    await _letters(api, acme.account_id, 1, **dead)
    await _reruns(api).run_due()
    assert await _pending(api) == [event]
    assert (await _rerun(acme, made))["redelivered"] == 1
    rows = await api.rows("SELECT redelivered_at FROM dead_letters ORDER BY id")
    assert [row["redelivered_at"] is None for row in rows] == [False, True]


async def test_a_rerun_can_be_cancelled(api):
    acme = await api.account()
    await _letters(api, acme.account_id, 3)
    made = await acme.post("/v1/dead-letters/redeliver")
    await _reruns(api, per_second=1).run_due()
    path = f"/v1/reruns/{made.json()['id']}"
    assert (await acme.post(f"{path}/cancel")).json()["status"] == "cancelled"
    api.clock.advance(SECOND)
    assert await _reruns(api).run_due() == 0
    problem(await acme.post(f"{path}/cancel"), "illegal-transition", 409)
    listed = (await acme.get("/v1/reruns?status=cancelled")).json()["data"]
    assert [rerun["redelivered"] for rerun in listed] == [1]


async def test_a_death_in_a_part_leaves_nothing_half_done(api):
    acme = await api.account()
    await _letters(api, acme.account_id, 2)
    made = await acme.post("/v1/dead-letters/redeliver")

    async def dies(*_args, **_options):
        raise OSError("the server went away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.messaging.reruns.save_rerun", dies)
        with pytest.raises(OSError, match="went away"):
            await _reruns(api).run_due()
    assert await api.rows("SELECT 1 FROM dead_letters WHERE put_back_at IS NOT NULL") == []
    await _reruns(api).run_due()
    assert (await _rerun(acme, made))["redelivered"] == 2
    audit = (await acme.get("/v1/audit?action=dead_letter.redelivered")).json()["data"]
    assert len(audit) == 2


async def test_a_part_that_cannot_be_done_ends_its_rerun(api):
    acme = await api.account()
    made = await acme.post("/v1/dead-letters/redeliver")
    await api.rows('UPDATE reruns SET filter = \'{"from": "nonsense"}\'')
    reruns = _reruns(api)
    for _ in range(5):
        assert await reruns.run_due() == 0
    assert (await _rerun(acme, made))["status"] == "failed"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"from": "2026-03-02T00:00:00Z"}, "/to"),
        ({"from": "2026-03-02T00:00:00Z", "to": "2026-03-02T00:00:00Z"}, "/to"),
        ({"from": "2026-03-01T00:00:00", "to": "2026-03-02T00:00:00Z"}, "/from"),
        (
            {
                "from": "2026-03-01T00:00:00Z",
                "to": "2026-03-02T00:00:00Z",
                "event_types": ["gateway.fax.*"],
            },
            "/event_types/0",
        ),
    ],
)
async def test_what_cannot_be_replayed_is_pointed_at(api, body, pointer):
    acme = await api.account()
    endpoint = await _endpoint(api, acme)
    refused = await acme.post(f"/v1/endpoints/{endpoint}/replay", body)
    assert pointers(problem(refused, "validation-failed", 422)) == [pointer]


async def test_the_audit_is_for_administrators(api):
    acme = await api.account(scopes=["read", "write", "send"])
    problem(await acme.get("/v1/audit"), "insufficient-scope", 403)


async def test_one_delivery_an_event_and_endpoint(api):
    acme = await api.account()
    await _endpoint(api, acme)
    await _announce(api, acme.account_id)
    async with api.database.engine.connect() as connection:
        with pytest.raises(Exception, match="uq_deliveries_event"):
            await connection.execute(
                text(
                    "INSERT INTO deliveries (id, account_id, shard, target_kind, target_id, lane,"
                    " kind, event_id, ready, created_at) SELECT 'dlv_2', account_id, shard,"
                    " target_kind, target_id, lane, kind, event_id, ready, created_at"
                    " FROM deliveries"
                )
            )
