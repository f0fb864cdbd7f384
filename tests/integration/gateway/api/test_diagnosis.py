"""What a diagnosis finds, of Pages and of third parties, whatever has befallen them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support import misbehave
from tests.support.api import META_APP, pointers, problem
from tests.support.browser import SCOPES, connected_by_login
from tests.support.talk import set_state, wrote

from gateway.contracts.moments import rfc3339
from routing.configuration import validate_routing

PERSON = "70001"
PAGE = "101"
OF_A_PAGE = [
    "page_published",
    "page_restricted",
    "page_under_review",
    "message_access",
    *(f"permission.{each}" for each in SCOPES),
    "token",
    "subscription",
    "last_webhook",
    "thread_owner",
    "window",
    "destinations",
    "business_integration",
    "connected_by_hand",
]


class Clinic:
    """An account with a channel that a person connected by Facebook Login."""

    def __init__(self, api, acme, channel_id):
        self.api = api
        self.acme = acme
        self.path = f"/v1/channels/{channel_id}"
        self.channel_id = channel_id

    async def page(self, **fields):
        made = await self.api.sandbox.post("/control/pages", json={"page_id": PAGE, **fields})
        assert made.is_success, made.text

    async def person(self, **fields):
        made = await self.api.sandbox.post("/control/people", json={"user_id": PERSON, **fields})
        assert made.is_success, made.text

    async def diagnosis(self):
        answer = await self.acme.get(f"{self.path}/diagnosis")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        for each in found["checks"]:
            assert (each["remedy"] is None) is (each["result"] == "ok"), each
            assert each["seen"].endswith("."), each
        return found

    async def checks(self):
        return {each["check"]: each for each in (await self.diagnosis())["checks"]}

    async def results(self):
        return {name: each["result"] for name, each in (await self.checks()).items()}


@pytest.fixture
async def clinic(api):
    await api.meta_app()
    acme = await api.account()
    channel_id = await connected_by_login(api, acme, PERSON, PAGE)
    return Clinic(api, acme, channel_id)


async def test_a_channel_that_works_has_nothing_to_mend(clinic):
    agent = (await clinic.acme.post("/v1/agents", {"first_name": "Ada"})).json()
    await clinic.acme.put(f"/v1/agents/{agent['id']}/presence", {"state": "active"})
    await wrote(clinic.api.database, clinic.acme.account_id, clinic.channel_id)
    parts = clinic.api.app.state.api
    pool = clinic.api.database.engine.pool

    class Watched:
        async def inspect(self, *arguments, **more):
            assert pool.checkedout() == 0, "a transaction is open while Meta is called"
            return await parts.pages.inspect(*arguments, **more)

    clinic.api.app.state.api = replace(parts, pages=Watched())
    found = await clinic.diagnosis()
    assert [each["check"] for each in found["checks"]] == OF_A_PAGE
    assert {each["result"] for each in found["checks"]} == {"ok"}, found
    assert found["channel_status"] == "active"
    # It counts as a probe.
    (row,) = await clinic.api.rows("SELECT token_checked_at FROM channels")
    assert row["token_checked_at"] == clinic.api.clock.now()
    assert found["checked_at"] == rfc3339(clinic.api.clock.now())


async def test_what_meta_does_not_tell_is_unknown_and_changes_nothing(clinic):
    fault = {"call": "debug_token", "mode": "error", "status": 500, "code": 2, "count": 9}
    await clinic.api.sandbox.post("/control/faults", json=fault)
    found = await clinic.diagnosis()
    silent = {each["check"] for each in found["checks"] if "Meta could not be" in each["seen"]}
    assert silent >= {"page_published", "token", "subscription", "permission.pages_messaging"}
    assert found["channel_status"] == "active"
    await clinic.api.sandbox.delete("/control/faults")
    await clinic.api.sandbox.post("/control/faults", json=fault | {"call": "page"})
    results = await clinic.results()
    assert (results["token"], results["page_published"]) == ("ok", "unknown")
    assert results["subscription"] == results["connected_by_hand"] == "unknown"
    await clinic.api.sandbox.delete("/control/faults")
    parts = clinic.api.app.state.api

    class Slow:
        async def inspect(self, *arguments, **more):
            raise TimeoutError

    clinic.api.app.state.api = replace(parts, pages=Slow())
    assert (await clinic.checks())["token"]["seen"] == "Meta took too long to answer."
    clinic.api.app.state.api = parts
    # One that was let go has no token to ask with.
    await clinic.acme.post(f"{clinic.path}/disconnect")
    checks = await clinic.checks()
    assert checks["token"]["result"] == "failed"
    assert checks["page_published"]["result"] == "unknown"


async def test_each_part_of_the_subscription_is_looked_at(clinic):
    await clinic.page(refused_fields=["ratings", "feed"], subscribed_fields=[])
    checks = await clinic.checks()
    assert checks["subscription"]["result"] == "warning"
    assert "subscribed again" in checks["subscription"]["seen"]
    # What Meta refuses for lack of review is left out, and shown from then on.
    checks = await clinic.checks()
    assert checks["subscription"]["seen"].endswith(
        "20 of 22 fields of the Page, but not feed and ratings."
    )
    assert checks["connected_by_hand"]["result"] == "ok"
    await clinic.page(subscribed_fields=["messages"])
    checks = await clinic.checks()
    assert checks["connected_by_hand"]["result"] == "warning"
    assert "with 1 of the 20 fields" in checks["connected_by_hand"]["seen"]
    assert (await clinic.results())["connected_by_hand"] == "ok"
    await clinic.page(under_review=True)
    assert (await clinic.results())["page_under_review"] == "warning"


async def test_what_goes_on_in_the_conversations_and_who_takes_them_is_told(clinic):
    results = await clinic.results()
    assert results["last_webhook"] == results["window"] == "unknown"
    assert results["destinations"] == "warning"
    database, account = clinic.api.database, clinic.acme.account_id
    conversation, _, _ = await wrote(database, account, clinic.channel_id)
    now = clinic.api.clock.now()
    await set_state(
        database, "conversations", conversation, thread_owner="other_app", thread_owner_since=now
    )
    checks = await clinic.checks()
    assert checks["thread_owner"]["result"] == "warning"
    assert "one thread" in checks["thread_owner"]["seen"]
    assert checks["last_webhook"]["seen"].endswith(f"{now:%Y-%m-%d %H:%M} UTC.")
    clinic.api.clock.advance(timedelta(hours=25))
    results = await clinic.results()
    assert (results["thread_owner"], results["window"]) == ("ok", "warning")
    await set_state(database, "channels", clinic.channel_id, human_agent=True)
    assert "HUMAN_AGENT" in (await clinic.checks())["window"]["seen"]

    await whoever_takes_enquiries_is_looked_at(clinic)


async def whoever_takes_enquiries_is_looked_at(clinic):
    agent = (await clinic.acme.post("/v1/agents", {"first_name": "Ada"})).json()
    presence = f"/v1/agents/{agent['id']}/presence"
    # The routing as a back end has it stored.
    routing = validate_routing({"rule": "alternative", "destinations": [{"id": agent["id"]}]})
    await clinic.acme.patch(clinic.path, {"routing": routing})
    found = {}
    for state in ("offline", "busy", "active"):
        await clinic.acme.put(presence, {"state": state})
        check = (await clinic.checks())["destinations"]
        found[state] = (check["result"], check["seen"])
    assert found["offline"] == ("failed", "Ada was offline. So nobody was there.")
    assert found["busy"] == ("warning", "Ada was busy. So it waited for who was there.")
    assert found["active"][0] == "ok"
    endpoint = (
        await clinic.acme.post(
            "/v1/endpoints",
            {"name": "Desk", "url": clinic.api.hook.url, "event_types": ["*"]},
        )
    ).json()
    link = {"mode": "external_endpoint", "endpoint_id": endpoint["id"]}
    assert (await clinic.acme.patch(clinic.path, {"link": link})).status_code == 200
    assert (await clinic.results())["destinations"] == "ok"
    await clinic.acme.post(f"/v1/endpoints/{endpoint['id']}/pause")
    assert (
        "Desk, which takes everything, is paused."
        in ((await clinic.checks())["destinations"]["seen"])
    )


async def test_a_test_message_goes_the_way_of_every_other(clinic):
    path = f"{clinic.path}/test-message"
    clinic.api.clock.advance(timedelta(hours=1))
    _, contact, _ = await wrote(clinic.api.database, clinic.acme.account_id, clinic.channel_id)
    once = {"headers": {"Idempotency-Key": "once"}}
    sent = await clinic.acme.post(path, {"contact_id": contact}, **once)
    assert sent.status_code == 202, sent.text
    message = sent.json()
    assert (message["status"], message["hold"]) == ("accepted", None)
    assert message["content"] == {"type": "text", "text": "This is a test message."}
    assert message["author"]["kind"] == "system"
    again = await clinic.acme.post(path, {"contact_id": contact}, **once)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["id"] == message["id"]
    reader = await clinic.api.key(clinic.acme.account_id, ["read", "write"])
    problem(await reader.post(path, {"contact_id": contact}), "insufficient-scope", 403)
    stranger = problem(
        await clinic.acme.post(path, {"contact_id": "con_x"}), "validation-failed", 422
    )
    assert pointers(stranger) == ["/contact_id"]
    long = {"contact_id": contact, "text": "x" * 2001}
    assert pointers(problem(await clinic.acme.post(path, long), "text-too-long", 422)) == ["/text"]
    await clinic.person(invalidate="expired")
    assert (await clinic.diagnosis())["channel_status"] == "disconnected"
    held = await clinic.acme.post(path, {"contact_id": contact, "text": "Once more"})
    assert held.json()["hold"] == {"reason": "token_expired"}
    clinic.api.clock.advance(timedelta(hours=25))
    closed = await clinic.acme.post(path, {"contact_id": contact})
    problem(closed, "messaging-window-closed", 409)
    assert len(await clinic.api.rows("SELECT 1 FROM messages WHERE direction = 'outbound'")) == 2


async def test_instagram_needs_permissions_of_its_own(clinic):
    source = await clinic.api.page("102", instagram_id="902")
    body = {
        "kind": "instagram",
        "name": "Pictures",
        "meta_app_id": META_APP,
        "source": {"instagram_id": "902", **source},
    }
    made = await clinic.acme.post("/v1/channels", body)
    assert made.status_code == 201, made.text
    clinic.path = f"/v1/channels/{made.json()['id']}"
    checks = await clinic.checks()
    own = ["permission.instagram_basic", "permission.instagram_manage_messages"]
    assert [checks[name]["result"] for name in own] == ["ok", "ok"]
    await clinic.api.page("102", scopes=list(SCOPES))
    results = await clinic.results()
    assert [results[name] for name in own] == ["failed", "failed"]


async def test_only_ones_own_live_channels_are_diagnosed(clinic):
    path = f"{clinic.path}/diagnosis"
    stranger = await clinic.api.account("Stranger")
    problem(await stranger.get(path), "not-found", 404)
    writer = await clinic.api.key(clinic.acme.account_id, ["write"])
    problem(await writer.get(path), "insufficient-scope", 403)
    await clinic.acme.post(f"{clinic.path}/suspend")
    await clinic.page(published=False)
    found = await clinic.diagnosis()
    assert found["channel_status"] == "suspended"
    assert found["checks"][0]["result"] == "failed"
    await clinic.acme.delete(clinic.path)
    problem(await clinic.acme.get(path), "channel-deleted", 409)


async def test_a_third_party_is_challenged_and_its_token_looked_at(clinic):
    channel = await clinic.api.third_party(clinic.acme)
    clinic.path = f"/v1/channels/{channel['id']}"
    checks = await clinic.checks()
    assert list(checks) == ["webhook_target", "challenge", "token", "last_webhook", "destinations"]
    assert {checks[name]["result"] for name in ("webhook_target", "challenge", "token")} == {"ok"}
    await clinic.acme.post(f"{clinic.path}/incoming-token/rotate", {"overlap_seconds": 60})
    assert (await clinic.results())["token"] == "warning"
    clinic.api.hook.always(misbehave.respond(500))
    for status in ("active", "active", "degraded"):
        found = await clinic.diagnosis()
        assert found["channel_status"] == status
        assert {each["check"]: each["result"] for each in found["checks"]}["challenge"] == "failed"
    clinic.api.hook.always(misbehave.answer_challenge())
    assert (await clinic.results())["challenge"] == "warning"
    found = await clinic.diagnosis()
    assert (found["channel_status"], found["checks"][1]["result"]) == ("active", "ok")
    await set_state(
        clinic.api.database, "channels", channel["id"], outgoing_webhook_url="https://10.0.0.1/"
    )
    results = await clinic.results()
    assert (results["webhook_target"], results["challenge"]) == ("failed", "unknown")
    await set_state(clinic.api.database, "channels", channel["id"], signing_secret=b"damaged")
    assert "cannot be read" in (await clinic.checks())["challenge"]["seen"]
