"""Parts that stop answering: no 200 before durability, nothing lost, no restart needed."""

import hashlib
import hmac
import json
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.e2e.stack import Gateway, Page

pytestmark = [pytest.mark.faults, pytest.mark.quick]


async def _post(gateway: Gateway, page: Page, text: str) -> httpx.Response:
    item = {
        "sender": {"id": "5001"},
        "recipient": {"id": page.page_id},
        "message": {"mid": f"m_{page.page_id}_{text}", "text": text},
    }
    body = json.dumps({"object": "page", "entry": [{"id": page.page_id, "messaging": [item]}]})
    app = gateway.app
    signature = hmac.new(app["app_secret"].encode(), body.encode(), hashlib.sha256).hexdigest()
    return await gateway.api.post(
        f"/webhooks/meta/{app['app_id']}",
        content=body,
        headers={"X-Hub-Signature-256": f"sha256={signature}"},
    )


def _says(text: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["data"]["message"]["content"]["text"] == text


async def test_a_frozen_kafka_is_a_503_in_time_and_needs_no_restart(gateway: Gateway) -> None:
    tenant = await gateway.tenant()
    page = await tenant.page()
    api = gateway.pid("api")
    gateway.signal("kafka", signal.SIGSTOP)
    try:
        began = time.monotonic()
        answer = await _post(gateway, page, "frozen")
        assert time.monotonic() - began < 5
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/not-durable"
        assert int(answer.headers["Retry-After"]) > 0
    finally:
        gateway.signal("kafka", signal.SIGCONT)
    thawed = time.monotonic()
    while (await _post(gateway, page, "thawed")).status_code != 200:
        assert time.monotonic() - thawed < 10
    await tenant.event("message.received", _says("thawed"))
    assert gateway.pid("api") == api


async def test_without_postgresql_webhooks_are_taken_and_have_their_effect_later(
    gateway: Gateway,
) -> None:
    tenant = await gateway.tenant()
    page = await tenant.page()
    assert (await _post(gateway, page, "warm")).status_code == 200
    await tenant.event("message.received")
    gateway.signal("postgres", signal.SIGSTOP)
    try:
        for n in range(5):
            assert (await _post(gateway, page, f"dark {n}")).status_code == 200
    finally:
        gateway.signal("postgres", signal.SIGCONT)
    for n in range(5):
        text = f"dark {n}"
        await tenant.event("message.received", _says(text))
    received = [e for e in tenant.events if e["type"] == "gateway.message.received.v1"]
    texts = [e["data"]["message"]["content"]["text"] for e in received]
    assert texts == ["warm", *(f"dark {n}" for n in range(5))]


async def test_a_role_that_is_killed_is_back_within_a_second_and_nothing_is_lost(
    gateway: Gateway,
) -> None:
    tenant = await gateway.tenant()
    page = await tenant.page()
    conversation = await page.conversation("hello")
    for role in ("routing", "sender", "api"):
        before = gateway.pid(role)
        gateway.signal(role, signal.SIGKILL)
        began = time.monotonic()
        while gateway.pid(role) == before:
            assert time.monotonic() - began < 3
    deadline = time.monotonic() + 20
    while True:
        try:
            message = await tenant.post(
                f"/v1/conversations/{conversation}/messages",
                {"content": {"type": "text", "text": "after the crash"}},
            )
            break
        except httpx.HTTPError:
            assert time.monotonic() < deadline
    await page.visitor_writes("still there?")
    await tenant.event("message.received", _says("still there?"))
    await tenant.event("message.sent", lambda e: e["data"]["message"]["id"] == message["id"])
    assert await page.texts() == ["after the crash"]
