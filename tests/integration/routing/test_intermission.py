"""When an enquiry ends because the contact fell silent, and what the next message does."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.support.desk import Desk, desk

from routing.enquiries import EnquiryStatus


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[Desk]:
    async with desk(database_url) as opened:
        yield opened


async def ongoing(at: Desk, **columns: Any) -> tuple[str, str, str]:
    """Return a channel, its agent, and an enquiry that the agent has accepted."""
    ada = await at.agent()
    channel = await at.channel(ada, **columns)
    enquiry_id = await at.say(channel) or ""
    await at.accept(enquiry_id, ada)
    return channel, ada, enquiry_id


class TestClosing:
    async def test_it_counts_from_our_last_message(self, at: Desk) -> None:
        channel, ada, enquiry_id = await ongoing(at)
        await at.advance(minutes=30)
        await at.send(channel, agent=ada)
        await at.advance(minutes=30)
        await at.send(channel)
        await at.advance(minutes=59, seconds=59)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.ONGOING
        await at.advance(seconds=1)
        closed = await at.enquiry(enquiry_id)
        assert (closed.status, closed.close_reason) == (EnquiryStatus.CLOSED, "intermission")
        [last] = [event for event in await at.events(enquiry_id) if event["type"] == "closed"]
        assert last["actor"] == {"kind": "system"}
        assert await at.timer_kinds() == []

    async def test_one_that_waits_for_our_answer_never_closes_by_itself(self, at: Desk) -> None:
        channel, ada, enquiry_id = await ongoing(at)
        await at.advance(days=3)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.ONGOING
        await at.send(channel, agent=ada)
        at.clock.advance(timedelta(minutes=1))
        await at.say(channel)
        await at.advance(days=3)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.ONGOING

    async def test_an_accepted_one_that_nobody_answers_for_waits_for_the_contact(
        self, at: Desk
    ) -> None:
        # We wrote last, before another agent took it over and fell silent.
        channel, ada, enquiry_id = await ongoing(at)
        ben = await at.agent()
        await at.send(channel, agent=ada)
        await at.advance(minutes=30)
        await at.transfer(enquiry_id, ben)
        await at.accept(enquiry_id, ben)
        await at.advance(minutes=60)
        assert (await at.enquiry(enquiry_id)).close_reason == "intermission"

    async def test_what_failed_was_no_answer(self, at: Desk) -> None:
        channel, ada, enquiry_id = await ongoing(at)
        await at.send(channel, agent=ada)
        await at.execute("UPDATE messages SET status = 'failed' WHERE direction = 'outbound'")
        await at.advance(hours=2)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.ONGOING

    async def test_what_is_held_has_not_been_said_yet(self, at: Desk) -> None:
        channel, ada, enquiry_id = await ongoing(at)
        await at.send(channel, agent=ada, sent=False)
        await at.advance(minutes=90)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.ONGOING
        await at.execute(
            "UPDATE messages SET status = 'sent', sent_at = :now WHERE direction = 'outbound'",
            now=at.clock.now(),
        )
        await at.advance(minutes=59)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.ONGOING
        await at.advance(minutes=61)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.CLOSED

    async def test_a_late_message_does_not_count(self, at: Desk) -> None:
        channel, ada, enquiry_id = await ongoing(at)
        await at.send(channel, agent=ada)
        long_ago = at.clock.now() - timedelta(hours=1)
        assert await at.say(channel, at=long_ago, late=True) == enquiry_id
        await at.advance(minutes=60)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.CLOSED

    async def test_a_lag_never_closes_what_the_contact_had_answered(self, at: Desk) -> None:
        channel, ada, enquiry_id = await ongoing(at)
        await at.catch_up()
        await at.send(channel, agent=ada)
        await at.advance(minutes=65, caught_up=False)
        # Routing stands still; the contact's answer of five minutes ago is not here yet.
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.ONGOING
        answered_at = at.clock.now() - timedelta(minutes=10)
        await at.say(channel, at=answered_at)
        await at.advance(seconds=1)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.ONGOING

    async def test_a_lag_that_ends_without_an_answer_closes_it(self, at: Desk) -> None:
        channel, ada, enquiry_id = await ongoing(at)
        await at.send(channel, agent=ada)
        await at.advance(minutes=60, caught_up=False)
        await at.advance(seconds=30, caught_up=False)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.ONGOING
        # All that was written until the intermission had passed has taken effect.
        await at.execute(
            "INSERT INTO partition_owners (topic, partition, caught_up_at)"
            " VALUES ('gateway.inbound.v1', 0, :at)",
            at=at.clock.now() - timedelta(seconds=30),
        )
        await at.advance(seconds=1, caught_up=False)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.CLOSED

    async def test_a_page_inbox_answer_counts(self, at: Desk) -> None:
        channel = await at.channel()
        enquiry_id = await at.say(channel)
        await at.answer_in_page_inbox(channel)
        await at.advance(minutes=30)
        await at.answer_in_page_inbox(channel)
        await at.advance(minutes=59)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.ONGOING
        await at.advance(minutes=1)
        assert (await at.enquiry(enquiry_id)).close_reason == "intermission"

    async def test_a_shorter_intermission_of_the_channel_counts_from_the_next_message(
        self, at: Desk
    ) -> None:
        channel, ada, enquiry_id = await ongoing(at, intermission_minutes=5)
        await at.send(channel, agent=ada)
        await at.advance(minutes=5)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.CLOSED


class TestTheNextMessage:
    async def test_within_the_intermission_it_reopens_for_who_served(self, at: Desk) -> None:
        ben = await at.agent()
        channel, ada, enquiry_id = await ongoing(at)
        await at.route_anew(channel, ben, ada)
        await at.close(enquiry_id)
        await at.advance(minutes=59)
        assert await at.say(channel) == enquiry_id
        reopened = await at.enquiry(enquiry_id)
        assert reopened.destination is not None
        assert reopened.destination["id"] == ada
        [event] = [each for each in await at.events(enquiry_id) if each["type"] == "reopened"]
        assert event["reason"] == "contact_message"
        assert event["actor"]["kind"] == "contact"

    async def test_past_it_another_one_opens(self, at: Desk) -> None:
        channel, _, enquiry_id = await ongoing(at)
        await at.close(enquiry_id)
        await at.advance(minutes=60)
        another = await at.say(channel)
        assert another != enquiry_id
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.CLOSED
        assert await at.say(channel) == another

    async def test_after_a_close_by_intermission_another_one_opens_at_once(self, at: Desk) -> None:
        channel, ada, enquiry_id = await ongoing(at)
        await at.send(channel, agent=ada)
        await at.advance(minutes=60)
        assert await at.say(channel) != enquiry_id

    async def test_never_another_one(self, at: Desk) -> None:
        channel, ada, enquiry_id = await ongoing(at, closed_enquiry_policy="never")
        await at.send(channel, agent=ada)
        await at.advance(days=400)
        assert (await at.enquiry(enquiry_id)).close_reason == "intermission"
        assert await at.say(channel) == enquiry_id

    async def test_always_another_one(self, at: Desk) -> None:
        channel, _, enquiry_id = await ongoing(at, closed_enquiry_policy="always")
        await at.close(enquiry_id)
        assert await at.say(channel) != enquiry_id

    async def test_a_missed_one_counts_from_when_it_was_missed(self, at: Desk) -> None:
        ada = await at.agent("offline")
        channel = await at.channel(ada)
        enquiry_id = await at.say(channel)
        await at.advance(minutes=59)
        assert await at.say(channel) == enquiry_id
        assert await at.told(enquiry_id) == ["opened", "missed", "reopened", "missed"]
        await at.advance(minutes=60)
        another = await at.say(channel)
        assert another != enquiry_id
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.MISSED

    async def test_a_late_message_moves_nothing(self, at: Desk) -> None:
        channel, _, enquiry_id = await ongoing(at)
        await at.close(enquiry_id)
        before = await at.told(enquiry_id)
        long_ago = at.clock.now() - timedelta(hours=1)
        assert await at.say(channel, at=long_ago, late=True) == enquiry_id
        assert await at.told(enquiry_id) == before

    async def test_what_was_parked_opens_one_at_most(self, at: Desk) -> None:
        ada = await at.agent("offline")
        channel = await at.channel(ada, closed_enquiry_policy="always")
        began = at.clock.now()
        at.clock.advance(timedelta(hours=5))
        enquiries = {
            await at.say(channel, at=began + timedelta(hours=n), parked=True) for n in range(5)
        }
        [enquiry_id] = enquiries
        drained = await at.enquiry(enquiry_id)
        assert drained.late
        assert await at.told(enquiry_id) == ["opened", "missed"]
        # What is new is new.
        at.clock.advance(timedelta(seconds=1))
        assert await at.say(channel) != enquiry_id
