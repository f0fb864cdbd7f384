import asyncio
from datetime import timedelta

import pytest
from standardwebhooks import Webhook
from tests.support import misbehave
from tests.support.api import META_APP, pointers, problem, third_party_body

from gateway.meta.pages import PAGE_FIELDS


async def test_a_page_is_connected_with_its_token(api):
    acme = await api.account()
    channel = await api.messenger(acme, name="  Acme on Messenger ")
    assert channel["name"] == "Acme on Messenger"
    assert channel["status"] == "active"
    assert channel["status_reason"] is None
    assert channel["source"]["page_name"] == "Acme"
    assert "page_access_token" not in channel["source"]
    assert channel["messages"]["welcome"]["enabled"] is True
    assert channel["messages"]["display_name_format"] == "none"
    assert channel["text_limit"] == 2000
    assert (await acme.get(f"/v1/channels/{channel['id']}")).json() == channel
    assert [kind for kind, _ in await api.events()] == [
        "gateway.channel.created.v1",
        "gateway.channel.activated.v1",
    ]
    subscribed = await api.sandbox.get(
        f"/v26.0/{channel['source']['page_id']}/subscribed_apps",
        headers={"Authorization": f"Bearer EAA{channel['source']['page_id']}"},
    )
    assert set(subscribed.json()["data"][0]["subscribed_fields"]) == set(PAGE_FIELDS)


async def test_no_secret_stands_in_an_address_or_in_the_clear(api):
    acme = await api.account()
    await api.messenger(acme)
    journal = (await api.sandbox.get("/control/journal")).json()["data"]
    calls = [entry for entry in journal if entry["kind"] == "call"]
    assert calls
    for call in calls:
        assert "EAA" not in call["path"] + str(call["query"])
        assert "app-secret" not in call["path"] + str(call["query"])
    assert next(call for call in calls if "debug_token" in call["path"])["method"] == "POST"
    (row,) = await api.rows("SELECT page_access_token FROM channels")
    assert b"EAA" not in bytes(row["page_access_token"])


async def test_a_page_belongs_to_one_channel_and_meta_is_not_asked_in_vain(api):
    acme, other = await api.account(), await api.account("Other")
    channel = await api.messenger(acme)
    source = {"page_id": channel["source"]["page_id"], "page_access_token": "EAAsomething"}
    body = {"kind": "messenger", "name": "x", "meta_app_id": META_APP, "source": source}
    before = len((await api.sandbox.get("/control/journal")).json()["data"])
    for caller in (other, acme):
        problem(await caller.post("/v1/channels", body), "page-already-connected", 409)
    assert len((await api.sandbox.get("/control/journal")).json()["data"]) == before


async def test_two_who_connect_a_page_at_once_are_told_apart_by_the_database(api):
    acme, other = await api.account(), await api.account("Other")
    app, source = await api.meta_app(), await api.page()
    body = {"kind": "messenger", "name": "x", "meta_app_id": app, "source": source}
    answers = await asyncio.gather(
        acme.post("/v1/channels", body), other.post("/v1/channels", body)
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    loser = max(answers, key=lambda answer: answer.status_code)
    problem(loser, "page-already-connected", 409)


@pytest.mark.parametrize(
    ("described", "code"), [("unknown", "invalid-token"), ("of another Page", "wrong-page")]
)
async def test_a_token_that_is_not_the_pages_is_refused(api, described, code):
    acme = await api.account()
    app, source = await api.meta_app(), await api.page()
    source["page_access_token"] = (
        "EAAunknown" if described == "unknown" else (await api.page())["page_access_token"]
    )
    body = {"kind": "messenger", "name": "x", "meta_app_id": app, "source": source}
    refused = problem(await acme.post("/v1/channels", body), "validation-failed", 422)
    assert pointers(refused) == ["/source/page_access_token"]
    assert refused["errors"][0]["code"] == code
    assert source["page_access_token"] not in str(refused)
    assert await api.rows("SELECT 1 FROM channels") == []


async def test_nothing_is_made_while_meta_is_away(api):
    acme = await api.account()
    body = {
        "kind": "messenger",
        "name": "x",
        "meta_app_id": await api.meta_app(),
        "source": await api.page(),
    }
    for call in ("debug_token", "page", "subscribed_apps"):
        fault = {"call": call, "count": 2, "mode": "error", "status": 503}
        await api.sandbox.post("/control/faults", json=fault)
        problem(await acme.post("/v1/channels", body), "upstream-failed", 502)
    assert await api.rows("SELECT 1 FROM channels") == []
    assert (await acme.post("/v1/channels", body)).status_code == 201


async def test_an_instagram_account_has_to_be_linked_to_its_page(api):
    acme = await api.account()
    app = await api.meta_app()
    source = await api.page(instagram_id="17840000000000001")
    body = {
        "kind": "instagram",
        "name": "Insta",
        "meta_app_id": app,
        "source": source | {"instagram_id": "17840000000000002"},
    }
    refused = problem(await acme.post("/v1/channels", body), "validation-failed", 422)
    assert pointers(refused) == ["/source/instagram_id"]
    body["source"]["instagram_id"] = "17840000000000001"
    made = await acme.post("/v1/channels", body)
    assert made.status_code == 201, made.text
    assert made.json()["source"]["instagram_id"] == "17840000000000001"
    assert made.json()["text_limit"] == 1000
    too_much = body | {"text_limit": 1001, "source": await api.page()}
    too_much["source"]["instagram_id"] = "1"
    refused = problem(await acme.post("/v1/channels", too_much), "validation-failed", 422)
    assert pointers(refused) == ["/text_limit"]


@pytest.mark.parametrize("form", ["bare", "object", "result"])
async def test_a_third_party_is_challenged_on_entry(api, form):
    api.hook.always(misbehave.answer_challenge(form))
    acme = await api.account()
    made = await acme.post("/v1/channels", third_party_body(api.hook.url))
    assert made.status_code == 201
    channel = made.json()
    assert channel["source"]["incoming_url"].endswith(f"/incoming/{channel['id']}/messages")
    assert channel["source"]["signing_secret"].startswith("whsec_")
    assert channel["source"]["incoming_token"]
    again = (await acme.get(f"/v1/channels/{channel['id']}")).json()
    assert "signing_secret" not in again["source"]
    assert "incoming_token" not in again["source"]
    (asked,) = api.hook.requests
    assert asked.header("webhook-signature").startswith("v1,")


async def test_a_wrong_answer_to_the_challenge_makes_nothing(api):
    api.hook.always(misbehave.respond(200, b"wrong"))
    acme = await api.account()
    refused = problem(
        await acme.post("/v1/channels", third_party_body(api.hook.url)), "challenge-failed", 422
    )
    assert pointers(refused) == ["/source/outgoing_webhook_url"]
    assert await api.rows("SELECT 1 FROM channels") == []
    refused = problem(
        await acme.post("/v1/channels/verify-webhook", {"url": api.hook.url}),
        "challenge-failed",
        422,
    )
    assert pointers(refused) == ["/url"]
    api.hook.always(misbehave.answer_challenge())
    tried = await acme.post("/v1/channels/verify-webhook", {"url": api.hook.url})
    assert tried.json() == {"ok": True, "milliseconds": tried.json()["milliseconds"]}
    malformed = await acme.post("/v1/channels/verify-webhook", {"url": "ftp://x"})
    problem(malformed, "validation-failed", 422)


async def test_three_failed_challenges_in_a_row_degrade_a_channel(api):
    acme = await api.account()
    channel = await api.third_party(acme)
    path = f"/v1/channels/{channel['id']}"
    api.hook.always(misbehave.respond(500))
    for _ in range(3):
        assert (await acme.get(path)).json()["status"] == "active"
        problem(await acme.post(f"{path}/verify"), "challenge-failed", 422)
    degraded = (await acme.get(path)).json()
    assert (degraded["status"], degraded["status_reason"]) == ("degraded", "challenge_failed")
    api.hook.always(misbehave.answer_challenge())
    verified = await acme.post(f"{path}/verify")
    assert verified.status_code == 200
    assert verified.json()["status"] == "active"
    kinds = [kind for kind, _ in await api.events()]
    assert kinds[-2:] == ["gateway.channel.degraded.v1", "gateway.channel.activated.v1"]


async def test_secrets_of_a_third_party_rotate_with_an_overlap(api):
    acme = await api.account()
    channel = await api.third_party(acme)
    path = f"/v1/channels/{channel['id']}"
    version = await api.rows("SELECT version FROM secret_versions")
    token = await acme.post(f"{path}/incoming-token/rotate", {"overlap_seconds": 60})
    assert token.status_code == 200
    assert token.json()["incoming_token"] != channel["source"]["incoming_token"]
    secret = await acme.post(f"{path}/signing-secret/rotate")
    assert secret.json()["signing_secret"] != channel["source"]["signing_secret"]
    assert secret.json()["previous_expires_at"] == "2026-03-03T12:00:00.000Z"
    (row,) = await api.rows("SELECT * FROM channels")
    assert row["previous_incoming_token_hash"] is not None
    keyring = api.database.keyring
    sealed = bytes(row["previous_signing_secret"])
    name = f"channels/{channel['id']}/previous_signing_secret"
    assert keyring.decrypt(sealed, row=name) == channel["source"]["signing_secret"]
    assert await api.rows("SELECT version FROM secret_versions") != version
    assert (await acme.post(f"{path}/verify")).status_code == 200
    challenged = api.hook.requests[-1]
    for each in (secret.json()["signing_secret"], channel["source"]["signing_secret"]):
        Webhook(each).verify(challenged.body, dict(challenged.headers))


async def test_suspending_and_reactivating_walks_the_documented_arrows(api):
    acme = await api.account()
    channel = await api.messenger(acme)
    path = f"/v1/channels/{channel['id']}"
    refused = problem(await acme.post(f"{path}/reactivate"), "illegal-transition", 409)
    assert refused["state"] == "active"
    suspended = await acme.post(f"{path}/suspend")
    assert suspended.status_code == 200
    assert suspended.json()["status"] == "suspended"
    problem(await acme.post(f"{path}/suspend"), "illegal-transition", 409)
    fault = {"call": "debug_token", "count": 2, "mode": "error", "status": 503}
    await api.sandbox.post("/control/faults", json=fault)
    problem(await acme.post(f"{path}/reactivate"), "upstream-failed", 502)
    assert (await acme.get(path)).json()["status"] == "suspended"
    assert (await acme.post(f"{path}/reactivate")).json()["status"] == "active"


async def test_a_new_token_brings_a_channel_back(api):
    acme = await api.account()
    channel = await api.messenger(acme)
    path, page = f"/v1/channels/{channel['id']}", channel["source"]["page_id"]
    disconnected = await acme.post(f"{path}/disconnect")
    assert disconnected.json()["status"] == "disconnected"
    problem(
        await acme.patch(path, {"source": {"page_access_token": "EAAwrong"}}),
        "validation-failed",
        422,
    )
    assert (await acme.get(path)).json()["status"] == "disconnected"
    back = await acme.patch(path, {"source": {"page_access_token": f"EAA{page}"}})
    assert back.status_code == 200, back.text
    assert back.json()["status"] == "active"
    assert [kind for kind, _ in await api.events()][-2:] == [
        "gateway.channel.updated.v1",
        "gateway.channel.activated.v1",
    ]


async def test_a_page_that_was_let_go_can_be_connected_by_another_account(api):
    acme, other = await api.account(), await api.account("Other")
    channel = await api.messenger(acme)
    page = channel["source"]["page_id"]
    await acme.post(f"/v1/channels/{channel['id']}/disconnect")
    source = {"page_id": page, "page_access_token": f"EAA{page}"}
    await api.messenger(other, source=source)
    refused = await acme.patch(
        f"/v1/channels/{channel['id']}", {"source": {"page_access_token": f"EAA{page}"}}
    )
    problem(refused, "page-already-connected", 409)


async def test_a_deleted_channel_stays_readable_and_does_nothing_more(api):
    acme = await api.account()
    channel = await api.messenger(acme)
    path = f"/v1/channels/{channel['id']}"
    assert (await acme.delete(path)).status_code == 204
    assert (await acme.get(path)).json()["status"] == "deleted"
    assert (await acme.get("/v1/channels")).json()["data"] == []
    deleted = (await acme.get("/v1/channels", params={"status": "deleted"})).json()["data"]
    assert [each["id"] for each in deleted] == [channel["id"]]
    for answer in (
        await acme.patch(path, {"name": "x"}),
        await acme.post(f"{path}/suspend"),
        await acme.post(f"{path}/reactivate"),
        await acme.post(f"{path}/disconnect"),
    ):
        problem(answer, "channel-deleted", 409)
    assert api.changes.told[-1] == ("channel deleted", acme.account_id, channel["id"])
    assert (await acme.delete(path)).status_code == 204


async def test_settings_are_patched_by_merging(api):
    acme = await api.account()
    channel = await api.third_party(acme)
    path = f"/v1/channels/{channel['id']}"
    changed = await acme.patch(
        path,
        {
            "messages": {"welcome": {"text": "Hi!"}, "away": {"enabled": False}},
            "custom_info": {"enabled": True, "text": "VIP"},
            "routing": {"rule": "alternative", "destinations": []},
            "intermission_minutes": 5,
        },
        headers={"If-Match": f'"{channel["version"]}"'},
    )
    assert changed.status_code == 200, changed.text
    after = changed.json()
    assert after["messages"]["welcome"] == {"enabled": True, "text": "Hi!"}
    assert after["messages"]["away"]["enabled"] is False
    assert after["messages"]["away"]["text"] == channel["messages"]["away"]["text"]
    assert after["intermission_minutes"] == 5
    assert api.changes.told == [("routing", acme.account_id, channel["id"])]
    restored = await acme.patch(path, {"messages": {"welcome": {"text": None}}, "routing": None})
    assert restored.json()["messages"]["welcome"] == channel["messages"]["welcome"]
    assert restored.json()["routing"] is None
    (row,) = await api.rows("SELECT routing_version FROM channels")
    assert row["routing_version"] == 3
    refused = problem(
        await acme.patch(path, {"messages": {"welcome": {"texts": "x"}}, "status": "active"}),
        "validation-failed",
        422,
    )
    assert sorted(pointers(refused)) == ["/messages/welcome/texts", "/status"]


async def test_a_new_address_is_challenged_before_it_is_used(api):
    acme = await api.account()
    channel = await api.third_party(acme)
    path = f"/v1/channels/{channel['id']}"
    moved = api.hook.url.replace("/hook", "/moved")
    api.hook.always(misbehave.respond(200, b"no"))
    change = {"source": {"outgoing_webhook_url": moved}}
    refused = problem(await acme.patch(path, change), "challenge-failed", 422)
    assert pointers(refused) == ["/source/outgoing_webhook_url"]
    api.hook.always(misbehave.answer_challenge())
    changed = await acme.patch(path, change)
    assert changed.json()["source"]["outgoing_webhook_url"] == moved
    assert api.hook.requests[-1].target == "/moved"


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("x" * 40, True),
        ("x" * 41, False),
        ("👩‍👩‍👧‍👦" * 40, True),
        ("e\u0301" * 41, False),
        (" \t", False),
    ],
)
async def test_a_name_is_counted_as_people_count(api, name, fits):
    acme = await api.account()
    answer = await acme.post("/v1/channels", third_party_body(api.hook.url, name=name))
    if fits:
        assert answer.status_code == 201
    else:
        assert pointers(problem(answer, "validation-failed", 422)) == ["/name"]


async def test_a_channel_is_refused_before_anything_is_asked_outside(api):
    acme = await api.account(channels_limit=1)
    for more, pointer in [
        ({"department_id": "dpt_x"}, "/department_id"),
        ({"link": {"mode": "bot", "bot_id": "bot_x"}}, "/link/bot_id"),
        ({"link": {"mode": "external_endpoint"}}, "/link/endpoint_id"),
        ({"human_agent": True}, "/human_agent"),
        ({"kind": "fax"}, "/kind"),
    ]:
        answer = await acme.post("/v1/channels", third_party_body(api.hook.url) | more)
        assert answer.status_code == 422
        assert pointers(answer.json()) == [pointer]
    assert api.hook.requests == []
    await api.third_party(acme)
    problem(await acme.post("/v1/channels", third_party_body(api.hook.url)), "conflict", 409)
    assert len(api.hook.requests) == 1


async def test_a_page_that_works_in_part_is_degraded(api):
    acme = await api.account()
    channel = await api.messenger(acme, source=await api.page(published=False))
    assert (channel["status"], channel["status_reason"]) == ("degraded", "page_unpublished")
    kinds = [kind for kind, _ in await api.events()]
    assert kinds == ["gateway.channel.created.v1", "gateway.channel.degraded.v1"]
    (_, data) = (await api.events())[-1]
    assert data["reason"] == "page_unpublished"
    assert data["remedy"]


@pytest.mark.parametrize("on_suspend", ["keep", "discard"])
async def test_what_waits_follows_the_channel(api, on_suspend):
    acme = await api.account()
    channel = await api.third_party(acme, on_suspend=on_suspend)
    path = f"/v1/channels/{channel['id']}"
    said = {"content": {"type": "text", "text": "Hi"}, "recipient": {"source_contact_id": "u"}}
    sent = (await acme.post(f"{path}/messages", said)).json()
    await acme.post(f"{path}/suspend")
    (delivery,) = await api.rows("SELECT due_at FROM deliveries")
    # What is discarded is failed by the sender, which has to come to it.
    assert (delivery["due_at"] is None) == (on_suspend == "keep")
    held = (await acme.get(f"/v1/messages/{sent['id']}")).json()["hold"]
    assert held == ({"reason": "suspended"} if on_suspend == "keep" else None)
    assert (await acme.post(f"{path}/reactivate")).json()["status"] == "active"
    (delivery,) = await api.rows("SELECT due_at FROM deliveries")
    assert delivery["due_at"] is not None


async def test_uploaded_media_goes_by_a_link_that_needs_no_key(api):
    acme = await api.account()
    channel = await api.third_party(acme)
    picture = b"\x89PNG\r\n\x1a\n" + b"0" * 100
    files = {"file": ("a.png", picture, "image/png")}
    media = (await acme.call("POST", "/v1/media", files=files)).json()
    said = {
        "content": {"type": "image", "media_id": media["id"]},
        "recipient": {"source_contact_id": "u"},
    }
    sent = await acme.post(f"/v1/channels/{channel['id']}/messages", said)
    assert sent.status_code == 202, sent.text
    link = sent.json()["content"]["url"]
    fetched = await api.client.get(link)
    assert fetched.content == picture
    assert fetched.headers["content-type"] == "image/png"
    problem(await api.client.get(link[:-1] + "x"), "not-found", 404)
    said["content"]["type"] = "video"
    refused = await acme.post(f"/v1/channels/{channel['id']}/messages", said)
    assert pointers(problem(refused, "media-not-supported", 422)) == ["/content/type"]


async def test_a_channel_shows_what_was_learnt_of_its_limits(api):
    acme, other = await api.account(), await api.account("Other")
    channel = await api.messenger(acme)
    path, now = f"/v1/channels/{channel['id']}", api.database.clock.now()
    assert "sending" not in (await acme.get(path)).json()
    await api.rows(
        "INSERT INTO target_paces (account_id, target_id, usage_percent, rate, felt, decided_at)"
        " VALUES (:account_id, :id, 85, 3.5, 5, :at)",
        account_id=acme.account_id,
        id=channel["id"],
        at=now,
    )
    assert (await acme.get(path)).json()["sending"] == {
        "usage_percent": 85,
        "app_usage_percent": None,
        "pace_per_second": 3.5,
        "rests_until": None,
    }
    await api.rows(
        "INSERT INTO app_limits (app_id, usage_percent, told_at, rests_until)"
        " VALUES (:app_id, 100, :at, :until)",
        app_id=channel["meta_app_id"],
        at=now,
        until=now + timedelta(minutes=1),
    )
    sending = (await acme.get(path)).json()["sending"]
    assert sending["app_usage_percent"] == 100
    assert sending["rests_until"] is not None
    # What an hour says nothing of any more is not shown, and nobody else sees any of it.
    await api.rows("UPDATE target_paces SET decided_at = :at", at=now - timedelta(hours=2))
    assert (await acme.get(path)).json()["sending"]["usage_percent"] is None
    problem(await other.get(path), "not-found", 404)
