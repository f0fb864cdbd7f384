"""What answers on a channel, and what becomes of running enquiries when that changes."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.desk import Desk, desk
from tests.support.rest_desk import rest_desk

from routing.changes import RoutingChanges
from routing.enquiries import EnquiryStatus, HandledBy

SILENT = {"when": {"kind": "keyword", "values": ["never said"]}, "messages": []}
CHAT = {"mode": "chat"}


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[Desk]:
    async with desk(database_url) as opened:
        yield opened


def to_bot(bot_id: str) -> dict[str, Any]:
    return {"mode": "bot", "bot_id": bot_id}


def to_endpoint(endpoint_id: str) -> dict[str, Any]:
    return {"mode": "external_endpoint", "endpoint_id": endpoint_id}


async def set_link(at: Desk, channel: str, to: dict[str, Any], *, move_open: bool) -> None:
    """Change a channel's link, as PATCH does."""
    async with at.database.unit_of_work() as work:
        await work.connection.execute(
            text("UPDATE channels SET link = CAST(:link AS jsonb) WHERE id = :id"),
            {"link": json.dumps(to), "id": channel},
        )
        if move_open:
            await RoutingChanges().link_moved(work, at.account, channel)


async def link(at: Desk, channel: str, to: dict[str, Any], *, move_open: bool = False) -> None:
    """Change a channel's link, and let everything happen that follows at once."""
    await set_link(at, channel, to, move_open=move_open)
    await at.timers()


async def has_it(at: Desk, enquiry_id: str | None) -> tuple[str, str | None]:
    """Return the status of an enquiry, and who has it or is asked."""
    row = await at.enquiry(enquiry_id)
    return row.status.value, None if row.destination is None else row.destination["id"]


async def agree(at: Desk, enquiry_id: str | None) -> None:
    """Check that events, timeline and row say the same, each event once."""
    events = await at.events(enquiry_id)
    assert [event["type"] for event in events] == await at.timeline(enquiry_id)
    row = await at.enquiry(enquiry_id)
    last = events[-1]["enquiry"]
    assert (last["status"], last["destination"]) == (row.status.value, row.destination)


class TestWithoutBeingAsked:
    async def test_what_runs_stays_and_what_is_new_follows(self, at: Desk) -> None:
        ada, bot = await at.agent(capacity=2), await at.bot(SILENT)
        channel = await at.channel(ada)
        ongoing, offered, waiting = [await at.say(channel, each) for each in ("v1", "v2", "v3")]
        await at.accept(ongoing or "", ada)
        before = [await has_it(at, each) for each in (ongoing, offered, waiting)]
        assert before == [("ongoing", ada), ("offered", ada), ("open", None)]

        await link(at, channel, to_bot(bot))

        assert [await has_it(at, each) for each in (ongoing, offered, waiting)] == before
        assert await has_it(at, await at.say(channel, "v4")) == ("ongoing", bot)

    async def test_what_waits_still_waits_for_people(self, at: Desk) -> None:
        ada, ben, bot = await at.agent("busy"), await at.agent("busy"), await at.bot(SILENT)
        channel = await at.channel(ada, ben)
        enquiry_id = await at.say(channel)
        await link(at, channel, to_bot(bot))
        await at.presence(ada, "active")
        await at.timers()
        assert await has_it(at, enquiry_id) == ("offered", ada)
        await at.presence(ben, "active")
        await at.advance(seconds=60)
        assert await has_it(at, enquiry_id) == ("offered", ben)
        await at.reject(enquiry_id or "", ben)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.MISSED
        # Whatever is decided from now on is decided anew.
        at.clock.advance(timedelta(seconds=1))
        assert await at.say(channel) == enquiry_id
        assert await has_it(at, enquiry_id) == ("ongoing", bot)

    async def test_what_an_endpoint_has_it_keeps_and_a_bot_hands_over_to_people(
        self, at: Desk
    ) -> None:
        ada, bot, crm = await at.agent(), await at.bot(SILENT), await at.endpoint()
        channel = await at.channel(ada, link=to_endpoint(crm))
        with_crm = await at.say(channel, "v1")
        await link(at, channel, to_bot(bot))
        with_bot = await at.say(channel, "v2")
        await link(at, channel, CHAT)
        assert await has_it(at, with_crm) == ("ongoing", crm)
        assert await has_it(at, with_bot) == ("ongoing", bot)

    async def test_a_transfer_by_hand_keeps_what_it_came_under(self, at: Desk) -> None:
        ada, ben, bot = await at.agent(), await at.agent("busy"), await at.bot(SILENT)
        channel = await at.channel(ada)
        enquiry_id = await at.say(channel) or ""
        await at.accept(enquiry_id, ada)
        await link(at, channel, to_bot(bot))
        await at.transfer(enquiry_id, ben)
        await at.reject(enquiry_id, ben)
        assert await has_it(at, enquiry_id) == ("offered", ada)

    async def test_who_waits_outside_meets_the_link_as_it_is_then(self, database_url: str) -> None:
        async with desk(database_url, limit=1) as at:
            ada, bot = await at.agent(), await at.bot(SILENT)
            channel = await at.channel(ada)
            first, queued = [await at.say(channel, each) for each in ("v1", "v2")]
            await link(at, channel, to_bot(bot), move_open=True)
            assert await has_it(at, first) == ("ongoing", bot)
            assert (await at.enquiry(queued)).queued_at is not None
            await at.close(first or "")
            await at.timers()
            assert await has_it(at, queued) == ("ongoing", bot)
            await agree(at, queued)


class TestMoving:
    @pytest.mark.parametrize("kind", ["bot", "endpoint"])
    async def test_to_a_bot_or_an_endpoint(self, at: Desk, kind: str) -> None:
        ada, eve = await at.agent(capacity=2), await at.agent("busy")
        team = await at.team(eve)
        new = await at.bot(SILENT) if kind == "bot" else await at.endpoint("paused")
        to = to_bot(new) if kind == "bot" else to_endpoint(new)
        channel, other = await at.channel(ada, team), await at.channel(ada)
        names = ("ongoing", "offered", "waiting")
        ids = {name: await at.say(channel, name) or "" for name in names}
        await at.accept(ids["ongoing"], ada)
        elsewhere = await at.say(other, "elsewhere")

        await link(at, channel, to, move_open=True)

        for name in names:
            row = await at.enquiry(ids[name])
            assert (row.status, row.handled_by) == (EnquiryStatus.ONGOING, HandledBy(kind)), name
            assert await has_it(at, ids[name]) == ("ongoing", new)
            assert (row.agent_id, row.pending_offers) == (None, [])
            await agree(at, ids[name])
        assert await at.told(ids["ongoing"]) == [
            "opened", "offered", "accepted", "transferred", "accepted",
        ]  # fmt: skip
        assert await at.told(ids["offered"]) == [
            "opened", "offered", "offer_withdrawn", "accepted",
        ]  # fmt: skip
        assert await at.told(ids["waiting"]) == ["opened", "accepted"]
        transferred = (await at.events(ids["ongoing"]))[3]
        assert transferred["actor"] == {"kind": "system"}
        assert transferred["former_destination"]["id"] == ada
        withdrawn = (await at.events(ids["offered"]))[2]
        assert withdrawn["reason"] == "link_changed"
        # The agent has room again, for another channel's.
        assert await has_it(at, elsewhere) == ("offered", ada)

    async def test_what_is_over_stays_over_and_the_page_inbox_keeps_what_it_has(
        self, at: Desk
    ) -> None:
        ada, away, bot = await at.agent(), await at.agent("offline"), await at.bot(SILENT)
        channel, unattended = await at.channel(ada), await at.channel(away)
        closed, page = [await at.say(channel, each) or "" for each in ("v1", "v2")]
        missed, followed_up = [await at.say(unattended, each) or "" for each in ("v1", "v2")]
        await at.close(closed)
        await at.answer_in_page_inbox(channel, "v2")
        await at.follow_up(followed_up, ada)
        enquiries = (closed, page, missed, followed_up)
        before = [await at.told(each) for each in enquiries]
        for each in (channel, unattended):
            await link(at, each, to_bot(bot), move_open=True)
        assert [await at.told(each) for each in enquiries] == before
        assert (await at.enquiry(page)).handled_by is HandledBy.PAGE_INBOX
        # Who followed up gets the answer.
        assert await at.say(unattended, "v2") == followed_up
        assert await has_it(at, followed_up) == ("ongoing", ada)

    @pytest.mark.parametrize("kind", ["bot", "endpoint"])
    async def test_to_people(self, at: Desk, kind: str) -> None:
        ada = await at.agent(capacity=1)
        former = await at.bot(SILENT) if kind == "bot" else await at.endpoint()
        channel = await at.channel(
            ada, link=to_bot(former) if kind == "bot" else to_endpoint(former)
        )
        first, second, by_hand = [await at.say(channel, f"v{n}") or "" for n in range(3)]
        await at.transfer(by_hand, ada)
        await at.accept(by_hand, ada)
        await at.close(by_hand)

        await link(at, channel, CHAT, move_open=True)

        asked, waits = sorted([await has_it(at, first), await has_it(at, second)])[::-1]
        assert (asked, waits) == (("open", None), ("offered", ada))
        for enquiry_id in (first, second):
            await agree(at, enquiry_id)
            events = await at.events(enquiry_id)
            (moved,) = [event for event in events if event["type"] == "transferred"]
            assert (moved["actor"], moved["former_destination"]["id"]) == (
                {"kind": "system"},
                former,
            )

    async def test_people_who_have_it_keep_it_where_people_answer(self, at: Desk) -> None:
        ada, bot = await at.agent(), await at.bot(SILENT)
        channel = await at.channel(bot, link=to_bot(bot))
        listed, taken = [await at.say(channel, each) or "" for each in ("v1", "v2")]
        await at.transfer(taken, ada)
        await at.accept(taken, ada)
        before = await at.told(taken), await at.told(listed)
        await link(at, channel, CHAT, move_open=True)
        assert await has_it(at, taken) == ("ongoing", ada)
        # The rule names the bot as well.
        assert await has_it(at, listed) == ("ongoing", bot)
        assert (await at.told(taken), await at.told(listed)) == before

    async def test_without_people_it_is_missed_and_without_a_rule_it_waits(self, at: Desk) -> None:
        away, bot = await at.agent("offline"), await at.bot(SILENT)
        channels = [
            await at.channel(away, link=to_bot(bot)),
            await at.channel(link=to_bot(bot)),
        ]
        enquiries = [await at.say(channel) for channel in channels]
        for channel in channels:
            await link(at, channel, CHAT, move_open=True)
        assert [(await at.enquiry(each)).status for each in enquiries] == [
            EnquiryStatus.MISSED,
            EnquiryStatus.OPEN,
        ]
        for enquiry_id in enquiries:
            await agree(at, enquiry_id)

    async def test_from_one_bot_to_another_and_not_twice(self, at: Desk) -> None:
        one, two = await at.bot(SILENT), await at.bot(SILENT)
        channel = await at.channel(link=to_bot(one))
        enquiry_id = await at.say(channel)
        await link(at, channel, to_bot(two))
        assert await has_it(at, enquiry_id) == ("ongoing", one)
        # Later, with the link as it is.
        await link(at, channel, to_bot(two), move_open=True)
        assert await has_it(at, enquiry_id) == ("ongoing", two)
        told = await at.told(enquiry_id)
        await link(at, channel, to_bot(two), move_open=True)
        await at.advance(seconds=15)
        assert await at.told(enquiry_id) == told
        assert await at.timer_kinds() == ["intermission"]

    async def test_what_was_taken_from_a_bot_by_hand_is_not_given_back(self, at: Desk) -> None:
        ada, bot = await at.agent(), await at.bot(SILENT)
        channel = await at.channel(ada)
        enquiry_id = await at.say(channel) or ""
        await link(at, channel, to_bot(bot), move_open=True)
        await at.transfer(enquiry_id, ada)
        await at.accept(enquiry_id, ada)
        await at.advance(seconds=15)
        assert await has_it(at, enquiry_id) == ("ongoing", ada)

    async def test_a_bot_that_handed_over_gets_it_again_when_asked(self, at: Desk) -> None:
        hands_over = {"when": {"kind": "fallback"}, "messages": [], "then": "hand_over"}
        ada, bot, crm = await at.agent(), await at.bot(hands_over), await at.endpoint()
        channel = await at.channel(ada, link=to_bot(bot))
        enquiry_id = await at.say(channel)
        assert await has_it(at, enquiry_id) == ("offered", ada)
        await link(at, channel, to_endpoint(crm), move_open=True)
        await at.bot_says(bot, 2, SILENT)
        await link(at, channel, to_bot(bot), move_open=True)
        assert await has_it(at, enquiry_id) == ("ongoing", bot)
        assert (await at.enquiry(enquiry_id)).progress.bot_version == 2

    async def test_what_came_in_meanwhile_follows_a_little_later(self, at: Desk) -> None:
        ada, bot = await at.agent(), await at.bot(SILENT)
        channel = await at.channel(ada)
        await link(at, channel, to_bot(bot), move_open=True)
        # Its transaction still saw the link as it was.
        await set_link(at, channel, CHAT, move_open=False)
        enquiry_id = await at.say(channel)
        await set_link(at, channel, to_bot(bot), move_open=False)
        await at.advance(seconds=14)
        assert await has_it(at, enquiry_id) == ("offered", ada)
        await at.advance(seconds=1)
        assert await has_it(at, enquiry_id) == ("ongoing", bot)

    async def test_a_later_change_that_was_not_to_move_anything_does_not(self, at: Desk) -> None:
        ada, bot, crm = await at.agent(), await at.bot(SILENT), await at.endpoint()
        channel = await at.channel(ada)
        enquiry_id = await at.say(channel)
        await set_link(at, channel, to_bot(bot), move_open=True)
        # Nothing of that has fired when somebody changes it again.
        await link(at, channel, to_endpoint(crm))
        await at.advance(seconds=15)
        assert await has_it(at, enquiry_id) == ("offered", ada)

    async def test_a_deleted_channel_closes_what_was_to_be_moved(self, at: Desk) -> None:
        ada, bot = await at.agent(), await at.bot(SILENT)
        channel = await at.channel(ada)
        enquiry_id = await at.say(channel)
        await set_link(at, channel, to_bot(bot), move_open=True)
        await at.change("channels", channel, status="deleted")
        await at.timers()
        assert (await at.enquiry(enquiry_id)).close_reason == "channel-deleted"

    async def test_many_fire_together(self, at: Desk) -> None:
        ada, bot = await at.agent(capacity=100), await at.bot(SILENT)
        channel = await at.channel(ada)
        enquiries = [await at.say(channel, f"v{n}") for n in range(30)]
        await link(at, channel, to_bot(bot), move_open=True)
        assert {await has_it(at, each) for each in enquiries} == {("ongoing", bot)}
        await link(at, channel, CHAT, move_open=True)
        assert {await has_it(at, each) for each in enquiries} == {("offered", ada)}


async def test_over_rest(database_url: str) -> None:
    said = {"enabled": False, "text": "Hello"}
    async with rest_desk(database_url) as rest:
        at = rest.desk
        ada, bot = await at.agent(), await at.bot(SILENT)
        channel = await at.channel(
            ada,
            source_name="Acme app",
            outgoing_webhook_url="https://acme.example",
            messages={"display_name_format": "none", "welcome": said, "away": said},
            custom_info={"enabled": True, "text": "VIP"},
        )
        path = f"/v1/channels/{channel}"
        first = await at.say(channel, "v1")
        changed = await rest.me.patch(path, {"link": to_bot(bot)})
        assert changed.status_code == 200, changed.text
        await at.timers()
        assert await has_it(at, first) == ("offered", ada)
        moved = await rest.me.patch(path, {"link": {"move_open": True}})
        assert moved.json()["link"] == {**to_bot(bot), "endpoint_id": None}
        await at.timers()
        shown = (await rest.me.get(f"/v1/enquiries/{first}")).json()
        assert (shown["status"], shown["handled_by"]) == ("ongoing", "bot")
        assert shown["destination"] == {"id": bot, "kind": "bot", "name": "Robot"}
        assert shown["assignment"]["rule"] == "bot"
        # The channel's custom info goes with every event.
        assert {event["enquiry"]["custom_info"] for event in await at.events(first)} == {"VIP"}
