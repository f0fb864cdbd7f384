"""How channels are looked after: what befalls a Page, what becomes of its channel, and back."""

from datetime import timedelta

import pytest
from tests.support import misbehave
from tests.support.browser import SCOPES, Browser, connected_by_login

from gateway.clock import SystemClock
from gateway.db.errands import Errand
from gateway.meta.graph_calls import GraphCalls
from gateway.meta.pages import PageConnector
from gateway.net.egress import Egress
from gateway.sender.duties import Again, GoOn
from gateway.sender.probing import ChannelProbes, Watch, WebhookChecks, probe_interval

GRAPH = "https://graph.example"
PERSON = "70001"
PAGE = "101"


class Keeper:
    """An account with a channel that a person connected, and the duties that look after it."""

    def __init__(self, api, acme, channel_id, egress: Egress):
        self.api = api
        self.acme = acme
        self.channel_id = channel_id
        pages = PageConnector(GraphCalls(api.sandbox, base_url=GRAPH))
        self.probes = ChannelProbes(api.database, pages, seconds=900)
        self.checks = WebhookChecks(api.database, egress, seconds=3600)

    async def person(self, **fields):
        made = await self.api.sandbox.post("/control/people", json={"user_id": PERSON, **fields})
        assert made.is_success, made.text

    async def page(self, **fields):
        made = await self.api.sandbox.post("/control/pages", json={"page_id": PAGE, **fields})
        assert made.is_success, made.text

    async def run(self, duty):
        errand = Errand(
            account_id=self.acme.account_id,
            id="err_1",
            shard=0,
            kind="x",
            conversation_id=None,
            subject_id=self.channel_id,
            due_at=self.api.clock.now(),
            version=1,
            run=1,
            attempt=1,
            data={},
        )
        result = await duty.run(errand)
        if isinstance(result, GoOn):
            async with self.api.database.unit_of_work() as work:
                await result.effect(work)
        return result

    async def probe(self):
        result = await self.run(self.probes)
        channel = await self.channel()
        return result, (channel["status"], channel["status_reason"])

    async def channel(self):
        return (await self.acme.get(f"/v1/channels/{self.channel_id}")).json()

    async def told(self):
        kinds = ("activated", "degraded", "disconnected", "token_expiring")
        return await self.api.events(types=[f"gateway.channel.{kind}.v1" for kind in kinds])

    async def errands(self, kind):
        return await self.api.rows("SELECT subject_id FROM errands WHERE kind = :kind", kind=kind)


@pytest.fixture
async def keeper(api, egress):
    await api.meta_app()
    acme = await api.account()
    channel_id = await connected_by_login(api, acme, PERSON, PAGE)
    return Keeper(api, acme, channel_id, egress)


@pytest.mark.parametrize(
    ("befalls", "status", "reason", "mends"),
    [
        ({"page": {"published": False}}, "degraded", "page_unpublished", {"published": True}),
        ({"page": {"restricted": True}}, "degraded", "page_restricted", {"restricted": False}),
        (
            {"page": {"messages_allowed": False}},
            "degraded",
            "messages_not_allowed",
            {"messages_allowed": True},
        ),
        (
            {"person": {"granted": {"scopes": list(SCOPES[1:])}}},
            "disconnected",
            "permission_missing",
            {"granted": {"scopes": list(SCOPES)}},
        ),
        (
            {"person": {"granted": {"page_ids": []}}},
            "disconnected",
            "page_not_granted",
            {"granted": {"page_ids": [PAGE]}},
        ),
        ({"person": {"pages": {}}}, "disconnected", "role_lost", {"pages": {PAGE: []}}),
    ],
)
async def test_what_befalls_a_page_is_found_told_and_mended(keeper, befalls, status, reason, mends):
    (kind, fields), *_ = befalls.items()
    await getattr(keeper, kind)(**fields)
    before = await keeper.channel()
    assert (await keeper.probe())[1] == (status, reason)
    type_, data = (await keeper.told())[-1]
    assert type_ == f"gateway.channel.{status}.v1"
    assert data["reason"] == reason
    assert data["remedy"]
    # A second look finds the same, and neither tells nor changes anything.
    many, version = len(await keeper.told()), (await keeper.channel())["version"]
    await keeper.probe()
    assert (len(await keeper.told()), (await keeper.channel())["version"]) == (many, version)
    await getattr(keeper, kind)(**mends)
    assert (await keeper.probe())[1] == ("active", None)
    assert (await keeper.told())[-1][0] == "gateway.channel.activated.v1"
    assert before["version"] < version


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("expired", "token_expired"),
        ("password_changed", "password_changed"),
        ("checkpointed", "token_expired"),
    ],
)
async def test_a_token_that_ended_disconnects_and_says_why(keeper, why, reason):
    await keeper.person(invalidate=why)
    assert (await keeper.probe())[1] == ("disconnected", reason)


async def test_a_healthy_channel_is_looked_at_without_a_trace(keeper):
    before = await keeper.channel()
    result, _ = await keeper.probe()
    assert isinstance(result, GoOn)
    wait = result.due_at - keeper.api.clock.now()
    assert timedelta(seconds=720) <= wait <= timedelta(seconds=1080)
    assert await keeper.channel() == before
    (row,) = await keeper.api.rows("SELECT token_checked_at, token_expires_at FROM channels")
    assert row["token_checked_at"] == keeper.api.clock.now()
    assert row["token_expires_at"] is not None


async def test_a_missing_subscription_is_made_again_and_what_was_missed_is_fetched(keeper):
    await keeper.page(subscribed_fields=[])
    assert (await keeper.probe())[1] == ("active", None)
    assert len(await keeper.errands("backfill")) == 1
    shown = (await keeper.api.sandbox.get("/control/pages")).json()["data"]
    assert (
        "messages" in next(each for each in shown if each["page_id"] == PAGE)["subscribed_fields"]
    )


async def test_a_meta_that_is_away_says_nothing_about_a_channel(keeper):
    fault = {"call": "debug_token", "mode": "error", "status": 500, "code": 2, "count": 9}
    await keeper.api.sandbox.post("/control/faults", json=fault)
    result, state = await keeper.probe()
    assert isinstance(result, Again)
    assert state == ("active", None)


async def test_the_end_of_a_token_is_told_at_fourteen_seven_and_one_days(keeper):
    await keeper.person(token_seconds=20 * 86_400)
    login = await keeper.acme.post(f"/v1/channels/{keeper.channel_id}/reauthenticate")
    browser = Browser(keeper.api.client, keeper.api.sandbox)
    await browser.log_in(login.json()["url"], PERSON, pages=(PAGE,))
    # The sandbox tells the end by its own clock, which stands still here.
    keeper.api.clock.advance(SystemClock().now() - keeper.api.clock.now())
    told = []
    for days in (5, 2, 5, 2, 5.5):
        keeper.api.clock.advance(timedelta(days=days))
        await keeper.probe()
        told.append([data["days_left"] for _, data in await keeper.told() if "days_left" in data])
    assert told[-1] == [14, 7, 1]


async def test_a_suspended_channel_stays_what_it_is(keeper):
    await keeper.acme.post(f"/v1/channels/{keeper.channel_id}/suspend")
    await keeper.page(published=False)
    assert (await keeper.probe())[1] == ("suspended", None)


async def test_three_failed_challenges_degrade_and_one_answer_restores(keeper):
    channel = await keeper.api.third_party(keeper.acme)
    keeper.channel_id = channel["id"]
    keeper.api.hook.always(misbehave.respond(500))
    states = []
    for _ in range(3):
        await keeper.run(keeper.checks)
        states.append((await keeper.channel())["status"])
    assert states == ["active", "active", "degraded"]
    assert (await keeper.told())[-1][1]["reason"] == "challenge_failed"
    keeper.api.hook.always(misbehave.answer_challenge())
    await keeper.run(keeper.checks)
    assert (await keeper.channel())["status"] == "active"


async def test_every_live_channel_comes_to_be_looked_after(keeper):
    await keeper.api.third_party(keeper.acme)
    watch = Watch(keeper.api.database, probe_seconds=900, check_seconds=3600)
    assert await watch.look() == 2
    assert await watch.look() == 0
    assert len(await keeper.errands("channel_probe")) == 1
    assert len(await keeper.errands("webhook_check")) == 1


def test_ten_thousand_pages_make_less_than_a_call_a_second():
    assert probe_interval(10, seconds=900) == timedelta(seconds=900)
    assert 10_000 * 3 / probe_interval(10_000, seconds=900).total_seconds() < 1
