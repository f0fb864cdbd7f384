"""Connecting a Page, against Graph played by respx."""

import httpx
import pytest
import respx
from pydantic import SecretStr

from gateway.domain.channel import StatusReason
from gateway.errors import UpstreamFailedError
from gateway.meta.graph import PageAccess
from gateway.meta.graph_calls import GraphCalls
from gateway.meta.page_findings import NOT_A_PAGE, AppAccess, PageRefusedError, Wanted, judge_token
from gateway.meta.pages import PAGE_FIELDS, PageConnector

GRAPH = "https://graph.example"
APP = AppAccess(app_id="1", secret=SecretStr("hush"), version="v26.0")
PAGE = Wanted(page_id="10", token=SecretStr("EAAtoken"))
SOUND = {
    "is_valid": True,
    "app_id": "1",
    "type": "PAGE",
    "profile_id": "10",
    "scopes": ["pages_messaging", "pages_manage_metadata"],
}


@pytest.fixture
async def connector():
    async with httpx.AsyncClient() as client:
        yield PageConnector(GraphCalls(client, base_url=GRAPH))


@pytest.fixture
def graph():
    with respx.mock(base_url=f"{GRAPH}/v26.0", assert_all_called=False) as graph:
        graph.post("/debug_token", name="debug").respond(json={"data": SOUND})
        graph.get("/10", name="page").respond(
            json={"id": "10", "name": "Acme", "is_published": True}
        )
        graph.post("/10/subscribed_apps", name="subscribe").respond(json={"success": True})
        graph.get("/10/subscribed_apps", name="subscribed").respond(
            json={"data": [{"id": "1", "subscribed_fields": ["messages", "feed"]}]}
        )
        graph.delete("/10/subscribed_apps", name="leave").respond(json={"success": True})
        yield graph


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ({"is_valid": False}, "invalid-token", StatusReason.TOKEN_EXPIRED),
        (
            {"is_valid": False, "error": {"code": 190, "subcode": 460}},
            "invalid-token",
            StatusReason.PASSWORD_CHANGED,
        ),
        (
            {"is_valid": False, "error": {"code": 190, "subcode": 492}},
            "invalid-token",
            StatusReason.ROLE_LOST,
        ),
        ({"app_id": "2"}, "wrong-app", StatusReason.TOKEN_EXPIRED),
        ({"type": "USER"}, "not-a-page", StatusReason.TOKEN_EXPIRED),
        ({"profile_id": 11}, "wrong-page", StatusReason.PAGE_NOT_GRANTED),
        ({"scopes": ["pages_messaging"]}, "permission-missing", StatusReason.PERMISSION_MISSING),
        ({"scopes": None}, "permission-missing", StatusReason.PERMISSION_MISSING),
    ],
)
def test_what_debug_token_says_decides(change, code, reason):
    judge_token(SOUND, app_id="1", page_id="10")
    with pytest.raises(PageRefusedError) as caught:
        judge_token(SOUND | change, app_id="1", page_id="10")
    assert (caught.value.code, caught.value.reason) == (code, reason)
    if code == "not-a-page":
        assert caught.value.detail == NOT_A_PAGE


async def test_a_page_is_checked_read_subscribed_and_read_back(connector, graph):
    page = await connector.connect(APP, PAGE)
    assert page.name == "Acme"
    assert page.subscribed_fields == ["messages", "feed"]
    assert page.trouble is None
    sent = graph["debug"].calls.last.request.content.decode()
    assert "input_token=EAAtoken" in sent
    assert "access_token=1%7Chush" in sent
    for call in graph.calls:
        assert "EAA" not in str(call.request.url)
        assert "hush" not in str(call.request.url)
    assert graph["page"].calls.last.request.headers["authorization"] == "Bearer EAAtoken"


async def test_a_field_that_has_no_review_is_left_out(connector, graph):
    refused = {"error": {"code": 200, "message": "(#200) To subscribe to the ratings field, …"}}
    graph["subscribe"].side_effect = [
        httpx.Response(403, json=refused),
        httpx.Response(200, json={"success": True}),
    ]
    await connector.connect(APP, PAGE)
    last = graph["subscribe"].calls.last.request.content.decode()
    assert "ratings" not in last
    assert sum(field in last for field in PAGE_FIELDS) == len(PAGE_FIELDS) - 1


async def test_a_page_that_may_not_be_subscribed_is_refused(connector, graph):
    refused = {"error": {"code": 200, "message": "(#200) Requires pages_manage_metadata"}}
    graph["subscribe"].respond(403, json=refused)
    with pytest.raises(PageRefusedError) as caught:
        await connector.connect(APP, PAGE)
    assert caught.value.reason is StatusReason.PERMISSION_MISSING


@pytest.mark.parametrize(
    ("route", "answer", "trouble"),
    [
        ("page", {"id": "10", "is_published": False}, StatusReason.PAGE_UNPUBLISHED),
        ("subscribed", {"data": []}, StatusReason.SUBSCRIPTION_MISSING),
        ("subscribed", {"data": [{"id": "2"}]}, StatusReason.SUBSCRIPTION_MISSING),
        ("subscribed", {"data": None}, StatusReason.SUBSCRIPTION_MISSING),
    ],
)
async def test_a_page_may_work_in_part(connector, graph, route, answer, trouble):
    graph[route].respond(json=answer)
    assert (await connector.connect(APP, PAGE)).trouble is trouble


async def test_a_linked_account_is_asked_for_by_name(connector, graph):
    wanted = Wanted(page_id="10", token=PAGE.token, instagram_id="17")
    graph["page"].respond(json={"id": "10", "instagram_business_account": {"id": "18"}})
    with pytest.raises(PageRefusedError) as caught:
        await connector.connect(APP, wanted)
    assert caught.value.field == "instagram_id"
    graph["page"].respond(json={"id": "10", "instagram_business_account": {"id": "17"}})
    await connector.connect(APP, wanted)


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(503),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"error": "odd"}),
        httpx.Response(400, json={"error": {"code": 2, "message": "try later"}}),
        httpx.Response(400, json={"error": {"code": 4, "message": "limit"}}),
        httpx.ConnectError("away"),
        httpx.ReadTimeout("slow"),
    ],
    ids=["503", "html", "list", "odd", "code 2", "code 4", "no connection", "no answer"],
)
async def test_meta_away_is_tried_once_more_and_then_told(connector, graph, response):
    graph["page"].mock(side_effect=[response, response])
    with pytest.raises(UpstreamFailedError):
        await connector.connect(APP, PAGE)
    assert graph["page"].call_count == 2
    ours = {"error": {"code": 190, "message": "app"}}
    graph["debug"].respond(400, json=ours)
    with pytest.raises(UpstreamFailedError, match="credentials"):
        await connector.connect(APP, PAGE)


async def test_a_blip_is_not_told(connector, graph):
    sound = httpx.Response(200, json={"id": "10", "name": "Acme"})
    graph["page"].mock(side_effect=[httpx.ConnectError("blip"), sound])
    assert (await connector.connect(APP, PAGE)).name == "Acme"


async def test_a_page_is_left(connector, graph):
    access = PageAccess(page_id="10", token=PAGE.token, app_secret=APP.secret, version="v26.0")
    await connector.disconnect(access)
    assert graph["leave"].call_count == 1
