"""Each class of Meta's errors: from the sandbox's answer to message, channel and events."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from pydantic import SecretStr
from tests.support.sandbox import Box, Hook, settings
from tests.support.sending import APP_SECRET, PAGE_TOKEN, Outbox

from gateway.clock import SystemClock
from gateway.domain.delivery import TargetKind
from gateway.meta.graph import GraphClient
from gateway.sandbox.app import create_sandbox
from gateway.sender.metrics import GRAPH_ERRORS
from gateway.sender.page import GraphTransport

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

ACTIVE = ("active", None)


@pytest.fixture
async def sandbox(outbox: Outbox) -> AsyncIterator[Box]:
    """The sandbox as the Graph that the outbox' Pages are called at."""
    app = create_sandbox(
        settings(app_secret=SecretStr(APP_SECRET)), transport=httpx.MockTransport(Hook())
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://sandbox.test"
        ) as client,
    ):
        graph = GraphClient(client, base_url="http://sandbox.test")
        outbox.transports[TargetKind.PAGE] = GraphTransport(graph, keyring=outbox.keyring)
        yield Box(app, client, SystemClock())


async def _meets(outbox: Outbox, sandbox: Box, **fault: object) -> str:
    """Send a message whose first call meets a fault, and return its id after that call."""
    conversation = await outbox.conversation(await outbox.page())
    page_id = await outbox.value("SELECT page_id FROM channels")
    psid = await outbox.value("SELECT source_contact_id FROM contacts")
    await sandbox.page(page_id, access_token=PAGE_TOKEN)
    await sandbox.says("hello", psid=psid, page=page_id)
    await sandbox.control("POST", "/faults", {"call": "messages", "mode": "error", **fault})
    message_id = await outbox.send(conversation, "good morning")
    await outbox.eventually(
        "SELECT count(*) FROM deliveries d JOIN delivery_attempts a ON a.delivery_id = d.id"
        " WHERE d.message_id = :id",
        1,
        id=message_id,
    )
    return message_id


async def _channel(outbox: Outbox) -> tuple[str, str | None]:
    (row,) = await outbox.rows("SELECT status, status_reason FROM channels")
    return row["status"], row["status_reason"]


@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        ({"code": 1200}, timedelta(seconds=6)),
        ({"code": 80006, "headers": {"Retry-After": "120"}}, timedelta(seconds=121)),
        ({"code": 4711, "status": 503}, timedelta(seconds=6)),
    ],
    ids=["retry", "throttle", "unfamiliar"],
)
async def test_what_passes_is_tried_again_and_no_earlier_than_asked(outbox, sandbox, fault, wait):
    async with outbox.sender():
        message_id = await _meets(outbox, sandbox, **fault)
        message = await outbox.until(message_id, "accepted")
        assert message.error is None
        assert await _channel(outbox) == ACTIVE
        due = await outbox.value("SELECT due_at FROM deliveries")
        asked = timedelta(seconds=int(fault.get("headers", {}).get("Retry-After", 4)))
        assert due >= outbox.clock.now() + asked
        outbox.advance(wait)
        await outbox.until(message_id, "sent")
    assert len(await outbox.events("gateway.message.sent.v1")) == 1
    assert await outbox.events("gateway.message.failed.v1") == []


@pytest.mark.parametrize(
    ("fault", "channel"),
    [
        ({"code": 190, "subcode": 463}, ("disconnected", "token_expired")),
        ({"code": 10, "subcode": 1893063}, ("degraded", "page_restricted")),
    ],
    ids=["reauthenticate", "restricted"],
)
async def test_what_the_channel_suffers_from_holds_the_message(outbox, sandbox, fault, channel):
    async with outbox.sender():
        message_id = await _meets(outbox, sandbox, **fault)
        await outbox.until(message_id, "accepted")
        await outbox.eventually("SELECT due_at FROM deliveries", None)
    assert await _channel(outbox) == channel
    (event,) = await outbox.events(f"gateway.channel.{channel[0]}.v1")
    assert event["data"]["reason"] == channel[1]
    assert event["data"]["remedy"]
    assert await outbox.events("gateway.message.failed.v1") == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"code": 10, "subcode": 2018278}, "meta-10-2018278"),
        ({"code": 551, "subcode": 1545041}, "meta-551-1545041"),
        ({"code": 4711, "subcode": 5}, "meta-4711-5"),
    ],
    ids=["window", "permanent", "unfamiliar"],
)
async def test_what_stays_fails_the_message_at_once(outbox, sandbox, fault, code):
    unfamiliar = GRAPH_ERRORS.labels("other")._value.get()
    async with outbox.sender():
        message_id = await _meets(outbox, sandbox, **fault)
        message = await outbox.until(message_id, "failed")
    assert message.error["code"] == code
    assert message.error["detail"]
    assert message.error["remedy"]
    assert not message.error["retryable"]
    assert await _channel(outbox) == ACTIVE
    (event,) = await outbox.events("gateway.message.failed.v1")
    assert event["data"]["message"]["error"]["code"] == code
    assert GRAPH_ERRORS.labels("other")._value.get() - unfamiliar == (code == "meta-4711-5")
