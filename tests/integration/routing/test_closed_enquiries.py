"""What a contact's message does to an enquiry that is over: every end, policy and moment."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from tests.support.desk import Desk, desk

from routing.enquiries import EnquiryStatus

MINUTE, YEAR = timedelta(minutes=1), timedelta(days=365)
LITTLE = timedelta(milliseconds=1)
INTERMISSION = 30
PAST = INTERMISSION * MINUTE

SAME, ANOTHER = "same", "another"
POLICIES = ("intermission", "never", "always")


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[Desk]:
    async with desk(database_url) as opened:
        yield opened


@dataclass(frozen=True)
class Case:
    """How an enquiry ended, how long before the message, and what follows under each policy."""

    end: str
    ago: timedelta
    intermission: str
    never: str = SAME
    always: str = ANOTHER


CASES = [
    Case("closed", LITTLE, SAME),
    Case("closed", PAST - LITTLE, SAME),
    Case("closed", PAST, ANOTHER),
    Case("closed", 10 * YEAR, ANOTHER),
    # It has passed already when it is the reason.
    Case("intermission", LITTLE, ANOTHER),
    Case("intermission", 10 * YEAR, ANOTHER),
    Case("missed", LITTLE, SAME),
    Case("missed", PAST - LITTLE, SAME),
    Case("missed", PAST, ANOTHER),
    Case("missed", 10 * YEAR, ANOTHER),
    Case("followed up", LITTLE, SAME, always=SAME),
    Case("followed up", 10 * YEAR, SAME, always=SAME),
    Case("closed after a miss", LITTLE, SAME),
    # From the close, not from the miss.
    Case("closed after a miss", PAST - LITTLE, SAME),
    Case("closed after a miss", PAST, ANOTHER),
    Case("reopened and closed", PAST - LITTLE, SAME),
    Case("reopened and closed", PAST, ANOTHER),
]


class Ends:
    """Brings a visitor's enquiry to its end."""

    def __init__(self, at: Desk, channel: str, unattended: str, agent: str) -> None:
        self.at = at
        self.agent = agent
        self.channels = {
            name: unattended
            if name in ("missed", "followed up", "closed after a miss")
            else channel
            for name in {case.end for case in CASES}
        }

    async def make(self, end: str, visitor: str) -> str:
        at, channel = self.at, self.channels[end]
        enquiry_id = await at.say(channel, visitor) or ""
        match end:
            case "closed":
                await at.close(enquiry_id)
            case "intermission":
                await at.accept(enquiry_id, self.agent)
                await at.send(channel, visitor, agent=self.agent)
                await at.advance(minutes=INTERMISSION)
            case "followed up":
                await at.follow_up(enquiry_id, self.agent)
            case "closed after a miss":
                at.clock.advance(PAST)
                await at.close(enquiry_id)
            case "reopened and closed":
                await at.close(enquiry_id)
                at.clock.advance(PAST)
                await at.reopen(enquiry_id)
                await at.close(enquiry_id)
            case _:
                pass
        return enquiry_id


@pytest.mark.parametrize("policy", POLICIES)
async def test_every_end_and_moment(at: Desk, policy: str) -> None:
    ada, away = await at.agent(capacity=1000), await at.agent("offline")
    columns = {"closed_enquiry_policy": policy, "intermission_minutes": INTERMISSION}
    channel, unattended = await at.channel(ada, **columns), await at.channel(away, **columns)
    ends = Ends(at, channel, unattended, ada)
    for number, case in enumerate(CASES):
        visitor = f"v{number}"
        ended = await ends.make(case.end, visitor)
        told = await at.told(ended)
        at.clock.advance(case.ago)
        after = await at.say(ends.channels[case.end], visitor) or ""
        assert (SAME if after == ended else ANOTHER) == getattr(case, policy), case
        if after != ended:
            assert await at.told(ended) == told, case
            assert (await at.enquiry(after)).opened_at == at.clock.now()
        elif case.end == "followed up":
            assert await at.told(ended) == [*told, "accepted"]
            assert (await at.enquiry(ended)).agent_id == ada
        else:
            assert (await at.told(ended))[len(told)] == "reopened", case
            reopened = await at.enquiry(ended)
            assert (reopened.closed_at, reopened.close_reason) == (None, None)
        await at.close(after)


async def test_a_joined_enquiry_is_the_same_under_every_policy(at: Desk) -> None:
    ada = await at.agent()
    for policy in POLICIES:
        channel = await at.channel(ada, closed_enquiry_policy=policy)
        enquiry_id = await at.say(channel) or ""
        at.clock.advance(YEAR)
        assert await at.say(channel) == enquiry_id
        await at.accept(enquiry_id, ada)
        at.clock.advance(YEAR)
        assert await at.say(channel) == enquiry_id
        await at.close(enquiry_id)


async def test_the_intermission_is_the_channels_at_that_moment(at: Desk) -> None:
    ada = await at.agent()
    channel = await at.channel(ada, intermission_minutes=60)
    enquiry_id = await at.say(channel) or ""
    await at.close(enquiry_id)
    await at.change("channels", channel, intermission_minutes=5)
    at.clock.advance(5 * MINUTE)
    another = await at.say(channel) or ""
    assert another != enquiry_id
    await at.close(another)
    await at.change("channels", channel, intermission_minutes=1440)
    at.clock.advance(1440 * MINUTE - LITTLE)
    assert await at.say(channel) == another


@pytest.mark.parametrize(("before", "after"), [(60, 5), (5, 60)])
async def test_a_longer_one_counts_at_once_and_a_shorter_one_from_our_next_message(
    at: Desk, before: int, after: int
) -> None:
    ada = await at.agent()
    channel = await at.channel(ada, intermission_minutes=before)
    enquiry_id = await at.say(channel) or ""
    await at.accept(enquiry_id, ada)
    await at.send(channel, agent=ada)
    await at.change("channels", channel, intermission_minutes=after)
    # The timer fires as it was set, and asks the channel then.
    await at.advance(minutes=max(before, after) - 1)
    assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.ONGOING
    await at.advance(minutes=1)
    closed = await at.enquiry(enquiry_id)
    assert (closed.status, closed.close_reason) == (EnquiryStatus.CLOSED, "intermission")


@pytest.mark.parametrize("minutes", [1, 1440])
async def test_its_bounds(at: Desk, minutes: int) -> None:
    ada = await at.agent()
    channel = await at.channel(ada, intermission_minutes=minutes)
    enquiry_id = await at.say(channel) or ""
    await at.accept(enquiry_id, ada)
    await at.send(channel, agent=ada)
    at.clock.advance(minutes * MINUTE - LITTLE)
    await at.catch_up()
    await at.timers()
    assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.ONGOING
    await at.advance(milliseconds=1)
    assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.CLOSED
