"""When people may be written to, and what opens that, on the whole gateway."""

from typing import Any

from tests.e2e.stack import Gateway, call

DAY = 24 * 3600


def _about(message: dict[str, Any]) -> Any:
    return lambda event: event["data"].get("message", {}).get("id") == message["id"]


async def test_a_window_that_closes_is_told_and_ends_retries(gateway: Gateway) -> None:
    tenant = await gateway.tenant()
    page = await tenant.page()
    conversation = await page.conversation("hello")
    await gateway.advance_clock(DAY - 90)
    closing = await tenant.event("conversation.window_closing")
    assert closing["conversation_id"] == conversation
    assert closing["data"]["window"]["state"] == "open"
    await gateway.fault(
        call="messages", page_id=page.page_id, count=100, mode="error", code=2, status=503
    )
    message = await tenant.post(
        f"/v1/conversations/{conversation}/messages",
        {"content": {"type": "text", "text": "in time"}},
        expect=202,
    )
    path = f"/v1/messages/{message['id']}"
    await tenant.until(path, lambda shown: len(shown["attempts"]) >= 1)
    await gateway.advance_clock(120)
    await tenant.event("message.failed", _about(message))
    failed = await tenant.get(path)
    assert failed["error"]["code"] == "messaging-window-closed"
    assert failed["error"]["remedy"]


async def test_a_comments_writer_answers_the_private_reply(gateway: Gateway) -> None:
    tenant = await gateway.tenant()
    page = await tenant.page()
    visitor = f"/control/pages/{page.page_id}/visitors/7400042/messages"
    value = {"item": "comment", "verb": "add", "comment_id": "1_2", "message": "How much?"}
    await call(gateway.sandbox, "POST", visitor, {"field": "feed", "value": value})
    comment = await tenant.event("comment.received")
    reply = {
        "recipient": {"comment_id": comment["data"]["comment"]["id"]},
        "content": {"type": "text", "text": "Ten euros"},
    }
    sends = f"/v1/channels/{page.channel}/messages"
    message = await tenant.post(sends, reply, expect=202)
    await tenant.event("message.sent", _about(message))
    renamed = await tenant.event("contact.updated")
    assert renamed["data"]["contact"]["source_contact_id"] == "7400042"
    refused = await tenant.post(sends, reply, expect=409)
    assert refused["type"] == "/problems/conflict"
    answered = await page.conversation("I take it", visitor="7400042")
    assert answered == message["conversation_id"]
    assert await page.texts() == ["Ten euros"]
