"""What an account asks for afterwards: that somebody be erased, that what was missed be fetched."""

from datetime import timedelta

import pytest
from tests.support.api import pointers, problem
from tests.support.talk import set_state, wrote


@pytest.fixture
async def acme(api):
    return await api.account()


async def test_an_erased_contact_is_gone_at_once(api, acme):
    channel = await api.messenger(acme)
    conversation, contact, _ = await wrote(api.database, acme.account_id, channel["id"])
    path = f"/v1/contacts/{contact}"
    stranger = await api.account("Stranger")
    problem(await stranger.delete(path), "not-found", 404)
    for _ in range(2):
        assert (await acme.delete(path)).status_code == 202
    problem(await acme.get(path), "not-found", 404)
    problem(await acme.patch(path, {"name": "Ann"}), "not-found", 404)
    assert (await acme.get("/v1/contacts")).json()["data"] == []
    shown = (await acme.get(f"/v1/conversations/{conversation}")).json()
    assert shown["contact"]["source_contact_id"] == f"erased:{contact}"
    said = {"content": {"type": "text", "text": "Hi"}}
    refused = await acme.post(f"/v1/conversations/{conversation}/messages", said)
    problem(refused, "conflict", 409)
    (timer,) = await api.rows("SELECT kind, subject_id FROM timers WHERE kind = 'erase'")
    assert timer["subject_id"] == contact
    # Who asked is on record, once.
    entries = (await acme.get("/v1/audit")).json()["data"]
    assert [(each["action"], each["subject_id"]) for each in entries] == [
        ("contact.erased", contact)
    ]


async def test_a_back_fill_is_asked_for(api, acme, clock):
    channel = await api.messenger(acme)
    await wrote(api.database, acme.account_id, channel["id"])
    path = f"/v1/channels/{channel['id']}/backfill"
    last_words = clock.now()
    clock.advance(timedelta(hours=2))
    asked = await acme.post(path)
    assert asked.status_code == 202, asked.text
    # Meta repeats for an hour what it could not deliver.
    since = (last_words - timedelta(hours=1)).isoformat(timespec="milliseconds")
    assert asked.json() == {"channel_id": channel["id"], "since": since.replace("+00:00", "Z")}
    asked = await acme.post(path, {"since": "2020-01-01T00:00:00Z"})
    week_ago = (clock.now() - timedelta(days=7)).isoformat(timespec="milliseconds")
    assert asked.json()["since"] == week_ago.replace("+00:00", "Z")
    (errand,) = await api.rows("SELECT kind, subject_id FROM errands")
    assert (errand["kind"], errand["subject_id"]) == ("backfill", channel["id"])


async def test_a_channel_that_works_again_is_back_filled(api, acme):
    channel = await api.messenger(acme)
    assert await api.rows("SELECT 1 FROM errands") == []
    await set_state(
        api.database, "channels", channel["id"], status="disconnected", status_reason="app_removed"
    )
    path = f"/v1/channels/{channel['id']}"
    problem(await acme.post(f"{path}/backfill"), "conflict", 409)
    token = f"EAA{channel['source']['page_id']}"
    renewed = await acme.patch(path, {"source": {"page_access_token": token}})
    assert renewed.json()["status"] == "active", renewed.text
    (errand,) = await api.rows("SELECT subject_id FROM errands")
    assert errand["subject_id"] == channel["id"]


async def test_what_cannot_be_fetched_is_refused(api, acme):
    third = await api.third_party(acme)
    refused = await acme.post(f"/v1/channels/{third['id']}/backfill")
    assert pointers(problem(refused, "not-supported-by-channel", 422)) == [""]
    channel = await api.messenger(acme)
    path = f"/v1/channels/{channel['id']}/backfill"
    problem(await acme.post(path, {"since": "yesterday"}), "validation-failed", 422)
    await acme.post(f"/v1/channels/{channel['id']}/suspend")
    problem(await acme.post(path), "channel-suspended", 409)


async def test_an_account_says_how_long_it_keeps_what_people_said(api):
    made = await api.admin.post("/v1/accounts", {"name": "Acme", "retention_days": 30})
    assert made.json()["retention_days"] == 30
    path = f"/v1/accounts/{made.json()['id']}"
    changed = await api.admin.patch(path, {"retention_days": None})
    assert changed.json()["retention_days"] is None
    problem(await api.admin.patch(path, {"retention_days": 0}), "validation-failed", 422)
