"""Calls of which nobody knows whether they had their effect, and the echo that tells."""

import asyncio
import json
from datetime import timedelta

import httpx
import pytest
from tests.support.sending import PAGE_TOKEN, Outbox

from gateway.db.messages import get_message
from gateway.domain.delivery import Accepted, Refused, SendError, Unknown
from gateway.errors import IllegalTransitionError
from gateway.messaging.settlement import resend_message, settle_from_echo
from gateway.meta.graph import GraphClient

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

LOST = SendError("upstream-failed", "No answer.", "Look.", retryable=True)


async def echo(outbox: Outbox, conversation: str, message_id: str, *, attempt=1, mid="m_1"):
    """Do what routing does with an echo that names an attempt of ours."""
    async with outbox.held(conversation) as (work, held, _channel):
        message = await get_message(work.connection, outbox.account, message_id)
        await settle_from_echo(
            work, held, message, attempt=attempt, mid=mid, platform_at=outbox.clock.now()
        )


async def routing_reads(outbox: Outbox, *, until: timedelta = timedelta()) -> None:
    """Let routing have read all that Kafka had at a moment from now."""
    await outbox.execute(
        "INSERT INTO partition_owners (topic, partition, caught_up_at)"
        " VALUES ('gateway.inbound.v1', 0, :at)"
        " ON CONFLICT (topic, partition) DO UPDATE SET caught_up_at = :at",
        at=outbox.clock.now() + until,
    )


async def lose_an_answer(outbox: Outbox, conversation: str, words: str = "hello") -> str:
    message_id = await outbox.send(conversation, words)
    call = await outbox.graph.call()
    assert call.text == words
    call.answer(Unknown(LOST), status=None)
    await outbox.until(message_id, "uncertain")
    return message_id


async def test_the_echo_settles_what_the_answer_did_not(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        first = await lose_an_answer(outbox, conversation)
        second = await outbox.send(conversation, "second")
        await asyncio.sleep(0.05)
        assert outbox.graph.idle
        await echo(outbox, conversation, first)
        message = await outbox.message(first)
        assert (message.status, message.source_message_id, message.error) == ("sent", "m_1", None)
        (await outbox.graph.call()).answer(Accepted("m_2"))
        await outbox.until(second, "sent")
    types = [event["type"] for event in await outbox.events()]
    assert types.count("gateway.message.uncertain.v1") == 1
    assert types.count("gateway.message.resolved.v1") == 1
    assert types.count("gateway.message.sent.v1") == 2


async def test_an_echo_before_the_answer_settles_the_message_once(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        first = await outbox.send(conversation, "hello")
        second = await outbox.send(conversation, "second")
        call = await outbox.graph.call()
        await echo(outbox, conversation, first)
        assert (await outbox.message(first)).status == "sent"
        # One in flight in a lane, whatever the echo says.
        await asyncio.sleep(0.05)
        assert outbox.graph.idle
        call.answer(Accepted("m_1"))
        (await outbox.graph.call()).answer(Accepted("m_2"))
        await outbox.until(second, "sent")
    assert len(await outbox.events("gateway.message.sent.v1")) == 2
    assert await outbox.value("SELECT count(*) FROM delivery_attempts") == 2


@pytest.mark.parametrize("late", [Unknown(LOST), Refused(LOST)])
async def test_an_echo_beats_whatever_the_answer_says(outbox: Outbox, late):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        message_id = await outbox.send(conversation, "hello")
        call = await outbox.graph.call()
        await echo(outbox, conversation, message_id)
        call.answer(late, status=None)
        await outbox.eventually("SELECT count(*) FROM delivery_attempts", 1)
    assert (await outbox.message(message_id)).status == "sent"


async def test_an_echo_tells_even_after_a_failure(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        message_id = await outbox.send(conversation, "hello")
        (await outbox.graph.call()).answer(Refused(LOST))
        await outbox.until(message_id, "failed")
        await echo(outbox, conversation, message_id)
    message = await outbox.message(message_id)
    assert (message.status, message.error) == ("sent", None)


async def test_an_echo_of_a_sent_message_corrects_its_time_alone(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        message_id = await outbox.send(conversation, "hello")
        (await outbox.graph.call()).answer(Accepted("m_1"))
        await outbox.until(message_id, "sent")
    outbox.clock.advance(timedelta(seconds=1))
    await echo(outbox, conversation, message_id)
    assert (await outbox.message(message_id)).platform_at == outbox.clock.now()
    outbox.clock.advance(timedelta(seconds=1))
    await echo(outbox, conversation, message_id, attempt=2, mid="m_2")
    message = await outbox.message(message_id)
    assert message.source_message_id == "m_1"
    assert message.platform_at == outbox.clock.now() - timedelta(seconds=1)
    assert len(await outbox.events("gateway.message.sent.v1")) == 1


async def test_the_wait_ends_only_when_routing_has_read_past_it(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        first = await lose_an_answer(outbox, conversation)
        second = await outbox.send(conversation, "second")
        # Routing stands still: no time that passes ends the wait.
        await routing_reads(outbox, until=timedelta(seconds=29))
        outbox.advance(timedelta(hours=3))
        await asyncio.sleep(1.2)
        assert outbox.graph.idle
        assert (await outbox.message(second)).status == "accepted"
        await routing_reads(outbox)
        await outbox.eventually(
            "SELECT count(*) FROM events WHERE data ->> 'needs_decision' = 'true'", 1
        )
        # The message stays what it is, and the lane goes on; the second's deadline is over by now.
        assert (await outbox.message(first)).status == "uncertain"
        await outbox.until(second, "failed")
        # An echo tells, however late.
        await echo(outbox, conversation, first)
        assert (await outbox.message(first)).status == "sent"
    assert len(outbox.graph.calls) == 1


async def test_a_person_may_resend_and_the_order_is_new(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        first = await lose_an_answer(outbox, conversation)
        second = await outbox.send(conversation, "second")
        async with outbox.held(conversation) as (work, held, channel):
            message = await get_message(work.connection, outbox.account, first)
            await resend_message(work, held, channel, message)
        call = await outbox.graph.call()
        assert call.text == "second"
        call.answer(Accepted("m_2"))
        call = await outbox.graph.call()
        assert call.text == "hello"
        call.answer(Accepted("m_3"))
        message = await outbox.until(first, "sent")
    assert message.possibly_duplicate
    assert message.sequence > (await outbox.message(second)).sequence
    statuses = [
        row["status"]
        for row in await outbox.rows(
            "SELECT status FROM deliveries WHERE message_id = :id ORDER BY ordinal", id=first
        )
    ]
    assert statuses == ["cancelled", "delivered"]
    accepted = await outbox.events("gateway.message.accepted.v1")
    assert accepted[-1]["sequence"] == message.sequence
    async with outbox.held(conversation) as (work, held, channel):
        with pytest.raises(IllegalTransitionError):
            await resend_message(work, held, channel, message)


async def test_an_echo_stops_a_resend_that_has_not_left(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        first = await lose_an_answer(outbox, conversation)
        await outbox.send(conversation, "second")
        async with outbox.held(conversation) as (work, held, channel):
            message = await get_message(work.connection, outbox.account, first)
            await resend_message(work, held, channel, message)
        call = await outbox.graph.call()
        await echo(outbox, conversation, first)
        call.answer(Accepted("m_2"))
        await outbox.eventually("SELECT count(*) FROM deliveries WHERE holds_lane", 0)
    assert [each.text for each in outbox.graph.calls] == ["hello", "second"]
    assert (await outbox.message(first)).status == "sent"


class Thread:
    """Meta's conversation as Graph shows it."""

    def __init__(self, status=200) -> None:
        self.status = status
        self.messages: list[dict[str, object]] = []
        self.asked: list[httpx.Request] = []

    def says(self, mid, text, at, *, author="page"):
        self.messages.insert(
            0,
            {
                "id": mid,
                "message": text,
                "created_time": at.strftime("%Y-%m-%dT%H:%M:%S+0000"),
                "from": {"id": author},
            },
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        data = [{"id": "t_1", "messages": {"data": self.messages}}]
        body = json.dumps({"data": data}).encode()
        return httpx.Response(self.status, stream=httpx.ByteStream(body))


@pytest.fixture
def thread(outbox: Outbox) -> Thread:
    thread = Thread()
    client = httpx.AsyncClient(transport=httpx.MockTransport(thread.answer))
    outbox.graph_client = GraphClient(client, base_url="https://graph.example")
    return thread


async def _wait_over(outbox: Outbox, conversation: str) -> None:
    outbox.advance(timedelta(seconds=31))
    await routing_reads(outbox)


async def test_it_is_sent_again_when_the_channel_says_so_and_meta_does_not_show_it(outbox, thread):
    conversation = await outbox.conversation(await outbox.page(on_unknown_outcome="resend"))
    thread.says("m_0", "hello", outbox.clock.now() - timedelta(minutes=5))
    thread.says("m_visitor", "hello", outbox.clock.now(), author="psid2")
    async with outbox.sender():
        first = await lose_an_answer(outbox, conversation)
        await _wait_over(outbox, conversation)
        call = await outbox.graph.call()
        assert call.text == "hello"
        call.answer(Accepted("m_2"))
        message = await outbox.until(first, "sent")
    assert message.possibly_duplicate
    (asked,) = thread.asked
    assert asked.headers["authorization"] == f"Bearer {PAGE_TOKEN}"
    assert PAGE_TOKEN not in str(asked.url)
    assert asked.url.params["user_id"].startswith("psid")


async def test_what_meta_shows_is_sent_without_another_call(outbox, thread):
    conversation = await outbox.conversation(await outbox.page(on_unknown_outcome="resend"))
    async with outbox.sender():
        first = await lose_an_answer(outbox, conversation)
        thread.says("m_found", "hello ", outbox.clock.now())
        await _wait_over(outbox, conversation)
        message = await outbox.until(first, "sent")
    assert message.source_message_id == "m_found"
    assert not message.possibly_duplicate
    assert len(outbox.graph.calls) == 1


async def test_a_look_that_fails_leaves_it_to_a_person(outbox, thread):
    thread.status = 500
    conversation = await outbox.conversation(await outbox.page(on_unknown_outcome="resend"))
    async with outbox.sender():
        await lose_an_answer(outbox, conversation)
        await _wait_over(outbox, conversation)
        await outbox.eventually(
            "SELECT count(*) FROM events WHERE data ->> 'needs_decision' = 'true'", 1
        )
    assert len(outbox.graph.calls) == 1


async def test_nothing_is_sent_again_where_no_echo_would_have_come(outbox, thread):
    page = await outbox.page(on_unknown_outcome="resend", subscribed_fields=["messages"])
    conversation = await outbox.conversation(page)
    async with outbox.sender():
        await lose_an_answer(outbox, conversation)
        await _wait_over(outbox, conversation)
        await outbox.eventually(
            "SELECT count(*) FROM events WHERE data ->> 'needs_decision' = 'true'", 1
        )
    assert thread.asked == []
    assert len(outbox.graph.calls) == 1


async def test_pictures_are_not_sent_again_when_meta_shows_something_like_them(outbox, thread):
    conversation = await outbox.conversation(await outbox.page(on_unknown_outcome="resend"))
    picture = {"type": "image", "url": "https://cdn.example/a.png"}
    async with outbox.sender():
        await outbox.send(conversation, "", content=picture)
        (await outbox.graph.call()).answer(Unknown(LOST), status=None)
        thread.says("m_found", "", outbox.clock.now())
        await outbox.eventually("SELECT count(*) FROM messages WHERE status = 'uncertain'", 1)
        await _wait_over(outbox, conversation)
        await outbox.eventually(
            "SELECT count(*) FROM events WHERE data ->> 'needs_decision' = 'true'", 1
        )
    assert len(outbox.graph.calls) == 1
    assert json.dumps(await outbox.rows("SELECT data FROM events")).count(PAGE_TOKEN) == 0
