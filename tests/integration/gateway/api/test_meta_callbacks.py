"""Deauthorisation and data deletion: what Meta posts about a person who logged in."""

import base64
import hmac
import json
from urllib.parse import urlsplit

import pytest
from tests.support.api import META_APP, problem
from tests.support.browser import Browser

PERSON = "70001"


def signed(user_id=PERSON, *, secret="app-secret", algorithm="HMAC-SHA256"):
    def encode(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    payload = encode(json.dumps({"algorithm": algorithm, "user_id": user_id}).encode())
    signature = encode(hmac.digest(secret.encode(), payload.encode(), "sha256"))
    return {"signed_request": f"{signature}.{payload}"}


async def post(api, callback, form, app=META_APP):
    return await api.client.post(f"/webhooks/meta/{app}/{callback}", data=form)


@pytest.fixture
async def connected(api):
    """An account with a channel that lives by a person's login."""
    await api.meta_app()
    acme = await api.account()
    await api.page("101", name="Acme")
    await api.sandbox.post(
        "/control/people", json={"user_id": PERSON, "name": "Robin Hale", "pages": {"101": []}}
    )
    login = (await acme.post("/v1/facebook/logins", {"meta_app_id": META_APP})).json()
    await Browser(api.client, api.sandbox).log_in(login["url"], PERSON, pages=("101",))
    made = await acme.post(
        f"/v1/facebook/logins/{login['id']}/connect", {"pages": [{"page_id": "101"}]}
    )
    (result,) = made.json()["data"]
    return acme, result["channel"]["id"]


@pytest.mark.parametrize("callback", ["deauthorize", "data-deletion"])
async def test_a_person_who_goes_takes_their_tokens_and_channels_along(api, connected, callback):
    acme, channel_id = connected
    for _ in range(2):
        assert (await post(api, callback, signed())).status_code == 200
    channel = (await acme.get(f"/v1/channels/{channel_id}")).json()
    assert (channel["status"], channel["status_reason"]) == ("disconnected", "app_removed")
    told = await api.events(types=["gateway.channel.disconnected.v1"])
    assert [data["reason"] for _, data in told] == ["app_removed"]
    assert await api.rows("SELECT * FROM page_tokens") == []
    kept = str(await api.rows("SELECT * FROM facebook_logins")) + str(
        await api.rows("SELECT page_access_token, connected_by FROM channels")
    )
    assert PERSON not in kept
    assert "page_access_token': None" in kept


async def test_a_deletion_can_be_looked_up_and_a_repeat_has_the_same_code(api, connected):
    first = (await post(api, "data-deletion", signed())).json()
    assert (await post(api, "data-deletion", signed())).json() == first
    page = await api.client.get(urlsplit(first["url"]).path)
    assert first["url"].endswith(first["confirmation_code"])
    assert page.status_code == 200
    assert "1 connected Page was disconnected." in page.text
    assert "message log by" in page.text
    assert "Robin" not in page.text
    assert (await api.client.get("/data-deletions/unknown")).status_code == 404


async def test_a_channel_lives_on_by_another_administrator(api, connected):
    acme, channel_id = connected
    await api.sandbox.post(
        "/control/people", json={"user_id": "70002", "name": "Sam", "pages": {"101": []}}
    )
    login = (await acme.post("/v1/facebook/logins", {"meta_app_id": META_APP})).json()
    await Browser(api.client, api.sandbox).log_in(login["url"], "70002", pages=("101",))
    await post(api, "deauthorize", signed("70002"))
    assert (await acme.get(f"/v1/channels/{channel_id}")).json()["status"] == "active"


async def test_a_channel_with_a_token_given_by_hand_lives_by_nobodys_login(api, connected):
    acme, channel_id = connected
    path = f"/v1/channels/{channel_id}"
    renewed = await acme.patch(path, {"source": {"page_access_token": "EAA101"}})
    assert renewed.status_code == 200, renewed.text
    await post(api, "deauthorize", signed())
    assert (await acme.get(path)).json()["status"] == "active"


async def test_an_unknown_person_is_answered_as_well(api, connected):
    acme, channel_id = connected
    assert (await post(api, "deauthorize", signed("1"))).status_code == 200
    assert (await post(api, "data-deletion", signed("1"))).status_code == 200
    assert (await acme.get(f"/v1/channels/{channel_id}")).json()["status"] == "active"


@pytest.mark.parametrize("callback", ["deauthorize", "data-deletion"])
@pytest.mark.parametrize(
    ("form", "app", "slug", "status"),
    [
        ({}, META_APP, "missing-parameter", 400),
        ({"signed_request": "no dot"}, META_APP, "missing-parameter", 400),
        (signed(secret="another"), META_APP, "invalid-signature", 401),
        (signed(algorithm="none"), META_APP, "invalid-signature", 401),
        (signed(), "999", "invalid-signature", 401),
    ],
)
async def test_what_meta_did_not_sign_changes_nothing(
    api, connected, callback, form, app, slug, status
):
    acme, channel_id = connected
    problem(await post(api, callback, form, app), slug, status)
    assert (await acme.get(f"/v1/channels/{channel_id}")).json()["status"] == "active"
