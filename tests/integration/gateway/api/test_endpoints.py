import json
from datetime import timedelta

import pytest
from standardwebhooks import Webhook
from tests.support import misbehave
from tests.support.api import pointers, problem


async def _endpoint(api, caller, **more):
    made = await caller.post("/v1/endpoints", {"name": "CRM", "url": api.hook.url, **more})
    assert made.status_code == 201, made.text
    return made.json()


async def test_an_endpoint_is_challenged_and_gets_its_secret_once(api):
    acme = await api.account()
    endpoint = await _endpoint(api, acme)
    assert endpoint["signing_secret"].startswith("whsec_")
    assert endpoint["event_types"] == ["*"]
    assert endpoint["lane_hold_seconds"] == 900
    assert endpoint["max_concurrency"] == 10
    shown = (await acme.get(f"/v1/endpoints/{endpoint['id']}")).json()
    assert "signing_secret" not in shown
    assert json.loads(api.hook.requests[0].body)["type"] == "challenge"
    api.hook.always(misbehave.respond(404))
    refused = await acme.post("/v1/endpoints", {"name": "x", "url": api.hook.url})
    assert pointers(problem(refused, "challenge-failed", 422)) == ["/url"]


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"url": "https://user:pw@crm.example/"}, "/url"),
        ({"url": "gopher://crm.example"}, "/url"),
        ({"event_types": ["gateway.message.*", "gateway.fax.*"]}, "/event_types/1"),
        ({"authentication": {"kind": "bearer"}}, "/authentication/token"),
        ({"authentication": {"kind": "digest"}}, "/authentication/kind"),
        (
            {"authentication": {"kind": "header", "name": "Host", "value": "x"}},
            "/authentication/name",
        ),
        (
            {"authentication": {"kind": "header", "name": "webhook-id", "value": "x"}},
            "/authentication/name",
        ),
        (
            {"authentication": {"kind": "header", "name": "X-A", "value": "a\r\nb"}},
            "/authentication/value",
        ),
        ({"headers": {"Host": "x"}}, "/headers/Host"),
        ({"headers": {"authorization": "x"}}, "/headers/authorization"),
        ({"headers": {"Cookie": "x"}}, "/headers/Cookie"),
        ({"headers": {"Transfer-Encoding": "x"}}, "/headers/Transfer-Encoding"),
        ({"headers": {"Content-Type": "x"}}, "/headers/Content-Type"),
        ({"headers": {"Webhook-Signature": "x"}}, "/headers/Webhook-Signature"),
        ({"headers": {"X-Forwarded-For": "x"}}, "/headers/X-Forwarded-For"),
        ({"headers": {"X A": "x"}}, "/headers/X A"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "/headers/X-A"),
        ({"headers": {"X-A": "a", "x-a": "b"}}, "/headers"),
        ({"headers": {f"X-{n}": "x" for n in range(11)}}, "/headers"),
        ({"max_concurrency": 0}, "/max_concurrency"),
        ({"channel_ids": ["chn_\u0000"]}, "/channel_ids/0"),
    ],
)
async def test_what_an_endpoint_cannot_be_is_pointed_at(api, given, pointer):
    acme = await api.account()
    refused = await acme.post("/v1/endpoints", {"name": "x", "url": api.hook.url} | given)
    assert pointers(problem(refused, "validation-failed", 422)) == [pointer]
    assert api.hook.requests == []


async def test_authentication_is_sealed_and_given_anew_as_a_whole(api):
    acme = await api.account()
    secret = {"kind": "basic", "username": "u", "password": "correct horse"}
    endpoint = await _endpoint(api, acme, authentication=secret)
    assert endpoint["authentication"] == {"kind": "basic"}
    (row,) = await api.rows("SELECT authentication FROM endpoints")
    assert b"horse" not in bytes(row["authentication"])
    path = f"/v1/endpoints/{endpoint['id']}"
    changed = await acme.patch(path, {"name": "renamed"})
    assert changed.json()["authentication"] == {"kind": "basic"}
    refused = await acme.patch(path, {"authentication": {"password": "x"}})
    assert pointers(problem(refused, "validation-failed", 422)) == ["/authentication/kind"]
    changed = await acme.patch(path, {"authentication": None})
    assert changed.json()["authentication"] == {"kind": "none"}


async def test_headers_of_its_own_are_sealed_and_changed_one_by_one(api):
    acme = await api.account()
    headers = {"X-Tenant": "acme", "X-Old": "correct horse"}
    token = {"kind": "bearer", "token": "t0"}
    endpoint = await _endpoint(api, acme, headers=headers, authentication=token)
    assert endpoint["header_names"] == ["X-Old", "X-Tenant"]
    # Whoever asks for them in each call asks for them in the challenge.
    asked = api.hook.requests[-1]
    assert asked.header("X-Tenant") == "acme"
    assert asked.header("Authorization") == "Bearer t0"
    (row,) = await api.rows("SELECT headers FROM endpoints")
    assert b"horse" not in bytes(row["headers"])
    path = f"/v1/endpoints/{endpoint['id']}"
    changed = await acme.patch(path, {"headers": {"X-OLD": None, "x-tenant": "beta", "X-A": "a"}})
    assert changed.json()["header_names"] == ["X-A", "x-tenant"]
    renamed = await acme.patch(path, {"name": "renamed"})
    assert renamed.json()["header_names"] == ["X-A", "x-tenant"]
    await acme.patch(path, {"url": api.hook.url.replace("/hook", "/moved")})
    moved = api.hook.requests[-1]
    assert (moved.header("X-Tenant"), moved.header("X-A")) == ("beta", "a")
    assert moved.header("Authorization") == "Bearer t0"
    refused = await acme.patch(path, {"headers": {"Host": "x"}})
    assert pointers(problem(refused, "validation-failed", 422)) == ["/headers/Host"]
    refused = await acme.patch(path, {"headers": {f"X-{n}": "x" for n in range(9)}})
    assert pointers(problem(refused, "validation-failed", 422)) == ["/headers"]
    emptied = await acme.patch(path, {"headers": None})
    assert emptied.json()["header_names"] == []


async def test_deliveries_wait_while_an_endpoint_is_paused(api):
    acme = await api.account()
    endpoint = await _endpoint(api, acme)
    path = f"/v1/endpoints/{endpoint['id']}"
    refused = problem(await acme.post(f"{path}/resume"), "illegal-transition", 409)
    assert refused["state"] == "active"
    assert refused["allowed"] == ["paused"]
    assert (await acme.post(f"{path}/pause")).json()["status"] == "paused"
    await api.third_party(acme)
    rows = await api.rows("SELECT due_at FROM deliveries")
    assert len(rows) == 3
    assert all(row["due_at"] is None for row in rows)
    assert (await acme.post(f"{path}/resume")).json()["status"] == "active"
    rows = await api.rows("SELECT due_at FROM deliveries")
    assert len(rows) == 4
    assert all(row["due_at"] is not None for row in rows)


async def test_a_new_address_begins_with_a_clean_sheet(api, clock):
    acme = await api.account()
    endpoint = await _endpoint(api, acme)
    path = f"/v1/endpoints/{endpoint['id']}"
    await api.rows(
        "UPDATE endpoints SET failing_since = :now, failures = 9, last_failed_at = :now,"
        " failing_told_at = :now, throttled_until = :now, last_attempt_timed_out = true"
        " RETURNING id",
        now=clock.now(),
    )
    seen = (await acme.patch(path, {"name": "Desk"})).json()
    assert seen["failing_since"] == seen["throttled_until"] is not None
    moved = api.hook.url.replace("/hook", "/moved")
    seen = (await acme.patch(path, {"url": moved})).json()
    assert (seen["url"], seen["failing_since"], seen["throttled_until"]) == (moved, None, None)
    (row,) = await api.rows("SELECT failures, failing_told_at, last_failed_at FROM endpoints")
    assert dict(row) == {"failures": 0, "failing_told_at": None, "last_failed_at": None}


async def test_the_retry_schedule_can_be_read(api):
    acme = await api.account()
    schedule = (await acme.get("/v1/endpoints/retry-schedule")).json()
    assert [each["after_seconds"] for each in schedule["attempts"]] == [0, 4, 60]
    assert (schedule["total_seconds"], schedule["disabled_after_seconds"]) == (60, 432_000)


async def test_the_secret_rotates_with_an_overlap(api):
    acme = await api.account()
    endpoint = await _endpoint(api, acme)
    rotated = await acme.post(
        f"/v1/endpoints/{endpoint['id']}/rotate-secret", {"overlap_seconds": 3600}
    )
    assert rotated.status_code == 200
    assert rotated.json()["signing_secret"] != endpoint["signing_secret"]
    assert rotated.json()["previous_expires_at"] == "2026-03-02T13:00:00.000Z"
    moved = await acme.patch(
        f"/v1/endpoints/{endpoint['id']}", {"url": api.hook.url.replace("/hook", "/moved")}
    )
    assert moved.status_code == 200
    challenged = api.hook.requests[-1]
    for each in (rotated.json()["signing_secret"], endpoint["signing_secret"]):
        Webhook(each).verify(challenged.body, dict(challenged.headers))


async def test_a_test_goes_to_its_endpoint_alone(api):
    acme = await api.account()
    endpoint, _other = await _endpoint(api, acme), await _endpoint(api, acme)
    tested = await acme.post(f"/v1/endpoints/{endpoint['id']}/test")
    assert tested.status_code == 202
    delivery = tested.json()
    assert delivery["target_id"] == endpoint["id"]
    assert delivery["status"] == "pending"
    assert delivery["attempts"] == []
    assert len(await api.rows("SELECT 1 FROM deliveries")) == 1
    listed = (await acme.get(f"/v1/endpoints/{endpoint['id']}/deliveries")).json()["data"]
    assert listed == [delivery]
    assert (await acme.get(f"/v1/deliveries/{delivery['id']}")).json() == delivery
    none = await acme.get(f"/v1/endpoints/{endpoint['id']}/deliveries", params={"status": "failed"})
    assert none.json()["data"] == []


async def test_a_settled_delivery_can_be_done_again(api, clock):
    acme = await api.account()
    endpoint = await _endpoint(api, acme)
    delivery = (await acme.post(f"/v1/endpoints/{endpoint['id']}/test")).json()
    await api.rows("UPDATE deliveries SET status = 'failed', holds_lane = false, attempt = 9")
    await api.rows(
        "INSERT INTO delivery_attempts (delivery_id, attempt, account_id, at, status, milliseconds,"
        " body, outcome) VALUES (:id, 9, :account, now(), 503, 12, 'busy', 'retry')",
        id=delivery["id"],
        account=acme.account_id,
    )
    path = f"/v1/deliveries/{delivery['id']}"
    failed = (await acme.get(path)).json()
    assert failed["status"] == "failed"
    assert failed["attempts"][0]["status"] == 503
    assert failed["attempts"][0]["body"] == "busy"
    clock.advance(timedelta(minutes=1))
    again = await acme.post(f"{path}/redeliver")
    assert again.status_code == 202
    assert again.json()["status"] == "pending"
    assert again.json()["next_attempt_at"] == "2026-03-02T12:01:00.000Z"
    (row,) = await api.rows("SELECT ready, holds_lane FROM deliveries")
    assert row == {"ready": True, "holds_lane": False}
    await acme.delete(f"/v1/endpoints/{endpoint['id']}")
    problem(await acme.post(f"{path}/redeliver"), "conflict", 409)


async def test_an_endpoint_that_a_channel_lives_by_stays(api):
    acme = await api.account()
    endpoint = await _endpoint(api, acme)
    link = {"mode": "external_endpoint", "endpoint_id": endpoint["id"]}
    channel = await api.third_party(acme, link=link)
    assert channel["link"] == {**link, "bot_id": None}
    path = f"/v1/endpoints/{endpoint['id']}"
    problem(await acme.delete(path), "conflict", 409)
    await acme.patch(f"/v1/channels/{channel['id']}", {"link": {"mode": "chat"}})
    assert (await acme.delete(path)).status_code == 204
    assert (await acme.get("/v1/endpoints")).json()["data"] == []
