"""One conversation from the visitor's words to the ticks, on the whole gateway."""

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from typing import Any

from tests.e2e.stack import Gateway, Page

SENTENCE = (
    "Sorry, your message can no longer send; the 24-hour message window has lapsed. "
    "Close this enquiry, or wait until the visitor sends a message again."
)


async def test_a_message_reaches_an_agent_and_the_answer_comes_back_as_read(
    gateway: Gateway,
) -> None:
    tenant = await gateway.tenant()
    agent = await tenant.agent()
    page = await tenant.page(agent=agent)

    conversation = await page.conversation("hello")
    offered = await tenant.event("enquiry.offered")
    enquiry = await tenant.post(
        f"/v1/enquiries/{offered['enquiry_id']}/accept", {"agent_id": agent}
    )
    assert enquiry["status"] == "ongoing"
    message = await tenant.post(
        f"/v1/conversations/{conversation}/messages",
        {"content": {"type": "text", "text": "good day"}, "author": {"kind": "agent", "id": agent}},
        expect=202,
    )
    assert message["status"] == "accepted"
    about = lambda event: event["data"]["message"]["id"] == message["id"]  # noqa: E731
    await tenant.event("message.sent", about)
    await tenant.event("message.delivered", about)
    visitor = f"/control/pages/{page.page_id}/visitors/7000001"
    assert (await gateway.sandbox.post(visitor, json={"open": True})).is_success
    await tenant.event("message.read", about)
    assert await page.texts() == ["good day"]
    types = [event["type"] for event in tenant.events if event["conversation_id"] == conversation]
    assert types.index("gateway.message.received.v1") < types.index("gateway.enquiry.offered.v1")
    sequences = [
        int(event["sequence"])
        for event in tenant.events
        if event["conversation_id"] == conversation
    ]
    assert sequences == sorted(set(sequences))


async def test_one_body_with_two_pages_and_four_contacts_ten_times_at_once(
    gateway: Gateway,
) -> None:
    tenant = await gateway.tenant()
    pages = [await tenant.page(), await tenant.page()]
    entries = [
        {
            "id": page.page_id,
            "time": 1_790_000_000_000,
            "messaging": [
                {
                    "sender": {"id": f"88{n}{m}"},
                    "recipient": {"id": page.page_id},
                    "timestamp": 1_790_000_000_000,
                    "message": {"mid": f"m_{page.page_id}_{m}", "text": "hi"},
                }
                for m in range(2)
            ],
        }
        for n, page in enumerate(pages)
    ]
    body = json.dumps({"object": "page", "entry": entries}).encode()
    statuses = await asyncio.gather(*(_post(gateway, body) for _ in range(10)))
    assert statuses == [200] * 10
    for page in pages:
        for m in range(2):
            mid = f"m_{page.page_id}_{m}"
            await tenant.event("message.received", _is(mid))
    # Whatever else the ten bodies made would have come before the effect of a later message.
    await pages[0].conversation("later", visitor="99")
    enquiries = (await tenant.get("/v1/enquiries"))["data"]
    assert len(enquiries) == 5
    assert len({enquiry["contact_id"] for enquiry in enquiries}) == 5
    received = [e for e in tenant.events if e["type"] == "gateway.message.received.v1"]
    assert len(received) == 5


async def test_the_window_closes_after_24_hours(gateway: Gateway) -> None:
    tenant = await gateway.tenant()
    page = await tenant.page()
    conversation = await page.conversation("hello")
    path = f"/v1/conversations/{conversation}/messages"
    await gateway.advance_clock(23 * 3600 + 59 * 60)
    message = await tenant.post(path, {"content": {"type": "text", "text": "in time"}}, expect=202)
    await tenant.event("message.sent", lambda e: e["data"]["message"]["id"] == message["id"])
    await gateway.advance_clock(61)
    refusal = await tenant.post(path, {"content": {"type": "text", "text": "late"}}, expect=409)
    assert refusal["type"] == "/problems/messaging-window-closed"
    assert refusal["detail"] == SENTENCE
    assert await page.texts() == ["in time"]


async def test_a_page_connected_after_its_first_messages_gets_them_first_and_in_order(
    gateway: Gateway,
) -> None:
    tenant = await gateway.tenant()
    page = Page(tenant, str(10**15 + secrets.randbelow(10**15)))
    await page.exist()
    items = [
        {
            "sender": {"id": "9001"},
            "recipient": {"id": page.page_id},
            "message": {"mid": f"m_early_{page.page_id}_{n}", "text": f"early {n}"},
        }
        for n in range(3)
    ]
    for item in items:
        body = {"object": "page", "entry": [{"id": page.page_id, "messaging": [item]}]}
        assert await _post(gateway, json.dumps(body).encode()) == 200
    await gateway.advance_clock(600)
    await page.connect()
    newer = {**items[0], "message": {"mid": f"m_new_{page.page_id}", "text": "newer"}}
    body = {"object": "page", "entry": [{"id": page.page_id, "messaging": [newer]}]}
    assert await _post(gateway, json.dumps(body).encode()) == 200
    event = await tenant.event(
        "message.received", lambda e: e["data"]["message"]["content"]["text"] == "newer"
    )
    found = await tenant.get(f"/v1/conversations/{event['conversation_id']}/messages")
    assert [m["content"]["text"] for m in found["data"]] == [
        "early 0",
        "early 1",
        "early 2",
        "newer",
    ]
    assert len((await tenant.get("/v1/enquiries"))["data"]) == 1


async def test_a_third_party_writes_and_gets_its_answer(gateway: Gateway) -> None:
    tenant = await gateway.tenant()
    agent = await tenant.agent()
    sandbox = gateway.description["sandbox_url"]
    channel = await tenant.post(
        "/v1/channels",
        {
            "kind": "third_party",
            "name": "Shop",
            "source": {
                "source_name": "Shop",
                "outgoing_webhook_url": f"{sandbox}/third-party/{tenant.account}/webhook",
            },
            "messages": {"welcome": {"enabled": False}},
            "routing": {"rule": "alternative", "destinations": [{"id": agent}]},
        },
    )
    token = {"Authorization": f"Bearer {channel['source']['incoming_token']}"}
    incoming = f"/incoming/{channel['id']}"
    body = {"id": "x-1", "contact": {"id": "c-1", "name": "Robin"}, "type": "text", "text": "hello"}
    for _ in range(2):
        answer = await gateway.api.post(f"{incoming}/messages", json=body, headers=token)
        assert answer.status_code == 202, answer.text
    received = await tenant.event("message.received")
    message = await tenant.post(
        f"/v1/conversations/{received['conversation_id']}/messages",
        {"content": {"type": "text", "text": "yes"}, "author": {"kind": "agent", "id": agent}},
    )
    await tenant.event("message.sent")
    got = (await gateway.sandbox.get(f"/third-party/{tenant.account}/messages")).json()["data"]
    assert len(got) == 1
    answer = await gateway.api.post(
        f"{incoming}/statuses", json={"message_id": message["id"], "status": "read"}, headers=token
    )
    assert answer.status_code in (200, 202), answer.text
    await tenant.event("message.read")
    found = await tenant.get(f"/v1/conversations/{received['conversation_id']}/messages")
    assert [m["direction"] for m in found["data"]] == ["inbound", "outbound"]


def _is(mid: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["data"]["message"]["source_message_id"] == mid


async def _post(gateway: Gateway, body: bytes) -> int:
    app = gateway.app
    signature = hmac.new(app["app_secret"].encode(), body, hashlib.sha256).hexdigest()
    answer = await gateway.api.post(
        f"/webhooks/meta/{app['app_id']}",
        content=body,
        headers={
            "X-Hub-Signature-256": f"sha256={signature}",
            "Content-Type": "application/json",
        },
    )
    return answer.status_code
