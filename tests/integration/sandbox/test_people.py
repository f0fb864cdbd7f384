"""People who log in: the dialog, codes and tokens, what they grant, and what becomes of it."""

import base64
import hmac
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.support.sandbox import APP_ID, PAGE, SECRET, Box, Hook, error_of

pytestmark = pytest.mark.integration

PERSON = "10001"
BACK = "https://gateway.test/oauth/facebook/callback"
SCOPES = ("pages_messaging", "pages_show_list", "pages_read_engagement", "pages_manage_metadata")
APP_TOKEN = f"{APP_ID}|{SECRET}"
DIALOG = "/v26.0/dialog/oauth"


@pytest.fixture
async def robin(harbour: Box) -> Box:
    """A sandbox with a person who has roles on two Pages."""
    await harbour.page("1002", name="Harbour Tea", access_token="EAAtea")
    await person(harbour, name="Robin Hale", pages={PAGE: [], "1002": ["ANALYZE"]})
    return harbour


async def person(box: Box, **fields):
    return await box.control("POST", "/people", {"user_id": PERSON, **fields})


async def choose(box: Box, *, asked=SCOPES, scopes=SCOPES, pages=(PAGE,), action="allow", **more):
    query = {
        "client_id": APP_ID,
        "redirect_uri": BACK,
        "state": "s 1",
        "scope": ",".join(asked),
        **more,
    }
    form = {"user_id": PERSON, "action": action, "scope": scopes, "page_id": pages}
    answer = await box.client.post(DIALOG, params=query, data=form)
    assert answer.status_code == 303, answer.text
    address = urlsplit(answer.headers["location"])
    assert address.geturl().startswith(BACK)
    return {name: values[0] for name, values in parse_qs(address.query).items()}


async def exchange(box: Box, **fields) -> httpx.Response:
    form = {"client_id": APP_ID, "client_secret": SECRET, "redirect_uri": BACK, **fields}
    return await box.client.post("/v26.0/oauth/access_token", data=form)


async def token_of(box: Box, **choice) -> str:
    code = (await choose(box, **choice))["code"]
    short = (await exchange(box, code=code)).json()["access_token"]
    long = await exchange(box, grant_type="fb_exchange_token", fb_exchange_token=short)
    return str(long.json()["access_token"])


async def accounts(box: Box, token: str, **query) -> httpx.Response:
    return await box.graph("GET", "me/accounts", token=token, params=query)


async def page_token(box: Box, token: str) -> str:
    return str((await accounts(box, token)).json()["data"][0]["access_token"])


async def debug(box: Box, token: str) -> dict[str, Any]:
    answer = await box.client.post(
        "/v26.0/debug_token", data={"input_token": token, "access_token": APP_TOKEN}
    )
    described: dict[str, Any] = answer.json()["data"]
    return described


async def test_login_leads_to_a_page_token_that_sends(robin: Box, hook: Hook):
    shown = await robin.client.get(
        DIALOG,
        params={"client_id": APP_ID, "redirect_uri": BACK, "scope": ",".join(SCOPES)},
    )
    for box in (*(f'name="scope" value="{name}"' for name in SCOPES), f'value="{PAGE}"'):
        assert box in shown.text
    answer = await choose(robin)
    assert answer["state"] == "s 1"
    short = (await exchange(robin, code=answer["code"])).json()
    assert (short["token_type"], short["expires_in"]) == ("bearer", 7200)
    long = await exchange(
        robin, grant_type="fb_exchange_token", fb_exchange_token=short["access_token"]
    )
    assert long.json()["expires_in"] == 5_183_944
    token = long.json()["access_token"]
    (page,) = (await accounts(robin, token)).json()["data"]
    assert (page["id"], page["name"]) == (PAGE, "Harbour Coffee")
    assert {"MESSAGING", "MODERATE", "MANAGE"} <= set(page["tasks"])
    await robin.says("hello")
    sent = await robin.graph(
        "POST",
        f"{PAGE}/messages",
        token=page["access_token"],
        json={"recipient": {"id": "5551"}, "message": {"text": "Good morning"}},
    )
    assert sent.status_code == 200


async def test_debug_token_tells_who_and_which_pages(robin: Box):
    token = await token_of(robin)
    described = await debug(robin, token)
    assert (described["type"], described["user_id"]) == ("USER", PERSON)
    granular = {each["scope"]: each.get("target_ids") for each in described["granular_scopes"]}
    assert granular == {name: [PAGE] for name in SCOPES}
    page = await debug(robin, await page_token(robin, token))
    assert (page["type"], page["profile_id"], page["expires_at"]) == ("PAGE", PAGE, 0)


async def test_a_code_works_once_for_its_app_and_address(robin: Box):
    code = (await choose(robin))["code"]
    wrong = await exchange(robin, code=code, redirect_uri=BACK + "/")
    assert error_of(wrong) == (100, 36008)
    secret = await exchange(robin, code=code, client_secret="wrong")
    assert (secret.status_code, error_of(secret)) == (400, (1, None))
    assert (await exchange(robin, code=code)).status_code == 200
    assert error_of(await exchange(robin, code=code)) == (100, 36009)
    late = (await choose(robin))["code"]
    await robin.control("POST", "/clock", {"advance_seconds": 601})
    assert error_of(await exchange(robin, code=late)) == (100, 36007)


async def test_who_declines_sends_the_browser_back_with_the_refusal(robin: Box):
    answer = await choose(robin, action="deny")
    assert answer["error"] == "access_denied"
    assert answer["error_reason"] == "user_denied"
    assert answer["state"] == "s 1"


async def test_what_was_declined_is_asked_for_again_only_when_told(robin: Box):
    await choose(robin, scopes=SCOPES[1:])
    query = {"client_id": APP_ID, "redirect_uri": BACK, "scope": ",".join(SCOPES)}
    usual = await robin.client.get(DIALOG, params=query)
    again = await robin.client.get(DIALOG, params={**query, "auth_type": "rerequest"})
    box = 'name="scope" value="pages_messaging"'
    assert box not in usual.text
    assert box in again.text
    token = await token_of(robin)
    assert "pages_messaging" not in (await debug(robin, token))["scopes"]
    token = await token_of(robin, auth_type="rerequest")
    assert "pages_messaging" in (await debug(robin, token))["scopes"]


async def test_accounts_come_in_parts_and_may_lack_pages_of_businesses(robin: Box):
    token = await token_of(robin, pages=(PAGE, "1002"))
    await person(robin, accounts_page_size=1)
    first = (await accounts(robin, token)).json()
    assert [page["id"] for page in first["data"]] == [PAGE]
    after = first["paging"]["cursors"]["after"]
    second = (await accounts(robin, token, after=after)).json()
    assert [page["id"] for page in second["data"]] == ["1002"]
    assert second["data"][0]["tasks"] == ["ANALYZE"]
    assert "next" in first["paging"]
    assert "next" not in second["paging"]
    assert (await robin.client.get(first["paging"]["next"])).json() == second
    await person(robin, unlisted=[PAGE])
    assert [page["id"] for page in (await accounts(robin, token)).json()["data"]] == ["1002"]
    found = await robin.graph("GET", f"{PAGE}?fields=name,access_token,tasks", token=token)
    assert found.json()["name"] == "Harbour Coffee"


async def test_owned_pages_are_listed_by_business(robin: Box):
    await robin.page(business_id="77")
    asked = (*SCOPES, "business_management")
    token = await token_of(robin, asked=asked, scopes=asked)
    businesses = await robin.graph("GET", "me/businesses", token=token)
    assert [each["id"] for each in businesses.json()["data"]] == ["77"]
    owned = await robin.graph("GET", "77/owned_pages", token=token)
    assert [each["id"] for each in owned.json()["data"]] == [PAGE]
    plain = await token_of(robin, asked=asked, auth_type="rerequest")
    assert error_of(await robin.graph("GET", "me/businesses", token=plain)) == (10, None)


async def test_tokens_narrow_at_once_when_settings_change(robin: Box):
    token = await page_token(robin, await token_of(robin))
    await person(robin, granted={"scopes": list(SCOPES[1:])})
    sent = await robin.graph(
        "POST", f"{PAGE}/messages", token=token, json={"recipient": {"id": "5551"}}
    )
    assert error_of(sent) == (10, None)
    await person(robin, granted={"scopes": list(SCOPES), "page_ids": ["1002"]})
    assert error_of(await robin.graph("GET", PAGE, token=token)) == (200, None)
    assert (await debug(robin, token))["granular_scopes"][0]["target_ids"] == []
    await person(robin, granted={"page_ids": [PAGE]})
    assert (await robin.graph("GET", PAGE, token=token)).status_code == 200


async def test_a_lost_role_ends_the_tokens_of_that_page(robin: Box):
    token = await page_token(robin, await token_of(robin))
    await person(robin, pages={"1002": []})
    assert error_of(await robin.graph("GET", PAGE, token=token)) == (190, 492)


@pytest.mark.parametrize(
    ("why", "subcode"), [("expired", 463), ("password_changed", 460), ("checkpointed", 459)]
)
async def test_mishaps_end_all_tokens_so_far(robin: Box, why, subcode):
    token = await token_of(robin)
    page = await page_token(robin, token)
    await person(robin, invalidate=why)
    for value in (token, page):
        assert error_of(await robin.graph("GET", "me", token=value)) == (190, subcode)
        assert (await debug(robin, value))["error"]["subcode"] == subcode
    assert (await accounts(robin, await token_of(robin))).status_code == 200


async def test_tokens_live_as_long_as_they_are_told(robin: Box):
    await person(robin, token_seconds=60)
    page = await page_token(robin, await token_of(robin))
    assert (await robin.graph("GET", "me", token=page)).status_code == 200
    await robin.control("POST", "/clock", {"advance_seconds": 61})
    assert error_of(await robin.graph("GET", "me", token=page)) == (190, 463)


@pytest.mark.parametrize("callback", ["deauthorize", "data-deletion"])
async def test_callbacks_are_signed_and_name_the_person(robin: Box, hook: Hook, callback):
    await token_of(robin)
    hook.clear()
    if callback == "deauthorize":
        told = (await person(robin, invalidate="app_removed"))["callback"]
    else:
        told = await robin.control("POST", f"/people/{PERSON}/data-deletion")
    assert told["status"] == 200
    (request,) = hook.requests
    assert request.url.path == f"/webhooks/meta/{APP_ID}/{callback}"
    sent = parse_qs(request.content.decode())["signed_request"][0]
    signature, _, payload = sent.partition(".")
    expected = hmac.digest(SECRET.encode(), payload.encode(), "sha256")
    assert base64.urlsafe_b64decode(signature + "=") == expected
    told = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert (told["algorithm"], told["user_id"]) == ("HMAC-SHA256", PERSON)


async def test_a_given_token_is_valid_and_somebody_elses_is_refused(robin: Box):
    await person(robin, user_token="EAArobin")
    assert len((await accounts(robin, "EAArobin")).json()["data"]) == 2
    taken = await robin.client.post(
        "/control/people", json={"user_id": "10002", "user_token": "EAArobin"}
    )
    assert taken.status_code == 409
    page = await robin.client.post(
        "/control/people", json={"user_id": "10002", "user_token": "EAAtea"}
    )
    assert page.status_code == 409


async def test_the_page_for_people_does_what_its_buttons_say(robin: Box):
    token = await token_of(robin)
    shown = await robin.client.get("/people")
    assert "Robin Hale" in shown.text
    form = {"action": "settings", "role": [PAGE, "1002"], "page_id": PAGE, "scope": SCOPES[:2]}
    assert (await robin.client.post(f"/people/{PERSON}", data=form)).status_code == 303
    assert set((await debug(robin, token))["scopes"]) == set(SCOPES[:2])
    await robin.client.post(f"/people/{PERSON}", data={"action": "password_changed"})
    assert error_of(await robin.graph("GET", "me", token=token)) == (190, 460)
    await robin.client.post("/people", data={"name": "Sam <b>"})
    assert "Sam &lt;b&gt;" in (await robin.client.get("/people")).text


@pytest.mark.parametrize(
    "query",
    [
        {"client_id": "nobody", "redirect_uri": BACK},
        {"client_id": APP_ID, "redirect_uri": "javascript:alert(1)"},
        {"client_id": APP_ID},
    ],
)
async def test_a_dialog_without_app_or_address_is_refused(robin: Box, query):
    assert (await robin.client.get(DIALOG, params=query)).status_code == 400
