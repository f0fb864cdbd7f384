"""The control calls themselves: Pages, apps, handshake, journal, clock."""

import asyncio
from datetime import datetime, timedelta

import httpx
import pytest
from tests.support.sandbox import APP_ID, PAGE, PSID, TEXT, VERIFY_TOKEN, Box, Hook, settings

from gateway.clock import SystemClock
from gateway.sandbox.app import create_sandbox
from gateway.sandbox.settings import SandboxSettings

pytestmark = pytest.mark.integration


async def test_page_keeps_what_is_left_out(box: Box):
    made = await box.control(
        "POST", "/pages", {"page_id": 1001, "name": "Harbour", "restricted": True}
    )
    assert (made["page_id"], made["published"], made["messages_allowed"]) == ("1001", True, True)
    (token,) = made["access_tokens"]
    assert token.startswith("EAA")

    changed = await box.control("POST", "/pages", {"page_id": "1001", "published": False})
    assert (changed["name"], changed["restricted"], changed["published"]) == (
        "Harbour",
        True,
        False,
    )
    assert changed["access_tokens"] == [token]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"page_id": "a/b"}, 422),
        ({"page_id": "1", "colour": "blue"}, 422),
        ({"page_id": "1", "app_id": "7"}, 404),
        ({"page_id": "2002", "access_token": "EAAharbour"}, 409),
        ({"page_id": "2002", "instagram_id": PAGE}, 409),
        ({"page_id": "2002", "instagram_id": "2002"}, 409),
    ],
)
async def test_pages_that_cannot_be(harbour: Box, body, status):
    answer = await harbour.client.post("/control/pages", json=body)
    assert answer.status_code == status
    assert len((await harbour.control("GET", "/pages"))["data"]) == 1


class TestBounds:
    @pytest.fixture
    def sandbox_settings(self) -> SandboxSettings:
        return settings(max_pages=1, max_threads=2, max_journal_entries=3, max_thread_messages=20)

    async def test_memory_is_bounded_and_the_oldest_goes(self, harbour: Box):
        answer = await harbour.client.post("/control/pages", json={"page_id": "2"})
        assert answer.status_code == 409
        for psid in ("1", "2", "3"):
            await harbour.says("hello", psid=psid)
        missing = await harbour.client.get(f"/control/pages/{PAGE}/visitors/1")
        assert missing.status_code == 404
        for _ in range(25):
            await harbour.says("more", psid="3")
        assert len((await harbour.thread("3"))["messages"]) == 20
        numbers = [entry["n"] for entry in await harbour.journal()]
        assert numbers == [26, 27, 28]


async def test_writing_to_no_page(box: Box):
    answer = await box.client.post("/control/pages/1/visitors/2/messages", json={"text": "x"})
    assert answer.status_code == 404


async def test_text_must_be_text(harbour: Box):
    answer = await harbour.client.post(
        f"/control/pages/{PAGE}/visitors/{PSID}/messages", json={"text": 7}
    )
    assert answer.status_code == 422


async def test_journal_is_dense_ordered_and_unmasked(talking: Box):
    await talking.send(message={"text": "secret äö"}, access_token="EAAharbour")
    await talking.graph("GET", "me?fields=id&fields=name")
    entries = await talking.journal()
    assert [each["n"] for each in entries] == list(range(1, len(entries) + 1))
    sent = next(each for each in entries if each["path"].endswith("/messages"))
    assert (sent["kind"], sent["method"], sent["status"]) == ("call", "POST", 200)
    assert sent["headers"]["authorization"] == "Bearer EAAharbour"
    assert "EAAharbour" in sent["body"]
    assert sent["json"]["message"] == {"text": "secret äö"}
    datetime.fromisoformat(sent["at"])
    read = next(each for each in entries if each["path"] == "/v26.0/me")
    assert read["query"] == {"fields": ["id", "name"]}
    assert await talking.journal(after=entries[-1]["n"]) == []
    assert (await talking.journal(after=entries[-2]["n"])) == [entries[-1]]


async def test_journal_keeps_binary_bodies_and_marks_long_ones(talking: Box):
    await talking.graph("POST", "me/messages", content=b"\xff\xfe")
    await talking.graph("POST", "me/messages", content=b"x" * 1_100_000)
    binary, long = (await talking.journal())[-2:]
    assert binary["body_base64"] == "//4="
    assert (len(long["body"]), long["body_bytes"]) == (1024 * 1024, 1_100_000)


async def test_clock_moves_and_tells_how_far(box: Box):
    before = box.clock.now()
    answer = await box.control("POST", "/clock", {"advance_seconds": 90})
    assert answer["offset_seconds"] == 90
    assert box.clock.now() - before >= timedelta(seconds=90)
    assert datetime.fromisoformat(answer["now"]) >= before + timedelta(seconds=90)


@pytest.mark.parametrize("seconds", [-1, "soon", None, 1e12])
async def test_clock_only_goes_forward(box: Box, seconds):
    answer = await box.client.post("/control/clock", json={"advance_seconds": seconds})
    assert answer.status_code == 422
    assert box.clock.offset == timedelta()


async def test_the_others_move_first_and_are_waited_for():
    clock, called, moved = SystemClock(), asyncio.Event(), asyncio.Event()
    asked: list[tuple[float, timedelta]] = []

    async def others(seconds: float) -> None:
        asked.append((seconds, clock.offset))
        called.set()
        await moved.wait()

    app = create_sandbox(settings(), clock=clock, advance_clock=others)
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://x") as client,
        asyncio.TaskGroup() as group,
    ):
        call = group.create_task(client.post("/control/clock", json={"advance_seconds": 60}))
        await called.wait()
        assert not call.done()
        moved.set()
    assert asked == [(60, timedelta())]
    assert clock.offset == timedelta(seconds=60)
    assert call.result().status_code == 200


async def test_handshake_asks_as_meta_does(box: Box, hook: Hook):
    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=request.url.params["hub.challenge"])

    hook.then(answer)
    good = await box.control("POST", "/handshake", {})
    (request,) = hook.requests
    assert request.method == "GET"
    assert request.url.params["hub.mode"] == "subscribe"
    assert request.url.params["hub.verify_token"] == VERIFY_TOKEN
    assert (good["ok"], good["status"]) == (True, 200)

    hook.then(403)
    bad = await box.control("POST", "/handshake", {"verify_token": "wrong"})
    assert hook.requests[-1].url.params["hub.verify_token"] == "wrong"
    assert (bad["ok"], bad["status"]) == (False, 403)
    entries = await box.journal()
    assert [(each["kind"], each["status"]) for each in entries] == [
        ("webhook", 200),
        ("webhook", 403),
    ]


async def test_apps_are_made_and_changed(box: Box, hook: Hook):
    made = await box.control("POST", "/apps", {"app_id": "42"})
    assert len(made["app_secret"]) == 32
    changed = await box.control("POST", "/apps", {"app_id": 42, "webhook_url": "http://x.test/h"})
    assert changed["app_secret"] == made["app_secret"]
    assert changed["webhook_url"] == "http://x.test/h"
    assert [each["app_id"] for each in (await box.control("GET", "/apps"))["data"]] == [
        APP_ID,
        "42",
    ]
    for body, status in (({"app_id": "42", "webhook_url": "ftp://x"}, 422), ({"app_id": "x"}, 422)):
        assert (await box.client.post("/control/apps", json=body)).status_code == status
    assert (await box.client.post("/control/handshake", json={"app_id": "9"})).status_code == 404


async def test_without_an_address_webhooks_go_nowhere(harbour: Box, hook: Hook):
    await harbour.control("POST", "/apps", {"app_id": APP_ID, "webhook_url": ""})
    answer = await harbour.says("hello")
    assert answer["status"] is None
    assert hook.requests == []
    assert (await harbour.client.post("/control/handshake", json={})).status_code == 409
    assert (await harbour.send(message=TEXT)).status_code == 200


async def test_an_address_that_is_none_is_survived(harbour: Box):
    await harbour.control("POST", "/apps", {"app_id": APP_ID, "webhook_url": "http://[::bad/"})
    assert (await harbour.says("hello"))["status"] is None
    assert (await harbour.client.post("/control/handshake", json={})).status_code == 409


async def test_echo_modes_are_checked(harbour: Box):
    for body, status in (
        ({"page_id": PAGE, "mode": "sideways"}, 422),
        ({"page_id": "7", "mode": "off"}, 404),
    ):
        assert (await harbour.client.post("/control/echoes", json=body)).status_code == status


async def test_contract_is_published(box: Box):
    contract = (await box.client.get("/openapi.json")).json()
    assert "/control/journal" in contract["paths"]


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SANDBOX_PORT", "0")
    monkeypatch.setenv("SANDBOX_APP_SECRET", "s3cret")
    made = SandboxSettings()
    assert made.port == 0
    assert made.app_secret.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(made)
    assert SandboxSettings().verify_token != made.verify_token
