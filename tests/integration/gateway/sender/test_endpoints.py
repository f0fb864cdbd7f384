"""Events to endpoints: the published schedule, lanes, pauses, and endpoints that are gone."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.support.sending import Outbox

from gateway.contracts.moments import rfc3339
from gateway.db.outbox import NewEvent
from gateway.domain.backoff import endpoint_schedule
from gateway.domain.delivery import (
    Accepted,
    Answer,
    NotAttempted,
    Refused,
    Retry,
    SendError,
    Throttle,
)
from gateway.domain.endpoint_health import LEAST_FAILURES
from gateway.messaging.redelivery import Asker, redeliver_many
from gateway.messaging.settlement import drop_target, hold_target, release_target
from gateway.sender import lookout

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

DOWN = SendError("upstream-failed", "The webhook answered 503.", "Look.", retryable=True)


async def test_an_event_is_delivered(outbox: Outbox):
    await outbox.endpoint()
    async with outbox.sender():
        event_id = await outbox.announce(words="hello")
        call = await outbox.endpoints.call()
        assert call.attempt.event.id == event_id
        assert call.attempt.event.data == {"words": "hello"}
        call.answer(Accepted())
        await outbox.until_delivery("delivered", event_id=event_id)
    assert await outbox.value("SELECT failing_since FROM endpoints") is None


async def test_the_schedule_is_kept_and_its_end_is_a_dead_letter(outbox: Outbox):
    await outbox.endpoint()
    waits = []
    async with outbox.sender():
        event_id = await outbox.announce()
        for number in range(1, 11):
            call = await outbox.endpoints.call()
            assert call.attempt.delivery.attempt == number
            call.answer(Retry(DOWN), status=503)
            await outbox.eventually("SELECT count(*) FROM delivery_attempts", number)
            if number < 10:
                await outbox.until_delivery("pending", event_id=event_id)
                waits.append(await outbox.advance_to_due(event_id=event_id))
        await outbox.until_delivery("failed", event_id=event_id)
    expected = [4, 56, 240, 1500, 5400, 14400, 36000, 86400, 115200]
    for wait, seconds in zip(waits, expected, strict=True):
        assert 0.8 * seconds <= wait.total_seconds() <= 1.2 * seconds
    assert waits[0] <= timedelta(seconds=5)
    (letter,) = await outbox.rows("SELECT * FROM dead_letters")
    assert (letter["reason"], letter["stage"], letter["attempts"]) == (
        "delivery-exhausted",
        "sender",
        10,
    )
    assert letter["account_id"] == outbox.account
    assert letter["delivery_id"].startswith("dlv_")
    assert b'"type":"test.happened.v1"' in letter["record_value"]


async def test_retry_after_is_never_undercut(outbox: Outbox):
    await outbox.endpoint()
    async with outbox.sender():
        event_id = await outbox.announce()
        retry = Retry(DOWN, after=timedelta(minutes=7))
        (await outbox.endpoints.call()).answer(retry, status=500)
        await outbox.until_delivery("pending", event_id=event_id)
        assert await outbox.advance_to_due(event_id=event_id) == timedelta(minutes=7)


async def test_a_throttled_endpoint_rests_in_all_its_lanes(outbox: Outbox):
    page = await outbox.page()
    await outbox.endpoint()
    one, two = await outbox.conversation(page), await outbox.conversation(page)
    async with outbox.sender():
        first = await outbox.announce(conversation_id=one)
        throttle = Throttle(DOWN, timedelta(minutes=3))
        (await outbox.endpoints.call()).answer(throttle, status=429)
        await outbox.until_delivery("pending", event_id=first)
        await outbox.announce(conversation_id=two)
        outbox.advance(timedelta(minutes=2))
        await asyncio.sleep(0.05)
        assert outbox.endpoints.idle
        outbox.advance(timedelta(minutes=2))
        (await outbox.endpoints.call()).answer(Accepted())


async def test_gone_fails_the_delivery_and_disables_the_endpoint(outbox: Outbox):
    endpoint = await outbox.endpoint(ordering="endpoint")
    async with outbox.sender():
        first = await outbox.announce()
        second = await outbox.announce()
        gone = SendError("upstream-failed", "The webhook answered 410.", "Look.")
        (await outbox.endpoints.call()).answer(Refused(gone, gone=True), status=410)
        await outbox.until_delivery("failed", event_id=first)
        assert await outbox.value("SELECT status FROM endpoints") == "disabled"
        assert await outbox.value("SELECT status_reason FROM endpoints") == "gone"
        # Disabled keeps, as paused does; resumed, it gets what waited.
        assert outbox.endpoints.idle
        async with outbox.database.unit_of_work() as work:
            await work.connection.execute(text("UPDATE endpoints SET status = 'active'"))
            await release_target(work, endpoint)
        call = await outbox.endpoints.call()
        assert call.attempt.event.id == second
    (event,) = await outbox.events("gateway.endpoint.disabled.v1")
    assert event["data"]["endpoint"]["status_reason"] == "gone"
    (letter,) = await outbox.rows("SELECT * FROM dead_letters")
    assert letter["reason"] == "gone"


# So late that no retry is waited for in memory.
LATER = endpoint_schedule((3600,))


class Failing:
    """An endpoint whose attempts fail, one by one, as time goes by."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox

    async def attempt(self, outcome) -> None:
        await self.outbox.announce()
        (await self.outbox.endpoints.call()).answer(outcome, status=500)
        await self.outbox.eventually("SELECT count(*) FROM deliveries WHERE status = 'sending'", 0)
        # Their retries are not what this is about.
        await self.outbox.execute("UPDATE deliveries SET status = 'cancelled', holds_lane = false")
        # Who fails time and again is called ten times a second and no more.
        self.outbox.advance(timedelta(seconds=1))

    async def state(self, *names: str):
        (row,) = await self.outbox.rows(f"SELECT {', '.join(names)} FROM endpoints")
        return tuple(row[name] for name in names)


async def test_five_days_of_failures_disable_an_endpoint_after_a_warning(outbox: Outbox):
    await outbox.endpoint(ordering="none", failures=7)
    failing, down = Failing(outbox), Retry(DOWN)
    async with outbox.sender(schedule=LATER):
        await failing.attempt(down)
        outbox.advance(timedelta(days=4))
        # A success in between starts the count anew.
        await failing.attempt(Accepted())
        assert await failing.state("failing_since", "failures") == (None, 0)
        since = outbox.clock.now()
        for _ in range(LEAST_FAILURES - 3):
            await failing.attempt(down)
        assert await failing.state("failing_since", "failures") == (since, LEAST_FAILURES - 3)
        outbox.advance(since + timedelta(days=5, seconds=-3) - outbox.clock.now())
        for _ in range(2):
            await failing.attempt(down)
        assert await failing.state("status", "failures") == ("active", LEAST_FAILURES - 1)
        (told,) = await outbox.events("gateway.endpoint.failing.v1")
        outbox.advance(timedelta(seconds=1))
        await failing.attempt(down)
    assert await failing.state("status", "status_reason") == ("disabled", "failing")
    assert len(await outbox.events("gateway.endpoint.disabled.v1")) == 1
    data = told["data"]
    assert data["failing_since"] == data["endpoint"]["failing_since"] == rfc3339(since)
    assert data["disabled_from"] == rfc3339(since + timedelta(days=5))
    assert data["error"]["code"] == "upstream-failed"


async def test_failures_that_lie_far_apart_disable_nothing(outbox: Outbox):
    await outbox.endpoint(ordering="none")
    failing = Failing(outbox)
    async with outbox.sender(schedule=LATER):
        for _ in range(3):
            await failing.attempt(Retry(DOWN))
            outbox.advance(timedelta(days=3))
        assert await failing.state("status", "failures") == ("active", 3)
        # So long after the last one, nothing is known of the time between.
        outbox.advance(timedelta(days=5))
        since = outbox.clock.now()
        await failing.attempt(Retry(DOWN))
    assert await failing.state("failing_since", "failures", "failing_told_at") == (since, 1, None)


async def test_what_the_gateway_did_wrong_is_no_failure_of_the_endpoints(outbox: Outbox):
    await outbox.endpoint(ordering="none")
    async with outbox.sender():
        await outbox.announce()
        call = await outbox.endpoints.call()
        call.reply(Answer(outcome=NotAttempted(DOWN), blames_target=False))
        await outbox.eventually("SELECT status FROM deliveries", "pending")
    assert await outbox.value("SELECT failing_since FROM endpoints") is None


async def test_who_wants_no_call_for_longer_than_five_days_is_disabled_and_keeps_all(
    outbox: Outbox,
):
    endpoint = await outbox.endpoint(ordering="none")
    async with outbox.sender():
        await outbox.announce()
        call = await outbox.endpoints.call()
        call.answer(Throttle(DOWN, timedelta(days=9)), status=429)
        await outbox.eventually("SELECT status FROM endpoints", "disabled")
        assert await outbox.value("SELECT status_reason FROM endpoints") == "retry_after"
        await outbox.eventually("SELECT due_at IS NULL FROM deliveries", wanted=True)
        outbox.advance(timedelta(days=10))
        assert outbox.endpoints.idle
        await outbox.execute("UPDATE endpoints SET status = 'active', throttled_until = NULL")
        async with outbox.database.unit_of_work() as work:
            await release_target(work, endpoint)
        (await outbox.endpoints.call()).answer(Accepted())
        await outbox.eventually("SELECT status FROM deliveries", "delivered")


async def test_a_paused_endpoint_keeps_and_a_resumed_one_gets_all_in_order(outbox: Outbox):
    endpoint = await outbox.endpoint(ordering="endpoint")
    async with outbox.database.unit_of_work() as work:
        await work.connection.execute(text("UPDATE endpoints SET status = 'paused'"))
        await hold_target(work, endpoint)
    async with outbox.sender():
        events = [await outbox.announce() for _ in range(5)]
        outbox.advance(timedelta(days=2))
        await asyncio.sleep(0.05)
        assert outbox.endpoints.idle
        async with outbox.database.unit_of_work() as work:
            await work.connection.execute(text("UPDATE endpoints SET status = 'active'"))
            await release_target(work, endpoint)
        got = []
        for _ in events:
            call = await outbox.endpoints.call()
            got.append(call.attempt.event.id)
            call.answer(Accepted())
            # All that waited does not leave at once.
            outbox.advance(timedelta(seconds=1))
    assert got == events


async def test_a_deleted_endpoint_gets_nothing_more(outbox: Outbox):
    endpoint = await outbox.endpoint(ordering="endpoint")
    async with outbox.sender():
        await outbox.announce()
        second = await outbox.announce()
        call = await outbox.endpoints.call()
        async with outbox.database.unit_of_work() as work:
            await work.connection.execute(
                text("UPDATE endpoints SET deleted_at = now(), event_types = '{}'")
            )
            await drop_target(work, endpoint)
        call.answer(Accepted())
        await outbox.until_delivery("cancelled", event_id=second)
        await outbox.eventually("SELECT count(*) FROM deliveries WHERE holds_lane", 0)
    assert len(outbox.endpoints.calls) == 1


async def test_lanes_are_conversations_unless_the_endpoint_says_otherwise(outbox: Outbox):
    page = await outbox.page()
    one, two = await outbox.conversation(page), await outbox.conversation(page)
    for ordering, at_once in (("conversation", 2), ("endpoint", 1), ("none", 3)):
        endpoint = await outbox.endpoint(ordering=ordering, event_types=[f"test.{ordering}.*"])
        async with outbox.sender(epoch=at_once):
            kind = f"test.{ordering}.v1"
            # One call at a time at first: this one shows that the endpoint is well.
            await outbox.announce(kind=kind)
            (await outbox.endpoints.call()).answer(Accepted())
            await outbox.announce(kind=kind)
            (await outbox.endpoints.call()).answer(Accepted())
            for conversation in (one, one, two):
                await outbox.announce(kind=kind, conversation_id=conversation)
            calls = [await outbox.endpoints.call() for _ in range(at_once)]
            await asyncio.sleep(0.05)
            assert outbox.endpoints.idle
            assert {call.attempt.delivery.target_id for call in calls} == {endpoint}
            for call in calls:
                call.answer(Accepted())
            for _ in range(3 - at_once):
                (await outbox.endpoints.call()).answer(Accepted())
            await outbox.eventually("SELECT count(*) FROM deliveries WHERE holds_lane", 0)


async def test_a_failing_event_holds_its_lane_for_so_long_and_then_goes_on_beside_it(
    outbox: Outbox,
):
    await outbox.endpoint(ordering="endpoint", lane_hold_seconds=900)
    async with outbox.sender(schedule=endpoint_schedule((600, 7200))):
        first = await outbox.announce()
        second = await outbox.announce()
        (await outbox.endpoints.call()).answer(Retry(DOWN), status=500)
        await outbox.until_delivery("pending", event_id=first)
        outbox.advance(timedelta(seconds=720))
        (await outbox.endpoints.call()).answer(Retry(DOWN), status=500)
        await outbox.eventually("SELECT count(*) FROM delivery_attempts", 2)
        await asyncio.sleep(0.05)
        assert outbox.endpoints.idle
        outbox.advance(timedelta(seconds=180))
        call = await outbox.endpoints.call()
        assert call.attempt.event.id == second
        # And the failing one goes on by its own schedule.
        outbox.advance(timedelta(hours=3))
        await asyncio.sleep(0.05)
        # One in flight in a lane.
        assert outbox.endpoints.idle
        call.answer(Accepted())
        call = await outbox.endpoints.call()
        assert (call.attempt.event.id, call.attempt.delivery.attempt) == (first, 3)


async def test_an_insert_that_did_not_see_the_settlement_beside_it_is_mended(
    outbox: Outbox, monkeypatch
):
    """Both commit; neither lets the second delivery go; the wake-up of the insert does."""
    # Nobody looks everywhere.
    monkeypatch.setattr(lookout, "SWEEP_SECONDS", 1_000_000)
    await outbox.endpoint(ordering="endpoint")
    async with outbox.sender():
        await outbox.announce()
        call = await outbox.endpoints.call()
        async with outbox.database.unit_of_work() as work:
            work.announce(
                NewEvent(
                    type="test.happened.v1",
                    account_id=outbox.account,
                    data={},
                    occurred_at=work.now,
                )
            )
            await work.flush()
            # The insert has run and saw the lane held; now its holder is settled.
            call.answer(Accepted())
            await outbox.eventually("SELECT count(*) FROM deliveries WHERE holds_lane", 0)
        call = await outbox.endpoints.call()
        call.answer(Accepted())
        await outbox.eventually("SELECT count(*) FROM deliveries WHERE status = 'delivered'", 2)


async def test_two_inserts_that_did_not_see_one_another_leave_one_after_the_other(outbox: Outbox):
    await outbox.endpoint(ordering="endpoint")
    for _ in range(2):
        await outbox.announce()
    await outbox.execute("UPDATE deliveries SET ready = true")
    async with outbox.sender():
        first = await outbox.endpoints.call()
        first.answer(Retry(DOWN), status=500)
        await outbox.eventually("SELECT count(*) FROM delivery_attempts", 1)
        await asyncio.sleep(0.1)
        # The second waits for the first, though it was thought ready.
        assert outbox.endpoints.idle
        outbox.advance(timedelta(seconds=6))
        again = await outbox.endpoints.call()
        assert again.attempt.delivery.id == first.attempt.delivery.id


async def test_what_is_delivered_again_goes_beside_its_lane(outbox: Outbox):
    await outbox.endpoint(ordering="endpoint")
    async with outbox.sender():
        first = await outbox.announce()
        call = await outbox.endpoints.call()
        second = await outbox.announce()
        await outbox.execute(
            "UPDATE deliveries SET holds_lane = false, ready = true WHERE event_id = :id",
            id=second,
        )
        call.answer(Retry(DOWN), status=500)
        # The first one holds the lane still; who goes beside it is not kept.
        call = await outbox.endpoints.call()
        assert call.attempt.event.id == second
        call.answer(Accepted())
        await outbox.until_delivery("delivered", event_id=second)
        await outbox.until_delivery("pending", event_id=first)


async def test_a_lost_wake_up_costs_a_second(outbox: Outbox):
    await outbox.endpoint()
    async with outbox.sender() as (sender, _):
        outbox.senders.remove(sender)
        await outbox.announce()
        (await outbox.endpoints.call()).answer(Accepted())
        outbox.senders.append(sender)


async def test_an_endpoint_has_no_more_calls_at_once_than_it_says(outbox: Outbox):
    await outbox.endpoint(ordering="none", max_concurrency=3)
    async with outbox.sender():
        for _ in range(12):
            await outbox.announce()
        for _ in range(3):
            (await outbox.endpoints.call()).answer(Accepted())
        for _ in range(3):
            await outbox.endpoints.call()
        await asyncio.sleep(0.05)
        assert outbox.endpoints.idle


async def test_an_endpoint_that_hangs_gets_one_call_at_a_time(outbox: Outbox):
    await outbox.endpoint(ordering="none", max_concurrency=10)
    away = NotAttempted(SendError("upstream-failed", "No connection.", "Look.", retryable=True))
    async with outbox.sender():
        for _ in range(5):
            await outbox.announce()
        (await outbox.endpoints.call()).answer(away, status=None, slow=True)
        await outbox.eventually("SELECT last_attempt_timed_out FROM endpoints", wanted=True)
        call = await outbox.endpoints.call()
        await asyncio.sleep(0.05)
        assert outbox.endpoints.idle
        call.answer(away, status=None, slow=True)
        await outbox.endpoints.call()
        assert outbox.endpoints.idle


async def test_health_is_remembered_across_processes(outbox: Outbox):
    await outbox.endpoint(ordering="none", last_attempt_timed_out=True)
    async with outbox.sender():
        for _ in range(3):
            await outbox.announce()
        await outbox.endpoints.call()
        await asyncio.sleep(0.05)
        assert outbox.endpoints.idle


async def test_what_is_asked_for_again_has_the_whole_schedule_and_speaks_to_nobody(outbox: Outbox):
    page = await outbox.page()
    conversation = await outbox.conversation(page)
    await outbox.endpoint()
    async with outbox.sender(schedule=endpoint_schedule((5,))):
        event_id = await outbox.announce(conversation_id=conversation)
        for number in (1, 2):
            (await outbox.endpoints.call()).answer(Retry(DOWN), status=503)
            await outbox.eventually("SELECT count(*) FROM delivery_attempts", number)
            outbox.advance(timedelta(seconds=10))
        await outbox.until_delivery("failed", event_id=event_id)
        async with outbox.database.unit_of_work() as work:
            asker = Asker(account_id=outbox.account, actor="key_1")
            delivery_id = await outbox.value("SELECT id FROM deliveries")
            await redeliver_many(work, asker, [delivery_id])
        call = await outbox.endpoints.call()
        # Counted on, so that the receiver can tell; judged by the schedule's beginning.
        assert call.attempt.delivery.attempt == 3
        call.answer(Retry(DOWN), status=503)
        await outbox.eventually("SELECT count(*) FROM delivery_attempts", 3)
        await outbox.until_delivery("pending", event_id=event_id)
        outbox.advance(timedelta(seconds=10))
        call = await outbox.endpoints.call()
        call.reply(
            Answer(outcome=Accepted(), status=200, spoken={0: {"type": "text", "text": "Hi"}})
        )
        await outbox.until_delivery("delivered", event_id=event_id)
    assert len(await outbox.rows("SELECT 1 FROM dead_letters")) == 1
    assert await outbox.rows("SELECT 1 FROM timers WHERE kind = 'inline_answer'") == []
