"""Facebook Login: from the back end's call through a person's browser to connected Pages."""

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text
from tests.support.api import META_APP, pointers, problem
from tests.support.browser import SCOPES, Browser

PERSON = "70001"
ALL = ("101", "102", "103")


class Town:
    """A person who manages three Pages, an account, and browsers."""

    def __init__(self, api, acme):
        self.api = api
        self.acme = acme

    def browser(self):
        return Browser(self.api.client, self.api.sandbox)

    async def person(self, **fields):
        made = await self.api.sandbox.post(
            "/control/people", json={"user_id": PERSON, "name": "Robin", **fields}
        )
        assert made.is_success, made.text

    async def begin(self, caller=None, **fields):
        body = {"meta_app_id": META_APP, **fields}
        made = await (caller or self.acme).post("/v1/facebook/logins", body)
        assert made.status_code == 201, made.text
        return made.json()

    async def read(self, login, caller=None):
        return (await (caller or self.acme).get(f"/v1/facebook/logins/{login['id']}")).json()

    async def connect(self, login, *pages, caller=None):
        answer = await (caller or self.acme).post(
            f"/v1/facebook/logins/{login['id']}/connect",
            {"pages": [page if isinstance(page, dict) else {"page_id": page} for page in pages]},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def granted(self, *pages, scopes=SCOPES, caller=None):
        login = await self.begin(caller)
        await self.browser().log_in(login["url"], PERSON, pages=pages, scopes=scopes)
        return login

    async def connected(self, *pages):
        login = await self.granted(*pages)
        results = await self.connect(login, *pages)
        assert {each["status"] for each in results} == {"connected"}, results
        return [each["channel"] for each in results]

    async def channel(self, channel, caller=None):
        return (await (caller or self.acme).get(f"/v1/channels/{channel['id']}")).json()

    async def fault(self, call, **more):
        body = {"call": call, "mode": "error", "status": 500, "code": 2, "count": 10, **more}
        made = await self.api.sandbox.post("/control/faults", json=body)
        assert made.is_success, made.text


@pytest.fixture
async def town(api):
    await api.meta_app()
    town = Town(api, await api.account())
    for page_id in ALL:
        await api.page(page_id, name=f"Page {page_id}")
    await town.person(pages={page_id: [] for page_id in ALL})
    return town


async def test_pages_are_granted_in_the_browser_and_connected_by_the_back_end(town):
    login = await town.begin()
    assert (login["state"], login["pages"], login["error"]) == ("started", [], None)
    browser = town.browser()
    asked = await browser.begin(login["url"])
    assert set(SCOPES) <= set(asked["scope"].split(","))
    assert asked["redirect_uri"] == "https://gateway.example/oauth/facebook/callback"
    for word in ("HttpOnly", "SameSite=lax", "Secure", "Path=/oauth/facebook"):
        assert word in browser.set_cookie
    page = await browser.open(await browser.choose(PERSON, pages=("101", "102")))
    assert page.status_code == 200
    login = await town.read(login)
    assert login["state"] == "granted"
    assert [(each["page_id"], each["connectable"]) for each in login["pages"]] == [
        ("101", True),
        ("102", True),
    ]
    results = await town.connect(
        login, {"page_id": "101", "name": "First", "intermission_minutes": 5}, "102"
    )
    channels = [each["channel"] for each in results]
    assert [(each["name"], each["status"]) for each in channels] == [
        ("First", "active"),
        ("Page 102", "active"),
    ]
    assert channels[0]["intermission_minutes"] == 5
    assert (await town.read(login))["state"] == "finished"
    kinds = [kind for kind, _ in await town.api.events()]
    assert kinds.count("gateway.channel.activated.v1") == 2


async def test_the_hosted_page_connects_what_is_ticked_under_the_names_given(town):
    browser = town.browser()
    page = await browser.log_in((await town.begin())["url"], PERSON, pages=ALL)
    for page_id in ALL:
        assert f'name="page_id" value="{page_id}"' in page.text
    result = await browser.submit(
        page, page_id=["101", "103"], name_101="One", name_102="unused", name_103="x" * 41
    )
    assert "connected as One" in result.text
    assert "A channel's name has 1 to 40 characters." in result.text.replace("&#x27;", "'")
    found = (await town.acme.get("/v1/channels")).json()["data"]
    assert [each["name"] for each in found] == ["One"]


async def test_who_declines_is_told_that_nothing_was_connected(town):
    login = await town.begin()
    page = await town.browser().log_in(login["url"], PERSON, action="deny")
    assert (page.status_code, "Nothing was connected" in page.text) == (200, True)
    assert (await town.read(login))["state"] == "denied"


async def test_without_pages_the_page_says_why_they_may_be_missing(town):
    page = await town.browser().log_in((await town.begin())["url"], PERSON, pages=())
    assert page.status_code == 200
    for words in ("You have no role on it", "not published", "another Facebook", "not ticked"):
        assert words in page.text


async def test_what_comes_back_is_good_once_in_the_browser_that_began(town):
    login = await town.begin()
    own, foreign = town.browser(), town.browser()
    await own.begin(login["url"])
    back = await own.choose(PERSON, pages=ALL)
    assert (await foreign.open(back)).status_code == 400
    # The foreign try did not use it up.
    assert (await own.open(back)).status_code == 200
    assert (await own.open(back)).status_code == 400
    assert (await town.read(login))["state"] == "granted"


@pytest.mark.parametrize("state", ["", "nonsense", "lgn_01kb2x5h8ve0xrn1y2z3a4b5c6.x"])
async def test_an_unknown_state_is_refused(town, state):
    page = await town.browser().open(f"/oauth/facebook/callback?state={state}&code=AQ")
    assert page.status_code == 400
    assert "cannot go on" in page.text


async def test_a_login_ends_after_ten_minutes(town):
    login = await town.begin()
    browser = town.browser()
    await browser.begin(login["url"])
    back = await browser.choose(PERSON, pages=ALL)
    town.api.clock.advance(timedelta(seconds=601))
    assert (await browser.open(back)).status_code == 400
    assert (await town.read(login))["state"] == "expired"
    assert (await browser.open(login["url"])).status_code == 400


async def test_a_missing_permission_is_named_with_its_remedy_and_asked_for_again(town):
    login = await town.begin()
    browser = town.browser()
    page = await browser.log_in(login["url"], PERSON, pages=ALL, scopes=SCOPES[1:])
    assert "Manage and access Page conversations in Messenger" in page.text
    login = await town.read(login)
    (missing,) = login["missing_permissions"]
    assert missing["permission"] == "pages_messaging"
    assert "Business Integrations" in missing["remedy"]
    assert not any(each["connectable"] for each in login["pages"])
    (result,) = await town.connect(login, "101")
    assert result["problem"]["status"] == 409
    again = await town.browser().begin((await town.begin())["url"])
    assert again["auth_type"] == "rerequest"
    await browser.begin(f"{login['url']}?again=1")
    page = await browser.open(await browser.choose(PERSON, pages=ALL))
    assert "Missing" not in page.text
    assert (await town.read(login))["missing_permissions"] == []


@pytest.mark.parametrize(
    ("call", "fault", "status", "code"),
    [
        ("oauth", {}, 502, "upstream-failed"),
        ("oauth", {"status": 400, "code": 100, "subcode": 36009}, 400, "code-refused"),
        ("debug_token", {}, 502, "upstream-failed"),
        ("accounts", {"mode": "drop_after_effect"}, 502, "upstream-failed"),
    ],
)
async def test_when_meta_fails_nothing_is_half_made_and_trying_again_works(
    town, call, fault, status, code
):
    login = await town.begin()
    browser = town.browser()
    await town.fault(call, **fault)
    page = await browser.log_in(login["url"], PERSON, pages=ALL)
    assert page.status_code == status
    failed = await town.read(login)
    assert (failed["state"], failed["error"]["code"]) == ("failed", code)
    assert (await town.acme.get("/v1/channels")).json()["data"] == []
    await town.api.sandbox.delete("/control/faults")
    assert (await browser.log_in(login["url"], PERSON, pages=ALL)).status_code == 200
    again = await town.read(login)
    assert (again["state"], again["error"]) == ("granted", None)


async def test_a_wrong_app_secret_is_said_plainly(town):
    await town.api.admin.patch(f"/v1/meta-apps/{META_APP}", {"app_secrets": ["wrong"]})
    login = await town.begin()
    page = await town.browser().log_in(login["url"], PERSON, pages=ALL)
    assert page.status_code == 502
    assert (await town.read(login))["error"]["code"] == "secret-refused"


async def test_many_pages_and_those_of_businesses_are_all_found(town):
    await town.person(accounts_page_size=1, unlisted=["103"])
    login = await town.read(await town.granted(*ALL))
    assert {each["page_id"] for each in login["pages"]} == set(ALL)


async def test_a_role_without_messages_cannot_connect(town):
    await town.person(pages={"101": ["ANALYZE"], "102": ["MESSAGING"], "103": []})
    login = await town.read(await town.granted(*ALL))
    found = {each["page_id"]: each for each in login["pages"]}
    assert [found[page_id]["connectable"] for page_id in ALL] == [False, False, True]
    assert "may not send messages" in found["101"]["reason"]
    assert "may not connect apps" in found["102"]["reason"]


async def test_a_page_of_another_account_is_refused_and_nothing_of_the_owner_is_shown(town):
    other = await town.api.account("Other")
    theirs, ours = await town.granted("101", caller=other), await town.granted("101")
    (taken,) = await town.connect(theirs, "101", caller=other)
    (refused,) = await town.connect(ours, "101")
    assert refused["problem"]["type"] == "/problems/page-already-connected"
    (shown,) = (await town.read(ours))["pages"]
    assert (shown["connectable"], shown["channel_id"]) == (False, None)
    for secret in (taken["channel"]["id"], other.account_id):
        assert secret not in str(refused) + str(shown)


async def test_of_two_who_connect_a_page_at_once_one_has_it(town):
    other = await town.api.account("Other")
    theirs, ours = await town.granted("101", caller=other), await town.granted("101")
    results = await asyncio.gather(
        town.connect(theirs, "101", caller=other), town.connect(ours, "101")
    )
    assert sorted(each["status"] for (each,) in results) == ["connected", "failed"]


async def test_asking_twice_connects_once(town):
    login = await town.granted("101")
    (first,) = await town.connect(login, "101")
    (second,) = await town.connect(login, "101")
    assert first["channel"]["id"] == second["channel"]["id"]
    town.api.clock.advance(timedelta(seconds=1))
    later = await town.granted("101")
    (third,) = await town.connect(later, "101")
    assert third["problem"]["type"] == "/problems/page-already-connected"


async def test_a_page_that_was_not_granted_is_refused_by_its_place(town):
    login = await town.granted("101")
    results = await town.connect(login, "101", "103")
    assert results[1]["problem"]["errors"][0]["pointer"] == "/pages/1/page_id"


async def test_a_page_left_out_later_is_disconnected_and_named_to_its_owner(town):
    kept, lost = await town.connected("101", "102")
    login = await town.begin()
    page = await town.browser().log_in(login["url"], PERSON, pages=("101", "103"))
    assert "Page 102" in page.text
    assert [each["channel_id"] for each in (await town.read(login))["lost"]] == [lost["id"]]
    shown = await town.channel(lost)
    assert (shown["status"], shown["status_reason"]) == ("disconnected", "page_not_granted")
    assert (await town.channel(kept))["status"] == "active"
    told = await town.api.events(types=["gateway.channel.disconnected.v1"])
    assert [data["channel"]["id"] for _, data in told] == [lost["id"]]
    await town.granted(*ALL)
    assert (await town.channel(lost))["status"] == "active"


async def test_a_loss_by_another_accounts_login_is_told_to_the_owner_alone(town):
    (channel,) = await town.connected("101")
    other = await town.api.account("Other")
    login = await town.granted("102", caller=other)
    assert (await town.read(login, caller=other))["lost"] == []
    assert (await town.channel(channel))["status_reason"] == "page_not_granted"


async def test_another_administrators_token_takes_over(town):
    (channel,) = await town.connected("101")
    made = await town.api.sandbox.post(
        "/control/people", json={"user_id": "70002", "name": "Sam", "pages": {"101": []}}
    )
    assert made.is_success
    second = await town.begin()
    await town.browser().log_in(second["url"], "70002", pages=("101",))
    third = await town.begin()
    await town.browser().log_in(third["url"], "70002", pages=())
    # Robin's token is known, too.
    assert (await town.channel(channel))["status"] == "active"
    assert (await town.read(third))["lost"] == []


@pytest.mark.parametrize("why", ["password_changed", "expired"])
async def test_logging_in_again_brings_a_channel_back(town, why):
    (channel,) = await town.connected("101")
    await town.person(invalidate=why)
    async with town.api.database.unit_of_work() as work:
        await work.connection.execute(
            text("UPDATE channels SET status = 'disconnected', status_reason = 'token_expired'")
        )
    answer = await town.acme.post(f"/v1/channels/{channel['id']}/reauthenticate")
    assert answer.status_code == 200
    login = answer.json()
    assert login["channel_id"] == channel["id"]
    page = await town.browser().log_in(login["url"], PERSON, pages=("101",))
    assert "Access is renewed" in page.text
    shown = await town.channel(channel)
    assert (shown["status"], shown["status_reason"]) == ("active", None)
    assert len((await town.acme.get("/v1/channels")).json()["data"]) == 1


async def test_a_browser_returns_only_where_the_operator_allows(town):
    refused = await town.acme.post(
        "/v1/facebook/logins",
        {"meta_app_id": META_APP, "return_url": "https://evil.example/back"},
    )
    assert pointers(problem(refused, "validation-failed", 422)) == ["/return_url"]
    login = await town.begin(return_url="https://back.example/done?a=b")
    answer = await town.browser().log_in(login["url"], PERSON, pages=ALL)
    assert answer.status_code == 303
    address = urlsplit(answer.headers["location"])
    assert address.netloc == "back.example"
    assert parse_qs(address.query) == {"a": ["b"], "login_id": [login["id"]]}


async def test_a_form_from_elsewhere_is_refused(town):
    browser = town.browser()
    page = await browser.log_in((await town.begin())["url"], PERSON, pages=ALL)
    forged = await browser.submit(page, form_token="0" * 64, page_id="101")
    assert forged.status_code == 400
    stranger = town.browser()
    assert (await stranger.submit(page, page_id="101")).status_code == 400
    assert (await town.acme.get("/v1/channels")).json()["data"] == []


async def test_nothing_that_is_secret_stands_in_an_address_or_in_the_clear(town):
    await town.connected(*ALL)
    journal = (await town.api.sandbox.get("/control/journal")).json()["data"]
    for call in journal:
        assert "EAA" not in f"{call['path']}{call['query']}"
        assert "app-secret" not in f"{call['path']}{call['query']}"
    for row in await town.api.rows("SELECT token FROM page_tokens"):
        assert b"EAA" not in bytes(row["token"])


async def test_human_agent_is_taken_over_from_the_page(town):
    await town.api.page("101", human_agent=True)
    first, second = await town.connected("101", "102")
    assert (first["human_agent"], second["human_agent"]) == (True, False)


async def test_an_instagram_account_is_connected_through_its_page(town):
    await town.api.page("101", instagram_id="901")
    login = await town.granted("101")
    (result,) = await town.connect(login, {"page_id": "101", "kind": "instagram"})
    assert result["channel"]["source"]["instagram_id"] == "901"


async def test_logins_are_the_accounts_own(town):
    other = await town.api.account("Other")
    login = await town.granted("101")
    for answer in (
        await other.get(f"/v1/facebook/logins/{login['id']}"),
        await other.post(
            f"/v1/facebook/logins/{login['id']}/connect", {"pages": [{"page_id": "101"}]}
        ),
    ):
        problem(answer, "not-found", 404)
    body = {"meta_app_id": META_APP, "channel_id": (await town.connected("102"))[0]["id"]}
    problem(await other.post("/v1/facebook/logins", body), "not-found", 404)
