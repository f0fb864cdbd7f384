"""Pages that channels let go while Meta does not answer."""

import pytest
from tests.integration.gateway.api.test_meta_callbacks import signed
from tests.support.api import META_APP
from tests.support.duties import attempt, the_errand

from gateway.messaging.leaving import PAGE_LEAVE
from gateway.meta.graph_calls import GraphCalls
from gateway.meta.pages import PageConnector
from gateway.sender.duties import Again, Done, GoOn
from gateway.sender.leaving import PageLeaving

GRAPH = "https://graph.example"
PAGE = "101"


class Leaver:
    """An account with a channel on a Page, and the duty that lets Pages go."""

    def __init__(self, api, acme, channel):
        self.api = api
        self.acme = acme
        self.path = f"/v1/channels/{channel['id']}"
        self.id = channel["id"]
        pages = PageConnector(GraphCalls(api.sandbox, base_url=GRAPH))
        self.duty = PageLeaving(api.database, pages).duty()

    async def meta_is_away(self, many=10):
        fault = {"call": "subscribed_apps", "mode": "error", "status": 503, "count": many}
        assert (await self.api.sandbox.post("/control/faults", json=fault)).is_success

    async def meta_is_back(self):
        await self.api.sandbox.delete("/control/faults")

    async def attempt(self):
        return await attempt(self.api.database, self.duty, PAGE_LEAVE)

    async def subscribed(self):
        shown = (await self.api.sandbox.get("/control/pages")).json()["data"]
        return bool(next(each for each in shown if each["page_id"] == PAGE)["subscribed_fields"])

    async def connect_again(self, caller):
        source = {"page_id": PAGE, "page_access_token": f"EAA{PAGE}"}
        return await self.api.messenger(caller, source=source)

    async def keeps_a_token(self):
        (row,) = await self.api.rows(
            "SELECT page_access_token FROM channels WHERE id = :id", id=self.id
        )
        return row["page_access_token"] is not None

    async def errands(self):
        return await self.api.rows("SELECT kind, subject_id FROM errands ORDER BY kind")


@pytest.fixture
async def leaver(api):
    acme = await api.account()
    channel = await api.messenger(acme, source=await api.page(PAGE))
    return Leaver(api, acme, channel)


@pytest.mark.parametrize("how", ["disconnect", "delete"])
async def test_a_page_that_is_let_go_while_meta_is_away_is_left_later(leaver, how):
    await leaver.meta_is_away()
    if how == "delete":
        assert (await leaver.acme.delete(leaver.path)).status_code == 204
    else:
        assert (await leaver.acme.post(f"{leaver.path}/disconnect")).status_code == 200
    assert await leaver.subscribed()
    assert isinstance(await leaver.attempt(), Again)
    assert await leaver.keeps_a_token()
    await leaver.meta_is_back()
    assert isinstance(await leaver.attempt(), GoOn)
    assert not await leaver.subscribed()
    assert not await leaver.keeps_a_token()
    # A minute later nobody else has it, and that was all.
    assert isinstance(await leaver.attempt(), Done)
    assert await leaver.errands() == []


async def test_where_meta_answers_at_once_nothing_is_left_to_do(leaver):
    await leaver.acme.post(f"{leaver.path}/disconnect")
    assert not await leaver.subscribed()
    assert not await leaver.keeps_a_token()
    assert await leaver.errands() == []


@pytest.mark.parametrize("by", ["itself", "another"])
async def test_a_page_that_is_connected_again_is_left_alone(leaver, by):
    await leaver.meta_is_away()
    await leaver.acme.post(f"{leaver.path}/disconnect")
    await leaver.meta_is_back()
    if by == "itself":
        token = {"source": {"page_access_token": f"EAA{PAGE}"}}
        assert (await leaver.acme.patch(leaver.path, token)).status_code == 200
    else:
        await leaver.connect_again(await leaver.api.account("Other"))
    assert isinstance(await leaver.attempt(), Done)
    assert await leaver.subscribed()
    assert await leaver.keeps_a_token() == (by == "itself")


async def test_who_connects_a_page_while_it_is_being_left_gets_their_subscription_back(leaver):
    await leaver.meta_is_away()
    await leaver.acme.post(f"{leaver.path}/disconnect")
    await leaver.meta_is_back()
    # Their subscription stands already when our call comes, their channel not yet.
    assert isinstance(await leaver.attempt(), GoOn)
    other = await leaver.connect_again(await leaver.api.account("Other"))
    await leaver.attempt()
    assert await leaver.errands() == [{"kind": "channel_probe", "subject_id": other["id"]}]


@pytest.mark.parametrize("how", ["refused", "given up"])
async def test_a_token_that_leads_to_nothing_is_forgotten(leaver, how):
    await leaver.meta_is_away()
    await leaver.acme.post(f"{leaver.path}/disconnect")
    await leaver.meta_is_back()
    if how == "refused":
        refusal = {"call": "subscribed_apps", "mode": "error", "status": 400, "code": 190}
        await leaver.api.sandbox.post("/control/faults", json=refusal)
        assert isinstance(await leaver.attempt(), Done)
    else:
        errand = await the_errand(leaver.api.database, PAGE_LEAVE)
        async with leaver.api.database.unit_of_work() as work:
            await leaver.duty.given_up(work, errand, "upstream-failed")
    assert not await leaver.keeps_a_token()


async def test_who_takes_the_app_out_is_forgotten_by_channels_without_their_page_as_well(leaver):
    await leaver.meta_is_away()
    await leaver.acme.post(f"{leaver.path}/disconnect")
    await leaver.api.rows("UPDATE channels SET connected_by = '70001'")
    form = signed("70001")
    answer = await leaver.api.client.post(f"/webhooks/meta/{META_APP}/deauthorize", data=form)
    assert answer.status_code == 200
    (row,) = await leaver.api.rows("SELECT connected_by, page_access_token FROM channels")
    assert row == {"connected_by": None, "page_access_token": None}
