"""Sending through Graph when things go wrong: order, unknown outcomes, refused tokens."""

import signal
from typing import Any

import pytest
from tests.e2e.stack import Gateway, Page, Tenant


async def _send(tenant: Tenant, conversation: str, text: str) -> str:
    message = await tenant.post(
        f"/v1/conversations/{conversation}/messages",
        {"content": {"type": "text", "text": text}},
        expect=202,
    )
    return str(message["id"])


def _about(message: str) -> Any:
    return lambda event: event["data"].get("message", {}).get("id") == message


async def _stage(gateway: Gateway) -> tuple[Tenant, Page, str, str]:
    tenant = await gateway.tenant()
    page = await tenant.page()
    one = await page.conversation("from one", visitor="71")
    two = await page.conversation("from two", visitor="72")
    return tenant, page, one, two


async def test_a_retried_message_holds_its_own_conversation_and_no_other(
    gateway: Gateway,
) -> None:
    tenant, page, one, two = await _stage(gateway)
    await gateway.fault(
        call="messages", page_id=page.page_id, count=2, mode="error", code=2, status=503
    )
    first = await _send(tenant, one, "first")
    await tenant.until(f"/v1/messages/{first}", lambda m: len(m["attempts"]) >= 1)
    second = await _send(tenant, one, "second")
    other = await _send(tenant, two, "other")
    for message in (first, second, other):
        await tenant.event("message.sent", _about(message))
    texts = await page.texts()
    assert texts.count("second") == 1
    assert texts.index("second") > len(texts) - 1 - texts[::-1].index("first")


async def test_an_effect_whose_answer_was_lost_is_settled_by_the_echo(gateway: Gateway) -> None:
    tenant, page, one, _ = await _stage(gateway)
    await gateway.fault(call="messages", page_id=page.page_id, count=1, mode="drop_after_effect")
    message = await _send(tenant, one, "once")
    await tenant.event("message.sent", _about(message))
    assert await page.texts() == ["once"]


async def test_an_echo_that_comes_before_the_answer_settles_it_too(gateway: Gateway) -> None:
    tenant, page, one, _ = await _stage(gateway)
    await gateway.fault(call="messages", page_id=page.page_id, count=1, mode="drip", delay_ms=2000)
    message = await _send(tenant, one, "once")
    await tenant.event("message.sent", _about(message))
    found = await tenant.until(f"/v1/messages/{message}", lambda m: m["status"] != "sending")
    assert found["status"] in ("sent", "delivered")
    assert await page.texts() == ["once"]


@pytest.mark.faults
@pytest.mark.quick
async def test_a_lost_answer_waits_for_routing_however_long_it_is_away(gateway: Gateway) -> None:
    tenant, page, one, _ = await _stage(gateway)
    gateway.signal("routing", signal.SIGSTOP)
    try:
        await gateway.fault(
            call="messages", page_id=page.page_id, count=1, mode="drop_after_effect"
        )
        message = await _send(tenant, one, "once")
        await tenant.until(f"/v1/messages/{message}", lambda m: m["status"] == "uncertain")
        # Long past every wait that only looks at a clock.
        assert await page.texts() == ["once"]
    finally:
        gateway.signal("routing", signal.SIGCONT)
    await tenant.event("message.sent", _about(message))
    assert await page.texts() == ["once"]


async def test_a_refused_token_holds_messages_until_a_new_one_comes(gateway: Gateway) -> None:
    tenant, page, one, two = await _stage(gateway)
    await gateway.fault(
        call="messages",
        page_id=page.page_id,
        count=1,
        mode="error",
        code=190,
        subcode=460,
        status=400,
    )
    held = await _send(tenant, one, "held 1")
    event = await tenant.event("channel.disconnected")
    assert event["data"]["reason"] == "password_changed"
    more = [await _send(tenant, one, "held 2"), await _send(tenant, two, "held 3")]
    found = await tenant.get(f"/v1/messages/{more[0]}")
    assert found["status"] == "accepted"
    assert found["hold"] == {"reason": "password_changed"}
    channel = await tenant.call(
        "PATCH", f"/v1/channels/{page.channel}", {"source": {"page_access_token": page.token}}
    )
    assert channel["status"] == "active"
    for message in [held, *more]:
        await tenant.event("message.sent", _about(message))
    texts = await page.texts()
    assert texts.index("held 2") > texts.index("held 1")
    assert sorted(set(texts)) == ["held 1", "held 2", "held 3"]
