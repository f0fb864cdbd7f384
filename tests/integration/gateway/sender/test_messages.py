"""Messages to people: sent once, in order, retried, held, failed."""

from datetime import timedelta

import pytest
from tests.support.sending import Outbox

from gateway.db.marks import keep_mark
from gateway.db.messages import get_message
from gateway.domain.delivery import Accepted, Refused, Retry, SendError, Throttle
from gateway.domain.message import AuthorKind, MessageStatus
from gateway.messaging.transitions import move_message

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

BUSY = SendError("meta-2", "Busy.", "Wait.", retryable=True)


async def test_a_message_is_sent(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        message_id = await outbox.send(conversation, "hello")
        call = await outbox.graph.call()
        assert call.text == "hello"
        assert (await outbox.message(message_id)).status == "sending"
        call.answer(Accepted("m_1"))
        message = await outbox.until(message_id, "sent")
    assert message.source_message_id == "m_1"
    assert message.sent_at == message.platform_at == outbox.clock.now()
    accepted, sent = await outbox.events("gateway.message.accepted.v1", "gateway.message.sent.v1")
    assert sent["data"]["message"]["status"] == "sent"
    assert accepted["sequence"] < sent["sequence"]
    (attempt,) = await outbox.rows("SELECT * FROM delivery_attempts")
    assert (attempt["attempt"], attempt["status"], attempt["outcome"]) == (1, 200, "accepted")


async def test_order_holds_through_retries_and_others_leave_at_once(outbox: Outbox):
    page = await outbox.page()
    one, two = await outbox.conversation(page), await outbox.conversation(page)
    async with outbox.sender():
        first = await outbox.send(one, "first")
        second = await outbox.send(one, "second")
        (await outbox.graph.call()).answer(Retry(BUSY), status=503)
        await outbox.until(first, "accepted")
        other = await outbox.send(two, "other")
        call = await outbox.graph.call()
        assert call.text == "other"
        call.answer(Accepted("m_other"))
        await outbox.until(other, "sent")
        assert outbox.graph.idle
        outbox.advance(timedelta(seconds=6))
        call = await outbox.graph.call()
        assert (call.text, call.attempt.delivery.attempt) == ("first", 2)
        call.answer(Accepted("m_first"))
        # Nothing but the settlement lets the next one go.
        call = await outbox.graph.call()
        assert call.text == "second"
        call.answer(Accepted("m_second"))
        await outbox.until(second, "sent")
    assert [call.text for call in outbox.graph.calls] == ["first", "other", "first", "second"]


async def test_a_settlement_lets_the_next_one_go_by_itself(outbox: Outbox, monkeypatch):
    async def mends_nothing(_database, _shards):
        return []

    monkeypatch.setattr("gateway.sender.sweeps.mend_lanes", mends_nothing)
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        for words in ("first", "second", "third"):
            await outbox.send(conversation, words)
        for words in ("first", "second", "third"):
            call = await outbox.graph.call()
            assert call.text == words
            call.answer(Accepted(f"m_{words}"))


async def test_a_message_is_tried_until_its_deadline_and_its_lane_goes_on(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page(send_deadline_seconds=60))
    accepted_at = outbox.clock.now()
    async with outbox.sender():
        first = await outbox.send(conversation, "first")
        second = await outbox.send(conversation, "second")
        waits = []
        while (await outbox.message(first)).status != "failed":
            (await outbox.graph.call()).answer(Retry(BUSY), status=503)
            await outbox.until_not(first, "sending")
            waits.append(await outbox.advance_to_due(message_id=first))
        (await outbox.graph.call()).answer(Retry(BUSY), status=503)
        await outbox.until(second, "failed")
    assert (await outbox.message(first)).error == BUSY.given_up(len(waits)).as_document()
    assert outbox.clock.now() == accepted_at + timedelta(seconds=60)
    assert len([call for call in outbox.graph.calls if call.text == "first"]) == len(waits)
    # 5, 10, 20 s, each ± 20 %, then what is left until the deadline.
    assert 4 <= waits[0].total_seconds() <= 5
    assert 8 <= waits[1].total_seconds() <= 12
    assert 16 <= waits[2].total_seconds() <= 24
    # The second waited behind the first until its own deadline had come, and was tried just then.
    assert outbox.graph.calls[-1].text == "second"


async def test_a_permanent_error_fails_at_once_with_words_for_people(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    error = SendError("meta-551-1545041", "This person cannot be reached.", "Wait.")
    async with outbox.sender():
        first = await outbox.send(conversation, "first")
        second = await outbox.send(conversation, "second")
        (await outbox.graph.call()).answer(Refused(error), status=400)
        (await outbox.graph.call()).answer(Accepted("m_2"))
        await outbox.until(second, "sent")
    message = await outbox.message(first)
    assert message.status == "failed"
    assert message.error == {
        "code": "meta-551-1545041",
        "detail": "This person cannot be reached.",
        "retryable": False,
        "remedy": "Wait.",
    }
    (event,) = await outbox.events("gateway.message.failed.v1")
    assert event["data"]["message"]["error"] == message.error


@pytest.mark.parametrize(
    ("late", "status"), [(timedelta(seconds=1), "failed"), (timedelta(seconds=-1), "sent")]
)
async def test_nothing_is_called_after_the_window(outbox: Outbox, late, status):
    conversation = await outbox.conversation(await outbox.page())
    outbox.graph.always(Accepted("m_1"))
    message_id = await outbox.send(conversation, "hello")
    await outbox.execute("UPDATE deliveries SET deadline_at = deadline_at + interval '2 days'")
    outbox.clock.advance(timedelta(hours=24) + late)
    async with outbox.sender():
        message = await outbox.until(message_id, status)
    if status == "failed":
        assert message.error["code"] == "messaging-window-closed"
        assert message.error["detail"].startswith("Sorry, your message can no longer send")
        assert outbox.graph.calls == []


async def test_a_window_that_closes_between_tries_is_named(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    outbox.clock.advance(timedelta(hours=24) - timedelta(seconds=3))
    async with outbox.sender():
        message_id = await outbox.send(conversation, "hello")
        retry = Retry(BUSY, after=timedelta(seconds=4))
        (await outbox.graph.call()).answer(retry, status=503)
        message = await outbox.until(message_id, "failed")
    assert message.error["code"] == "messaging-window-closed"


async def test_human_agent_goes_for_seven_days_where_the_page_has_it(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page(human_agent=True))
    outbox.graph.always(Accepted("m_1"))
    outbox.clock.advance(timedelta(days=6))
    async with outbox.sender():
        tagged = await outbox.send(conversation, "hello", tag="HUMAN_AGENT")
        plain = await outbox.send(conversation, "hello")
        await outbox.until(tagged, "sent")
        await outbox.until(plain, "failed")


async def test_a_throttled_page_rests_and_others_go_on(outbox: Outbox):
    page, other_page = await outbox.page(), await outbox.page()
    one, two = await outbox.conversation(page), await outbox.conversation(page)
    three = await outbox.conversation(other_page)
    limit = SendError("meta-80006", "Too many.", "Wait.", retryable=True)
    async with outbox.sender():
        first = await outbox.send(one, "first")
        (await outbox.graph.call()).answer(Throttle(limit, timedelta(minutes=10)), status=400)
        await outbox.until(first, "accepted")
        await outbox.send(two, "second")
        await outbox.send(three, "third")
        call = await outbox.graph.call()
        assert call.text == "third"
        call.answer(Accepted("m_3"))
        outbox.advance(timedelta(minutes=9))
        await outbox.until_delivery("pending", message_id=first)
        assert outbox.graph.idle
    # Whoever has the shard next knows it as well.
    async with outbox.sender(epoch=2):
        assert outbox.graph.idle
        outbox.advance(timedelta(minutes=2))
        texts = set()
        for mid in ("m_1", "m_2"):
            call = await outbox.graph.call()
            texts.add(call.text)
            # One at a time at first: who rested is not met by all that waited.
            assert outbox.graph.idle
            call.answer(Accepted(mid))
            outbox.advance(timedelta(seconds=1))
    assert texts == {"first", "second"}


async def test_an_app_wide_limit_rests_every_page_of_the_app(outbox: Outbox):
    pages = [await outbox.page(), await outbox.page()]
    one, two = [await outbox.conversation(page) for page in pages]
    limit = SendError("meta-4", "Too many.", "Wait.", retryable=True)
    async with outbox.sender():
        first = await outbox.send(one, "first")
        (await outbox.graph.call()).answer(Throttle(limit, timedelta(minutes=10), wide=True))
        await outbox.until(first, "accepted")
    (resting,) = await outbox.rows("SELECT * FROM app_limits")
    until = outbox.clock.now() + timedelta(minutes=10)
    assert (resting["app_id"], resting["rests_until"]) == ("app1", until)
    async with outbox.sender(epoch=2):
        await outbox.send(two, "second")
        outbox.advance(timedelta(minutes=11))
        assert {(await outbox.graph.call()).text for _ in range(2)} == {"first", "second"}


async def test_a_message_taken_back_before_its_turn_is_not_called(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        await outbox.send(conversation, "first")
        second = await outbox.send(conversation, "second")
        third = await outbox.send(conversation, "third")
        call = await outbox.graph.call()
        async with outbox.held(conversation) as (work, held, _channel):
            message = await get_message(work.connection, outbox.account, second)
            await move_message(
                work, held, message, MessageStatus.FAILED, error={"code": "cancelled"}
            )
        call.answer(Accepted("m_1"))
        (await outbox.graph.call()).answer(Accepted("m_3"))
        await outbox.until(third, "sent")
    assert [call.text for call in outbox.graph.calls] == ["first", "third"]
    await outbox.until_delivery("cancelled", message_id=second)


async def test_marks_that_came_before_the_answer_take_effect_with_it(outbox: Outbox):
    page = await outbox.page()
    conversation = await outbox.conversation(page)
    now = outbox.clock.now()
    async with outbox.sender():
        message_id = await outbox.send(conversation, "hello")
        call = await outbox.graph.call()
        async with outbox.held(conversation) as (work, _held, channel):
            await keep_mark(work.connection, channel, "m_1", "read", at=now, now=now)
        call.answer(Accepted("m_1"))
        await outbox.until(message_id, "read")


async def test_an_id_that_another_message_has_does_not_stop_the_batch(outbox: Outbox):
    page = await outbox.page()
    one, two = await outbox.conversation(page), await outbox.conversation(page)
    outbox.gate.close("before_settle")
    async with outbox.sender():
        first = await outbox.send(one, "first")
        call = await outbox.graph.call()
        call.answer(Accepted("m_1"))
        await outbox.gate.reached("before_settle")
        second = await outbox.send(two, "second")
        third = await outbox.send(two, "third")
        (await outbox.graph.call()).answer(Accepted("m_1"))
        outbox.gate.open("before_settle")
        await outbox.until(first, "sent")
        assert (await outbox.until(second, "sent")).source_message_id in (None, "m_1")
        (await outbox.graph.call()).answer(Accepted("m_3"))
        await outbox.until(third, "sent")


async def test_a_third_party_gets_its_messages_and_may_name_them(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.third_party_channel())
    # No window closes there.
    outbox.clock.advance(timedelta(days=30))
    async with outbox.sender():
        message_id = await outbox.send(conversation, "hello")
        (await outbox.third_party.call()).answer(Accepted("theirs-1"))
        message = await outbox.until(message_id, "sent")
    assert message.source_message_id == "theirs-1"


async def test_a_conversation_that_somebody_holds_delays_no_other(outbox: Outbox):
    page = await outbox.page()
    one, two = await outbox.conversation(page), await outbox.conversation(page)
    async with outbox.sender():
        first = await outbox.send(one, "first")
        call = await outbox.graph.call()
        async with outbox.held(one):
            call.answer(Accepted("m_1"))
            second = await outbox.send(two, "second")
            (await outbox.graph.call()).answer(Accepted("m_2"))
            await outbox.until(second, "sent")
            assert (await outbox.message(first)).status == "sending"
        await outbox.until(first, "sent")


@pytest.mark.parametrize(
    ("owner", "author", "take_thread", "takes"),
    [
        ("us", "agent", False, False),
        ("idle", "agent", False, False),
        ("page_inbox", "agent", False, True),
        ("page_inbox", "bot", False, False),
        ("other_app", "agent", False, False),
        ("other_app", "agent", True, True),
    ],
)
async def test_who_takes_the_thread(outbox: Outbox, owner, author, take_thread, takes):
    conversation = await outbox.conversation(
        await outbox.page(), thread_owner=owner, thread_owner_since=outbox.clock.now()
    )
    async with outbox.sender():
        await outbox.send(
            conversation, "hello", author_kind=AuthorKind(author), take_thread=take_thread
        )
        assert (await outbox.graph.call()).attempt.takes_thread is takes
