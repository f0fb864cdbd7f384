"""Faults: which call they strike, and what the one who called lives through."""

import asyncio
from urllib.parse import urlsplit

import httpx
import pytest
from tests.support.sandbox import PAGE, PATIENCE, PSID, TEXT, TOKEN, Box, Hook, error_of

pytestmark = pytest.mark.integration


async def fault(box: Box, mode: str, *, call: str = "messages", **fields):
    return await box.control("POST", "/faults", {"call": call, "mode": mode, **fields})


@pytest.mark.parametrize(
    ("fields", "status", "expected"),
    [
        ({}, 500, (2, None)),
        ({"code": 190, "subcode": 463}, 400, (190, 463)),
        ({"code": 10, "subcode": 2018278}, 403, (10, 2018278)),
        ({"code": 80006}, 400, (80006, None)),
        ({"code": 1, "status": 503}, 503, (1, None)),
        ({"status": 429}, 429, (4, None)),
        ({"code": 2, "status": 200}, 200, (2, None)),
        ({"code": 299}, 403, (299, None)),
        ({"code": 4711}, 400, (4711, None)),
    ],
)
async def test_error_in_metas_shape_without_effect(
    talking: Box, hook: Hook, fields, status, expected
):
    await fault(talking, "error", **fields)
    answer = await talking.send(message=TEXT)
    assert (answer.status_code, error_of(answer)) == (status, expected)
    assert (await talking.send(message=TEXT)).status_code == 200
    assert len((await talking.thread())["messages"]) == 2
    entry = next(each for each in await talking.journal() if each.get("fault"))
    assert (entry["fault"], entry["status"]) == ("error", status)


async def test_error_with_headers(talking: Box):
    await fault(talking, "error", status=429, headers={"Retry-After": "7"})
    assert (await talking.send(message=TEXT)).headers["retry-after"] == "7"


async def test_count_skip_page_and_call(talking: Box):
    await talking.page("2002", access_token="EAAtwo")
    await fault(talking, "error", page_id=PAGE, skip=1, count=2)
    await fault(talking, "error", call="profile")
    statuses = [(await talking.send(message=TEXT)).status_code for _ in range(4)]
    assert statuses == [200, 500, 500, 200]
    assert (await talking.graph("GET", PSID)).status_code == 500
    assert (await talking.graph("GET", PSID)).status_code == 200


async def test_faults_can_be_read_and_cleared(talking: Box):
    await fault(talking, "error", count=5)
    await talking.send(message=TEXT)
    (left,) = (await talking.control("GET", "/faults"))["data"]
    assert left["count"] == 4
    await talking.control("DELETE", "/faults")
    assert (await talking.send(message=TEXT)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"call": "messages", "mode": "sulk"},
        {"call": "telepathy", "mode": "error"},
        {"call": "messages", "mode": "forge"},
        {"call": "webhooks", "mode": "error"},
        {"call": "messages", "mode": "error", "count": 0},
        {"call": "messages", "mode": "error", "wings": 2},
        {"call": "messages", "mode": "error", "headers": {"a b": "c"}},
        {"call": "messages", "mode": "error", "headers": {"a": "b\r\nc: d"}},
    ],
)
async def test_faults_that_cannot_be(box: Box, body):
    answer = await box.client.post("/control/faults", json=body)
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("call", "method", "path"),
    [
        ("page", "GET", PAGE),
        ("page", "GET", "me"),
        ("profile", "GET", PSID),
        ("debug_token", "GET", f"debug_token?input_token={TOKEN}"),
        ("subscribed_apps", "POST", f"{PAGE}/subscribed_apps?subscribed_fields=feed"),
        ("subscribed_apps", "GET", f"{PAGE}/subscribed_apps"),
        ("conversations", "GET", f"{PAGE}/conversations"),
        ("conversations", "GET", "t_1"),
        ("conversations", "GET", "m_1"),
        ("attachments", "POST", f"{PAGE}/message_attachments"),
        ("personas", "GET", f"{PAGE}/personas"),
        ("thread_control", "GET", f"{PAGE}/thread_owner?recipient={PSID}"),
    ],
)
async def test_every_call_can_be_struck(talking: Box, call, method, path):
    await fault(talking, "error", call=call, page_id=PAGE, code=1)
    assert error_of(await talking.graph(method, path)) == (1, None)


async def test_webhooks_can_be_dropped_doubled_late_and_forged(harbour: Box, hook: Hook):
    await fault(harbour, "drop", call="webhooks")
    assert (await harbour.says("dropped"))["status"] is None
    await fault(harbour, "duplicate", call="webhooks")
    await harbour.says("doubled")
    await hook.wait_for(2)
    await fault(harbour, "forge", call="webhooks")
    await harbour.says("forged")
    await hook.wait_for(3)
    await fault(harbour, "delay", call="webhooks", delay_ms=60_000)
    async with asyncio.TaskGroup() as group:
        late = group.create_task(harbour.says("late"))
        group.create_task(harbour.says("punctual"))
        await hook.wait_for(4)
        await harbour.advance(minutes=1)
        assert (await late)["status"] == 200

    texts = [item["message"]["text"] for item in hook.items()]
    assert texts == ["doubled", "doubled", "forged", "punctual", "late"]
    assert hook.requests[2].headers["x-hub-signature-256"].endswith("0" * 64)
    first = (await harbour.journal())[0]
    assert (first["status"], first["fault"]) == (None, "drop")


class Caller:
    """Calls the served sandbox once, and says how it ended."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def send(self, *, patience: float = PATIENCE) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.address, timeout=patience) as client:
            return await client.post(
                "/v26.0/me/messages",
                json={"recipient": {"id": PSID}, "message": TEXT},
                headers={"Authorization": f"Bearer {TOKEN}"},
            )

    async def raw(self, limit: int) -> bytes:
        """Return the first bytes of the answer, to its end or a limit."""
        parts = urlsplit(self.address)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        body = b'{"recipient":{"id":"%b"},"message":{"text":"x"}}' % PSID.encode()
        writer.write(
            b"POST /v26.0/me/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (TOKEN.encode(), len(body), body)
        )
        got = b""
        async with asyncio.timeout(PATIENCE):
            while len(got) < limit and (chunk := await reader.read(65536)):
                got += chunk
        writer.transport.abort()
        return got


@pytest.fixture
def caller(served: str) -> Caller:
    return Caller(served)


async def effects(box: Box) -> int:
    return len((await box.thread())["messages"]) - 1


async def last_status(box: Box):
    return [each for each in await box.journal() if each.get("fault")][-1]["status"]


async def test_hang_has_no_effect_and_no_answer(talking: Box, caller: Caller):
    await fault(talking, "hang")
    with pytest.raises(httpx.ReadTimeout):
        await caller.send(patience=0.1)
    assert await effects(talking) == 0
    assert await last_status(talking) is None


async def test_hang_for_a_while_ends_without_an_answer(talking: Box, caller: Caller):
    await fault(talking, "hang", delay_ms=10)
    with pytest.raises(httpx.RemoteProtocolError):
        await caller.send()
    assert await effects(talking) == 0


async def test_drop_after_effect(talking: Box, hook: Hook, caller: Caller):
    await fault(talking, "drop_after_effect")
    with pytest.raises(httpx.RemoteProtocolError):
        await caller.send()
    assert await effects(talking) == 1
    assert await last_status(talking) is None
    await hook.wait_for(2)


async def test_drip_has_its_effect_before_its_answer_ends(talking: Box, hook: Hook, caller: Caller):
    await fault(talking, "drip", delay_ms=1)
    answer = await caller.send()
    assert answer.json()["recipient_id"] == PSID
    await fault(talking, "drip", delay_ms=60_000)
    with pytest.raises(httpx.ReadTimeout):
        await caller.send(patience=0.1)
    assert await effects(talking) == 2
    assert await last_status(talking) == 200
    await hook.wait_for(4)


async def test_reset(talking: Box, caller: Caller):
    await fault(talking, "reset")
    with pytest.raises(httpx.ReadError):
        await caller.send()
    assert await effects(talking) == 0


async def test_a_lie_with_an_effect(talking: Box, caller: Caller):
    await fault(talking, "reset", effect=True)
    with pytest.raises(httpx.ReadError):
        await caller.send()
    assert await effects(talking) == 1


async def test_garbage(talking: Box, caller: Caller):
    await fault(talking, "garbage")
    with pytest.raises(httpx.RemoteProtocolError):
        await caller.send()


async def test_truncated(talking: Box, caller: Caller):
    await fault(talking, "truncated", effect=True)
    with pytest.raises(httpx.RemoteProtocolError):
        await caller.send()
    assert await last_status(talking) == 200


@pytest.mark.parametrize(
    ("mode", "status", "content_type"),
    [("html", 503, "text/html"), ("empty", 200, "application/json"), ("redirect", 307, "")],
)
async def test_lies_that_http_can_tell(talking: Box, caller: Caller, mode, status, content_type):
    await fault(talking, mode)
    answer = await caller.send()
    assert answer.status_code == status
    assert answer.headers.get("content-type", "").startswith(content_type)
    assert await last_status(talking) == status


@pytest.mark.parametrize(
    ("mode", "start", "status"),
    [
        ("endless", b"HTTP/1.1 200 OK\r\n", 200),
        ("endless_headers", b"HTTP/1.1 200 OK\r\nx-filler-0: ", 200),
        ("interim_flood", b"HTTP/1.1 103 Early Hints\r\n", 103),
        ("gzip_bomb", b"HTTP/1.1 200 OK\r\n", 200),
    ],
)
async def test_floods(talking: Box, caller: Caller, mode, start, status):
    await fault(talking, mode)
    got = await caller.raw(limit=200_000)
    assert got.startswith(start)
    assert len(got) >= 200_000
    assert await last_status(talking) == status
    assert (await caller.send()).status_code == 200
