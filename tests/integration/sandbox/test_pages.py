"""The pages for people, and the stream that keeps the chat up to date."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.support.sandbox import PAGE, PATIENCE, PSID, TEXT, Box, Hook

State = dict[str, Any]

pytestmark = pytest.mark.integration


async def test_without_a_page_the_index_says_what_to_do(box: Box):
    answer = await box.client.get("/")
    assert answer.status_code == 200
    assert "No Page yet" in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]


async def test_a_page_can_be_made_with_the_form(box: Box):
    answer = await box.client.post("/", data={"name": "Ink & <Paper>"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    shown = (await box.client.get("/")).text
    (page,) = (await box.control("GET", "/pages"))["data"]
    assert "Ink &amp; &lt;Paper&gt;" in shown
    assert page["page_id"] in shown
    assert page["access_tokens"][0] in shown
    assert "Not connected yet" in shown


async def test_index_leads_to_the_visitors_there_are(talking: Box):
    shown = (await talking.client.get("/")).text
    assert f'href="/chat/{PAGE}?visitor={PSID}"' in shown
    assert "Connected" in shown


async def test_chat_makes_up_a_visitor_and_keeps_the_given_one(harbour: Box):
    fresh = await harbour.client.get(f"/chat/{PAGE}")
    assert fresh.status_code == 303
    assert fresh.headers["location"].startswith(f"/chat/{PAGE}?visitor=")
    shown = (await harbour.client.get(f"/chat/{PAGE}?visitor=77")).text
    assert 'data-psid="77"' in shown
    assert "Harbour Coffee" in shown
    assert (await harbour.client.get(f"/chat/{PAGE}?visitor=%22><script>")).status_code == 422


async def test_names_cannot_become_markup(harbour: Box):
    await harbour.page(name="<script>alert(1)</script>")
    shown = (await harbour.client.get(f"/chat/{PAGE}?visitor=77")).text
    assert "<script>alert" not in shown
    assert "&lt;script&gt;" in shown


async def test_a_page_that_is_not_there(box: Box):
    answer = await box.client.get("/chat/404%3Cb%3E")
    assert answer.status_code == 404
    assert "404&lt;b&gt;" in answer.text
    assert (await box.client.get("/chat/4/stream?visitor=1")).status_code == 404
    assert (await box.client.post("/chat/4/media")).status_code == 404


@pytest.mark.parametrize("name", ["sandbox.css", "chat.js", "drawing.js"])
async def test_assets_are_served_from_the_package(box: Box, name: str):
    answer = await box.client.get(f"/static/{name}")
    assert answer.status_code == 200
    assert "http://" not in answer.text.replace("http://www.w3.org", "")
    assert "https://" not in answer.text
    assert (await box.client.get("/static/card.html")).status_code == 404


async def test_attached_files_are_served_safely(harbour: Box):
    async def attach(content_type: str, content: bytes = b"x") -> httpx.Response:
        return await harbour.client.post(
            f"/chat/{PAGE}/media?name=f", content=content, headers={"content-type": content_type}
        )

    picture = (await attach("image/png")).json()
    page = (await attach("text/html", b"<script>")).json()
    drawing = (await attach("image/svg+xml", b"<svg>")).json()
    assert (picture["type"], page["type"]) == ("image", "file")
    assert (await harbour.client.get(picture["url"])).headers["content-type"] == "image/png"
    for unsafe in (page, drawing):
        answer = await harbour.client.get(unsafe["url"])
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == "attachment"
    large = await attach("image/png", bytes(8 * 1024 * 1024 + 1))
    assert large.status_code == 413
    assert (await harbour.client.get("/media/1")).status_code == 404


@pytest.fixture
async def stream(served: str) -> AsyncIterator[AsyncIterator[State]]:
    async with httpx.AsyncClient(base_url=served, timeout=PATIENCE) as client:
        path = f"/chat/{PAGE}/stream?visitor={PSID}"
        async with client.stream("GET", path) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")

            async def states() -> AsyncIterator[State]:
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        yield json.loads(line.removeprefix("data: "))

            yield states()


async def until(stream: AsyncIterator[State], seen) -> State:
    async with asyncio.timeout(PATIENCE):
        async for state in stream:
            if seen(state):
                return state
    raise AssertionError


async def test_stream_shows_messages_typing_ticks_and_traffic(
    talking: Box, hook: Hook, stream: AsyncIterator[State]
):
    first = await until(stream, lambda state: state["messages"])
    assert first["messages"][0]["text"] == "hello"
    assert first["messages"][0]["tick"] == "delivered"
    assert first["window_ms"] > 86_000_000
    assert first["subscribed"] is True
    assert any(each["what"] == "messages" for each in first["traffic"])

    await talking.send(sender_action="mark_seen")
    await talking.send(sender_action="typing_on")
    typing = await until(stream, lambda state: state["typing_ms"] > 0)
    assert typing["messages"][0]["tick"] == "seen"

    await talking.send(
        message={
            **TEXT,
            "quick_replies": [{"content_type": "text", "title": "Yes", "payload": "Y"}],
        }
    )
    answered = await until(stream, lambda state: len(state["messages"]) == 2)
    assert answered["typing_ms"] == 0
    assert answered["messages"][1]["quick_replies"][0]["title"] == "Yes"
    await hook.wait_until(lambda items: any("read" in item for item in items))


async def test_a_webhook_that_fails_shows_as_such(
    talking: Box, hook: Hook, stream: AsyncIterator[State]
):
    hook.usual = 503
    await talking.says("are you there?")
    await until(stream, lambda state: state["messages"][-1]["tick"] == "failing")
    hook.usual = 200
    await talking.advance(seconds=5)
    await until(stream, lambda state: state["messages"][-1]["tick"] == "delivered")


async def test_who_leaves_no_longer_reads(talking: Box, served: str):
    async with httpx.AsyncClient(base_url=served, timeout=PATIENCE) as client:
        path = f"/chat/{PAGE}/stream?visitor={PSID}"
        async with client.stream("GET", path) as answer:
            await anext(answer.aiter_lines())
            assert (await talking.thread())["open"] is True
    async with asyncio.timeout(PATIENCE):
        while (await talking.thread())["open"]:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0)
