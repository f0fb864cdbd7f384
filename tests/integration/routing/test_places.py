"""How many contacts an account serves at once, and who waits outside."""

from datetime import timedelta

import pytest
from tests.support.desk import desk

from gateway.errors import IllegalTransitionError
from routing.changes import RoutingChanges
from routing.enquiries import EnquiryStatus


async def test_who_comes_too_many_waits_outside(database_url: str) -> None:
    async with desk(database_url, limit=2) as at:
        ada = await at.agent()
        channel = await at.channel(ada)
        first, _, third = [await at.say(channel, visitor) for visitor in ("v1", "v2", "v3")]
        waiting = await at.enquiry(third)
        assert waiting.status is EnquiryStatus.OPEN
        assert waiting.queued_at == at.clock.now()
        assert await at.told(third) == ["queued"]

        await at.close(first or "")
        await at.timers()

        inside = await at.enquiry(third)
        assert (inside.status, inside.queued_at) == (EnquiryStatus.OFFERED, None)
        events = await at.events(third)
        assert [event["type"] for event in events] == ["queued", "opened", "offered"]
        assert events[1]["reason"] == "admitted"


async def test_first_in_first_out(database_url: str) -> None:
    async with desk(database_url, limit=1) as at:
        channel = await at.channel()
        enquiries = []
        for visitor in ("v1", "v2", "v3", "v4"):
            enquiries.append(await at.say(channel, visitor) or "")
            at.clock.advance(timedelta(seconds=1))
        for position, enquiry_id in enumerate(enquiries):
            queued = [(await at.enquiry(each)).queued_at is not None for each in enquiries]
            assert queued == [n > position for n in range(4)]
            await at.close(enquiry_id)
            await at.timers()


async def test_who_comes_while_others_wait_goes_to_the_end_of_the_queue(database_url: str) -> None:
    async with desk(database_url, limit=1) as at:
        channel = await at.channel()
        first, second = [await at.say(channel, visitor) or "" for visitor in ("v1", "v2")]
        at.clock.advance(timedelta(seconds=1))
        await at.close(first)
        # A place is free, and its timer has not fired yet.
        third = await at.say(channel, "v3")
        assert (await at.enquiry(third)).queued_at is not None
        await at.timers()
        assert (await at.enquiry(second)).queued_at is None
        assert (await at.enquiry(third)).queued_at is not None


async def test_missed_ones_make_place(database_url: str) -> None:
    async with desk(database_url, limit=1) as at:
        busy = await at.agent("busy")
        channel = await at.channel(busy, waiting_limit=60)
        first = await at.say(channel, "v1")
        at.clock.advance(timedelta(seconds=30))
        second = await at.say(channel, "v2")
        await at.advance(seconds=30)
        assert (await at.enquiry(first)).status is EnquiryStatus.MISSED
        # Its limit counts from when it came in.
        assert (await at.enquiry(second)).status is EnquiryStatus.OPEN
        await at.advance(seconds=59)
        assert (await at.enquiry(second)).status is EnquiryStatus.OPEN
        await at.advance(seconds=1)
        assert (await at.enquiry(second)).status is EnquiryStatus.MISSED


async def test_a_queued_one_can_only_be_closed(database_url: str) -> None:
    async with desk(database_url, limit=1) as at:
        ada = await at.agent()
        channel = await at.channel()
        await at.say(channel, "v1")
        queued = await at.say(channel, "v2") or ""
        for attempt in (at.accept(queued, ada), at.transfer(queued, ada)):
            with pytest.raises(IllegalTransitionError) as refused:
                await attempt
            assert refused.value.extra["allowed"] == ["closed"]
        with pytest.raises(IllegalTransitionError):
            await at.send(channel, "v2", agent=ada)
        assert await at.say(channel, "v2") == queued
        await at.close(queued)


async def test_a_queued_one_that_goes_away_holds_nobody_up(database_url: str) -> None:
    async with desk(database_url, limit=1) as at:
        channel, doomed = await at.channel(), await at.channel()
        first = await at.say(channel, "v1") or ""
        on_doomed = await at.say(doomed, "v2") or ""
        at.clock.advance(timedelta(seconds=1))
        last = await at.say(channel, "v3")
        await at.close(first)
        await at.change("channels", doomed, status="deleted")
        await at.timers()
        assert (await at.enquiry(on_doomed)).close_reason == "channel-deleted"
        assert (await at.enquiry(last)).queued_at is None


async def test_reopening_takes_a_place(database_url: str) -> None:
    async with desk(database_url, limit=1) as at:
        channel = await at.channel()
        first = await at.say(channel, "v1") or ""
        await at.close(first)
        second = await at.say(channel, "v2") or ""
        reopened = await at.reopen(first)
        assert reopened.queued_at is not None
        await at.close(second)
        await at.timers()
        assert (await at.enquiry(first)).queued_at is None
        assert await at.told(first) == ["opened", "closed", "reopened", "queued", "opened"]


async def test_a_higher_limit_lets_in_as_many_as_it_has_places_for(database_url: str) -> None:
    async with desk(database_url, limit=1) as at:
        channel = await at.channel()
        enquiries = [await at.say(channel, f"v{n}") for n in range(4)]
        await at.execute("UPDATE accounts SET concurrent_contacts_limit = 3")
        async with at.database.unit_of_work() as work:
            await RoutingChanges().contacts_limit_changed(work, at.account)
        await at.timers()
        queued = [(await at.enquiry(each)).queued_at is not None for each in enquiries]
        assert queued == [False, False, False, True]


async def test_the_page_inbox_takes_even_who_waits_outside(database_url: str) -> None:
    async with desk(database_url, limit=1) as at:
        channel = await at.channel()
        await at.say(channel, "v1")
        queued = await at.say(channel, "v2")
        await at.answer_in_page_inbox(channel, "v2")
        taken = await at.enquiry(queued)
        assert (taken.status, taken.queued_at) == (EnquiryStatus.ONGOING, None)


async def test_a_lower_limit_turns_nobody_out_and_lets_nobody_in_until_it_holds(
    database_url: str,
) -> None:
    async with desk(database_url, limit=3) as at:
        channel = await at.channel()
        inside = [await at.say(channel, f"v{n}") or "" for n in range(3)]
        await at.execute("UPDATE accounts SET concurrent_contacts_limit = 1")
        waiting = await at.say(channel, "v3")
        assert [(await at.enquiry(each)).queued_at for each in inside] == [None] * 3
        for number, enquiry_id in enumerate(inside):
            assert (await at.enquiry(waiting)).queued_at is not None, number
            await at.close(enquiry_id)
            await at.timers()
        assert (await at.enquiry(waiting)).queued_at is None


async def test_the_line_is_the_accounts_over_all_channels_and_whoever_answers(
    database_url: str,
) -> None:
    async with desk(database_url, limit=2) as at:
        crm, robot = await at.endpoint(), await at.bot()
        channels = [
            await at.channel(link={"mode": "external_endpoint", "endpoint_id": crm}),
            await at.channel(link={"mode": "bot", "bot_id": robot}),
            await at.channel(),
        ]
        enquiries = []
        for visitor in ("v1", "v2"):
            for channel in channels:
                enquiries.append(await at.say(channel, visitor) or "")
                at.clock.advance(timedelta(seconds=1))
        for position, enquiry_id in enumerate(enquiries):
            rows = [await at.enquiry(each) for each in enquiries]
            assert [row.queued_at is None for row in rows] == [n < position + 2 for n in range(6)]
            await at.close(enquiry_id)
            await at.timers()
        for enquiry_id in enquiries[2:]:
            told = await at.told(enquiry_id)
            assert told[:2] == ["queued", "opened"]
            assert told == await at.timeline(enquiry_id)


async def test_what_is_over_takes_no_place(database_url: str) -> None:
    async with desk(database_url, limit=1) as at:
        ada, away = await at.agent(), await at.agent("offline")
        unattended, channel = await at.channel(away), await at.channel(ada)
        missed = await at.say(unattended, "v1") or ""
        assert (await at.enquiry(missed)).status is EnquiryStatus.MISSED
        first = await at.say(channel, "v2") or ""
        await at.follow_up(missed, ada)
        assert (await at.enquiry(first)).status is EnquiryStatus.OFFERED
        # Who answers a follow-up goes on with it, whatever the limit says.
        assert await at.say(unattended, "v1") == missed
        assert (await at.enquiry(missed)).status is EnquiryStatus.ONGOING
