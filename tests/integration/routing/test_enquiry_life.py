"""An enquiry from the contact's message to its end, on a real database."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.support.desk import Desk, desk

from gateway.domain import ids
from gateway.domain.message import AuthorKind
from gateway.errors import (
    ChannelDeletedError,
    ConflictError,
    IllegalTransitionError,
    InvalidFieldsError,
    NotAssigneeError,
    NotFoundError,
)
from routing.changes import RoutingChanges
from routing.engagement import Engagement
from routing.enquiries import EnquiryStatus, HandledBy, OfferStatus


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[Desk]:
    async with desk(database_url) as opened:
        yield opened


async def offers(at: Desk, enquiry_id: str | None) -> list[tuple[str, str]]:
    enquiry = await at.enquiry(enquiry_id)
    return [(offer.agent_id, offer.status.value) for offer in enquiry.offers]


class TestOffering:
    async def test_the_first_agent_is_asked_and_accepts(self, at: Desk) -> None:
        ada = await at.agent()
        enquiry_id = await at.say(await at.channel(ada))
        offered = await at.enquiry(enquiry_id)
        assert offered.status is EnquiryStatus.OFFERED
        assert offered.destination == {"id": ada, "kind": "agent", "name": "Ada"}
        assert offered.agent_id is None
        assert await at.timer_kinds() == ["offer", "waiting"]

        await at.accept(offered.id, ada)

        ongoing = await at.enquiry(enquiry_id)
        assert ongoing.status is EnquiryStatus.ONGOING
        assert (ongoing.agent_id, ongoing.handled_by) == (ada, HandledBy.AGENT)
        assert await offers(at, enquiry_id) == [(ada, "accepted")]
        assert await at.told(enquiry_id) == ["opened", "offered", "accepted"]
        assert await at.timer_kinds() == ["intermission"]

    async def test_who_does_not_answer_is_followed_by_the_next(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent()
        enquiry_id = await at.say(await at.channel({"id": ada, "timeout_seconds": 10}, ben))
        await at.advance(seconds=9)
        assert await offers(at, enquiry_id) == [(ada, "pending")]
        await at.advance(seconds=1)
        assert await offers(at, enquiry_id) == [(ada, "expired"), (ben, "pending")]
        [_, _, withdrawn, offered] = await at.events(enquiry_id)
        assert (withdrawn["type"], withdrawn["reason"]) == ("offer_withdrawn", "expired")
        assert withdrawn["agent_id"] == ada
        assert withdrawn["enquiry"]["status"] == "open"
        assert offered["enquiry"]["destination"]["id"] == ben

    async def test_the_end_of_the_list_is_missed(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent()
        enquiry_id = await at.say(await at.channel(ada, ben))
        await at.reject(enquiry_id or "", ada)
        await at.advance(seconds=60)
        missed = await at.enquiry(enquiry_id)
        assert missed.status is EnquiryStatus.MISSED
        assert await at.told(enquiry_id) == [
            *("opened", "offered", "rejected", "offered", "offer_withdrawn", "missed"),
        ]
        assert (await at.events(enquiry_id))[-1]["reason"] == "nobody_took_it"
        assert await at.timer_kinds() == []

    async def test_nobody_there_is_missed_at_once(self, at: Desk) -> None:
        enquiry_id = await at.say(await at.channel(await at.agent("offline")))
        assert await at.told(enquiry_id) == ["opened", "missed"]
        assert (await at.events(enquiry_id))[-1]["reason"] == "nobody_there"

    async def test_an_expired_heartbeat_is_nobody(self, at: Desk) -> None:
        ada = await at.agent()
        await at.presence(ada, "active", expires_in=timedelta(seconds=30))
        channel = await at.channel(ada)
        # Before its timer has fired.
        at.clock.advance(timedelta(seconds=30))
        assert await at.told(await at.say(channel)) == ["opened", "missed"]

    async def test_somebody_busy_is_waited_for_and_offered_once_free(self, at: Desk) -> None:
        ada = await at.agent("busy")
        enquiry_id = await at.say(await at.channel(ada))
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.OPEN
        assert await at.timer_kinds() == ["waiting"]
        await at.presence(ada, "active")
        await at.timers()
        assert await offers(at, enquiry_id) == [(ada, "pending")]

    async def test_the_waiting_limit_ends_the_wait(self, at: Desk) -> None:
        ada = await at.agent("busy")
        enquiry_id = await at.say(await at.channel(ada, waiting_limit=120))
        await at.advance(seconds=119)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.OPEN
        await at.advance(seconds=1)
        assert (await at.events(enquiry_id))[-1]["reason"] == "waiting_limit"

    async def test_the_waiting_limit_ends_an_offer(self, at: Desk) -> None:
        ada = await at.agent()
        enquiry_id = await at.say(await at.channel(ada, waiting_limit=30))
        await at.advance(seconds=30)
        assert await at.told(enquiry_id) == ["opened", "offered", "missed", "offer_withdrawn"]
        assert await offers(at, enquiry_id) == [(ada, "withdrawn")]

    async def test_who_waits_longest_is_offered_first(self, at: Desk) -> None:
        ada = await at.agent(capacity=1)
        channel = await at.channel(ada, waiting_limit=3600)
        visitors = ["v0", "v1", "v2", "v3"]
        enquiries = []
        for visitor in visitors:
            enquiries.append(await at.say(channel, visitor) or "")
            at.clock.advance(timedelta(seconds=1))
        for enquiry_id in enquiries:
            assert await offers(at, enquiry_id) == [(ada, "pending")]
            await at.accept(enquiry_id, ada)
            await at.timers()
            await at.close(enquiry_id)
            await at.timers()

    async def test_room_that_one_cannot_use_goes_to_the_next_in_line(self, at: Desk) -> None:
        ada, ben = await at.agent("busy"), await at.agent("busy", capacity=1)
        both = await at.channel(ada, ben, waiting_limit=3600)
        only_ben = await at.channel(ben, waiting_limit=3600)
        first = await at.say(both, "v1")
        at.clock.advance(timedelta(seconds=1))
        second = await at.say(only_ben, "v2")
        # Both become free before anybody is considered: the first takes Ada.
        await at.presence(ben, "active")
        await at.presence(ada, "active")
        await at.timers()
        assert await offers(at, first) == [(ada, "pending")]
        assert await offers(at, second) == [(ben, "pending")]

    async def test_capacity_counts_offers(self, at: Desk) -> None:
        ada, ben = await at.agent(capacity=1), await at.agent()
        channel = await at.channel(ada, ben)
        first, second = await at.say(channel, "v1"), await at.say(channel, "v2")
        assert await offers(at, first) == [(ada, "pending")]
        assert await offers(at, second) == [(ben, "pending")]

    async def test_who_leaves_before_accepting_loses_the_offer(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent()
        enquiry_id = await at.say(await at.channel(ada, ben))
        await at.presence(ada, "busy")
        await at.timers()
        assert await offers(at, enquiry_id) == [(ada, "withdrawn"), (ben, "pending")]
        assert (await at.events(enquiry_id))[2]["reason"] == "unavailable"

    async def test_going_idle_keeps_the_offer(self, at: Desk) -> None:
        ada = await at.agent()
        enquiry_id = await at.say(await at.channel(ada))
        await at.presence(ada, "idle")
        await at.timers()
        assert await offers(at, enquiry_id) == [(ada, "pending")]

    async def test_the_last_one_leaving_makes_it_missed(self, at: Desk) -> None:
        ada = await at.agent("busy")
        enquiry_id = await at.say(await at.channel(ada))
        await at.presence(ada, "offline")
        await at.timers()
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.MISSED

    async def test_a_heartbeat_that_stops_withdraws_the_offer(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent()
        await at.presence(ada, "active", expires_in=timedelta(seconds=20))
        enquiry_id = await at.say(await at.channel(ada, ben))
        await at.advance(seconds=20)
        assert await offers(at, enquiry_id) == [(ada, "withdrawn"), (ben, "pending")]
        assert await at.value("SELECT presence FROM agents WHERE id = :id", id=ada) == "offline"

    async def test_a_heartbeat_that_goes_on_keeps_it(self, at: Desk) -> None:
        ada = await at.agent()
        enquiry_id = await at.say(await at.channel(ada))
        for _ in range(3):
            await at.presence(ada, "active", expires_in=timedelta(seconds=20))
            await at.advance(seconds=15)
        assert await offers(at, enquiry_id) == [(ada, "pending")]

    async def test_no_routing_waits_for_whoever_accepts(self, at: Desk) -> None:
        ada = await at.agent("offline")
        enquiry_id = await at.say(await at.channel()) or ""
        await at.advance(days=2)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.OPEN
        assert await at.timer_kinds() == []
        await at.accept(enquiry_id, ada)
        assert (await at.enquiry(enquiry_id)).destination == {
            "id": ada,
            "kind": "agent",
            "name": "Ada",
        }

    async def test_a_new_routing_reaches_who_waits(self, at: Desk) -> None:
        ada = await at.agent()
        channel = await at.channel()
        enquiry_id = await at.say(channel)
        await at.advance(hours=1)
        await at.route_anew(channel, ada)
        await at.timers()
        assert await offers(at, enquiry_id) == [(ada, "pending")]
        assert await at.timer_kinds() == ["offer", "waiting"]


class TestEndpoints:
    async def test_an_endpoint_takes_it_at_once_and_gets_its_events(self, at: Desk) -> None:
        desk_endpoint = await at.endpoint()
        channel = await at.channel(desk_endpoint)
        enquiry_id = await at.say(channel) or ""
        enquiry = await at.enquiry(enquiry_id)
        assert (enquiry.status, enquiry.handled_by) == (
            EnquiryStatus.ONGOING,
            HandledBy.ENDPOINT,
        )
        assert enquiry.agent_id is None
        await at.close(enquiry_id)
        rows = await at.all(
            "SELECT e.type FROM deliveries d JOIN events e ON e.id = d.event_id"
            " WHERE d.target_id = :id ORDER BY e.sequence",
            id=desk_endpoint,
        )
        assert [row.type for row in rows] == [
            "gateway.enquiry.accepted.v1",
            "gateway.enquiry.closed.v1",
        ]

    async def test_a_paused_endpoint_is_passed_over(self, at: Desk) -> None:
        ada = await at.agent()
        enquiry_id = await at.say(await at.channel(await at.endpoint("paused"), ada))
        assert await offers(at, enquiry_id) == [(ada, "pending")]

    async def test_a_linked_channel_goes_to_its_endpoint_alone(self, at: Desk) -> None:
        ada, own = await at.agent(), await at.endpoint("paused")
        channel = await at.channel(ada, link={"mode": "external_endpoint", "endpoint_id": own})
        enquiry = await at.enquiry(await at.say(channel))
        assert enquiry.endpoint_id == own
        assert enquiry.status is EnquiryStatus.ONGOING

    async def test_an_endpoint_that_resumes_takes_who_waits(self, at: Desk) -> None:
        ada, own = await at.agent("busy"), await at.endpoint("paused")
        enquiry_id = await at.say(await at.channel(ada, own))
        await at.change("endpoints", own, status="active")
        async with at.database.unit_of_work() as work:
            await RoutingChanges().destination_changed(work, at.account, own)
        await at.timers()
        assert (await at.enquiry(enquiry_id)).endpoint_id == own

    async def test_an_endpoint_may_write_in_the_name_of_its_agents(self, at: Desk) -> None:
        ada, own = await at.agent(), await at.endpoint()
        channel = await at.channel(own)
        enquiry_id = await at.say(channel)
        assert await at.send(channel, agent=ada) == enquiry_id
        enquiry = await at.enquiry(enquiry_id)
        assert (enquiry.handled_by, enquiry.agent_id) == (HandledBy.ENDPOINT, None)
        assert enquiry.first_response_at is not None


class TestAccepting:
    async def test_anybody_with_room_may_accept_what_another_is_offered(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent(name="Ben")
        enquiry_id = await at.say(await at.channel(ada)) or ""
        await at.accept(enquiry_id, ben)
        enquiry = await at.enquiry(enquiry_id)
        assert enquiry.agent_id == ben
        assert enquiry.destination == {"id": ben, "kind": "agent", "name": "Ben"}
        assert await offers(at, enquiry_id) == [(ada, "withdrawn")]
        events = await at.events(enquiry_id)
        assert [event["type"] for event in events][-2:] == ["accepted", "offer_withdrawn"]
        assert events[-2]["enquiry"]["offers"][0]["status"] == "withdrawn"
        assert events[-1]["reason"] == "accepted"

    async def test_a_second_acceptance_names_the_winner(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent()
        enquiry_id = await at.say(await at.channel(ada)) or ""
        await at.accept(enquiry_id, ada)
        with pytest.raises(IllegalTransitionError) as refused:
            await at.accept(enquiry_id, ben)
        assert refused.value.extra == {
            "state": "ongoing",
            "allowed": ["closed", "offered"],
            "agent_id": ada,
        }

    async def test_who_is_full_may_not(self, at: Desk) -> None:
        ada = await at.agent(capacity=1)
        channel = await at.channel()
        first, second = await at.say(channel, "v1") or "", await at.say(channel, "v2") or ""
        await at.accept(first, ada)
        with pytest.raises(ConflictError, match="capacity"):
            await at.accept(second, ada)

    async def test_who_serves_another_channel_may_not(self, at: Desk) -> None:
        ada = await at.agent(channel_ids=[ids.new_id(ids.CHANNEL)])
        enquiry_id = await at.say(await at.channel()) or ""
        with pytest.raises(ConflictError, match="channel"):
            await at.accept(enquiry_id, ada)

    async def test_who_does_not_exist_may_not(self, at: Desk) -> None:
        gone = await at.agent()
        await at.change("agents", gone, deleted_at=at.clock.now())
        enquiry_id = await at.say(await at.channel()) or ""
        for agent in (ids.new_id(ids.AGENT), gone):
            with pytest.raises(InvalidFieldsError) as refused:
                await at.accept(enquiry_id, agent)
            assert [fault.pointer for fault in refused.value.faults] == ["/agent_id"]

    async def test_what_is_nobodys_is_not_found(self, at: Desk, database_url: str) -> None:
        ada = await at.agent()
        enquiry_id = await at.say(await at.channel()) or ""
        async with desk(database_url) as stranger:
            with pytest.raises(NotFoundError):
                await stranger.accept(enquiry_id, ada)
        with pytest.raises(NotFoundError):
            await at.accept(ids.new_id(ids.ENQUIRY), ada)

    async def test_a_rejection_without_an_offer_is_refused(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent()
        enquiry_id = await at.say(await at.channel(ada)) or ""
        with pytest.raises(IllegalTransitionError) as refused:
            await at.reject(enquiry_id, ben)
        assert refused.value.extra["state"] == "offered"

    async def test_an_acceptance_makes_room_for_nobody_but_a_withdrawal_does(
        self, at: Desk
    ) -> None:
        ada, ben = await at.agent(capacity=1), await at.agent()
        channel = await at.channel(ada, waiting_limit=3600)
        first, second = await at.say(channel, "v1") or "", await at.say(channel, "v2")
        assert await offers(at, second) == []
        await at.accept(first, ben)
        await at.timers()
        assert await offers(at, second) == [(ada, "pending")]


class TestSending:
    async def test_an_agents_send_accepts(self, at: Desk) -> None:
        ada = await at.agent()
        channel = await at.channel(ada)
        enquiry_id = await at.say(channel)
        assert await at.send(channel, agent=ada) == enquiry_id
        enquiry = await at.enquiry(enquiry_id)
        assert (enquiry.status, enquiry.agent_id) == (EnquiryStatus.ONGOING, ada)
        assert enquiry.first_response_at == at.clock.now()

    async def test_another_agents_send_is_refused_unless_it_takes_over(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent()
        channel = await at.channel(ada)
        enquiry_id = await at.say(channel) or ""
        await at.accept(enquiry_id, ada)
        with pytest.raises(NotAssigneeError) as refused:
            await at.send(channel, agent=ben)
        assert refused.value.extra["agent_id"] == ada
        await at.send(channel, agent=ben, takeover=True)
        assert (await at.enquiry(enquiry_id)).agent_id == ben
        assert await at.told(enquiry_id) == [
            *("opened", "offered", "accepted", "transferred", "accepted"),
        ]

    async def test_others_may_write_into_an_ongoing_enquiry(self, at: Desk) -> None:
        ada = await at.agent()
        channel = await at.channel(ada)
        enquiry_id = await at.say(channel) or ""
        assert await at.send(channel) == enquiry_id
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.OFFERED
        await at.accept(enquiry_id, ada)
        assert await at.send(channel, kind=AuthorKind.BOT) == enquiry_id
        assert (await at.enquiry(enquiry_id)).agent_id == ada

    async def test_a_send_to_a_missed_enquiry_follows_it_up(self, at: Desk) -> None:
        ada = await at.agent("offline")
        channel = await at.channel(ada)
        enquiry_id = await at.say(channel)
        await at.send(channel, agent=ada)
        enquiry = await at.enquiry(enquiry_id)
        assert (enquiry.status, enquiry.agent_id) == (EnquiryStatus.FOLLOWED_UP, ada)

        assert await at.say(channel) == enquiry_id

        resumed = await at.enquiry(enquiry_id)
        assert (resumed.status, resumed.agent_id) == (EnquiryStatus.ONGOING, ada)
        assert await at.told(enquiry_id) == ["opened", "missed", "followed_up", "accepted"]

    async def test_a_send_after_the_end_belongs_to_none(self, at: Desk) -> None:
        ada = await at.agent()
        channel = await at.channel(ada)
        await at.close(await at.say(channel) or "")
        assert await at.send(channel, agent=ada) is None

    async def test_a_send_before_any_enquiry_belongs_to_none(self, at: Desk) -> None:
        assert await at.send(await at.channel(), agent=await at.agent()) is None


class TestPageInbox:
    async def test_it_takes_what_is_offered(self, at: Desk) -> None:
        ada = await at.agent()
        channel = await at.channel(ada)
        enquiry_id = await at.say(channel)
        await at.answer_in_page_inbox(channel)
        enquiry = await at.enquiry(enquiry_id)
        assert (enquiry.status, enquiry.handled_by) == (
            EnquiryStatus.ONGOING,
            HandledBy.PAGE_INBOX,
        )
        assert await offers(at, enquiry_id) == [(ada, "withdrawn")]
        assert (await at.events(enquiry_id))[2]["actor"] == {"kind": "page"}

    async def test_an_agent_may_take_it_back(self, at: Desk) -> None:
        ada = await at.agent()
        channel = await at.channel(ada)
        enquiry_id = await at.say(channel)
        await at.answer_in_page_inbox(channel)
        await at.send(channel, agent=ada)
        assert (await at.enquiry(enquiry_id)).agent_id == ada

    async def test_what_would_be_said_automatically_is_not(self, at: Desk) -> None:
        channel = await at.channel()
        await at.say(channel)
        await at.send(channel, sent=False)
        await at.execute("UPDATE messages SET automation_cause = 'welcome' WHERE status='accepted'")
        await at.answer_in_page_inbox(channel)
        [row] = await at.all(
            "SELECT status, error FROM messages WHERE automation_cause = 'welcome'"
        )
        assert (row.status, row.error["code"]) == ("failed", "cancelled")


class TestTransfer:
    async def test_to_an_agent_who_accepts(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent("offline", name="Ben")
        enquiry_id = await at.say(await at.channel(ada)) or ""
        await at.accept(enquiry_id, ada)
        await at.transfer(enquiry_id, ben)
        enquiry = await at.enquiry(enquiry_id)
        assert (enquiry.status, enquiry.agent_id) == (EnquiryStatus.OFFERED, None)
        assert await offers(at, enquiry_id) == [(ada, "accepted"), (ben, "pending")]
        # Presence does not take away what a person gave.
        await at.presence(ben, "busy")
        await at.timers()
        await at.accept(enquiry_id, ben)
        events = await at.events(enquiry_id)
        assert [event["type"] for event in events][-2:] == ["transferred", "accepted"]
        assert events[-2]["former_destination"]["id"] == ada

    async def test_to_an_agent_who_does_not_answer_lets_the_rule_go_on(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent()
        enquiry_id = await at.say(await at.channel(ada)) or ""
        await at.accept(enquiry_id, ada)
        at.clock.advance(timedelta(hours=1))
        await at.transfer(enquiry_id, ben)
        await at.advance(seconds=60)
        assert await offers(at, enquiry_id) == [
            (ada, "accepted"),
            (ben, "expired"),
            (ada, "pending"),
        ]

    async def test_without_routing_it_is_open_again(self, at: Desk) -> None:
        ada = await at.agent()
        enquiry_id = await at.say(await at.channel()) or ""
        await at.transfer(enquiry_id, ada)
        await at.reject(enquiry_id, ada)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.OPEN

    async def test_to_an_endpoint(self, at: Desk) -> None:
        ada, own = await at.agent(), await at.endpoint()
        enquiry_id = await at.say(await at.channel(ada)) or ""
        await at.transfer(enquiry_id, own)
        enquiry = await at.enquiry(enquiry_id)
        assert (enquiry.status, enquiry.endpoint_id) == (EnquiryStatus.ONGOING, own)
        events = await at.events(enquiry_id)
        assert [event["type"] for event in events] == [
            *("opened", "offered", "offer_withdrawn", "transferred", "accepted"),
        ]
        assert events[2]["reason"] == "transferred"

    async def test_away_from_an_endpoint_tells_it(self, at: Desk) -> None:
        ada, own = await at.agent(), await at.endpoint()
        enquiry_id = await at.say(await at.channel(own)) or ""
        await at.transfer(enquiry_id, ada)
        delivered = await at.all(
            "SELECT e.type FROM deliveries d JOIN events e ON e.id = d.event_id"
            " WHERE d.target_id = :id ORDER BY e.sequence",
            id=own,
        )
        assert [row.type for row in delivered] == [
            "gateway.enquiry.accepted.v1",
            "gateway.enquiry.transferred.v1",
        ]

    @pytest.mark.parametrize("kind", [ids.AGENT, ids.ENDPOINT, ids.TEAM, ids.CHANNEL])
    async def test_to_nobody_is_refused(self, at: Desk, kind: str) -> None:
        enquiry_id = await at.say(await at.channel()) or ""
        with pytest.raises(InvalidFieldsError) as refused:
            await at.transfer(enquiry_id, ids.new_id(kind))
        assert [fault.pointer for fault in refused.value.faults] == ["/destination_id"]

    async def test_to_who_is_full_or_paused_is_refused(self, at: Desk) -> None:
        enquiry_id = await at.say(await at.channel()) or ""
        with pytest.raises(ConflictError):
            await at.transfer(enquiry_id, await at.agent(capacity=0))
        with pytest.raises(ConflictError):
            await at.transfer(enquiry_id, await at.endpoint("disabled"))
        assert await at.told(enquiry_id) == ["opened"]

    async def test_makes_room_for_who_waits(self, at: Desk) -> None:
        ada, ben = await at.agent(capacity=1), await at.agent()
        channel = await at.channel(ada, waiting_limit=3600)
        first, second = await at.say(channel, "v1") or "", await at.say(channel, "v2")
        await at.accept(first, ada)
        await at.transfer(first, ben)
        await at.timers()
        assert await offers(at, second) == [(ada, "pending")]


class TestEnding:
    async def test_a_closed_one_may_be_reopened_and_goes_to_who_served(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent()
        enquiry_id = await at.say(await at.channel(ada, ben)) or ""
        await at.accept(enquiry_id, ben)
        await at.close(enquiry_id, ben)
        closed = await at.enquiry(enquiry_id)
        assert (closed.status, closed.close_reason) == (EnquiryStatus.CLOSED, "requested")
        assert await at.value("SELECT last_enquiry_ended_at FROM agents WHERE id = :id", id=ben)

        await at.reopen(enquiry_id)

        reopened = await at.enquiry(enquiry_id)
        assert (reopened.status, reopened.closed_at) == (EnquiryStatus.OFFERED, None)
        assert (await offers(at, enquiry_id))[-1] == (ben, "pending")

    @pytest.mark.parametrize("status", EnquiryStatus)
    async def test_refusals_name_state_and_moves(self, at: Desk, status: EnquiryStatus) -> None:
        ada = await at.agent()
        enquiry_id = await at.say(await at.channel()) or ""
        await at.change("enquiries", enquiry_id, status=status)
        allowed: dict[str, set[EnquiryStatus]] = {
            "accept": {EnquiryStatus.OPEN, EnquiryStatus.OFFERED},
            "transfer": {EnquiryStatus.OPEN, EnquiryStatus.OFFERED, EnquiryStatus.ONGOING},
            "close": set(EnquiryStatus) - {EnquiryStatus.CLOSED},
            "reopen": {EnquiryStatus.CLOSED, EnquiryStatus.MISSED},
            "follow_up": {EnquiryStatus.MISSED},
            "reject": set(),
        }
        for name, states in allowed.items():
            arguments = [ada] if name in ("accept", "transfer", "reject") else []
            if status in states:
                continue
            with pytest.raises(IllegalTransitionError) as refused:
                await getattr(at, name)(enquiry_id, *arguments)
            assert refused.value.extra["state"] == status.value
            assert refused.value.extra["allowed"]

    async def test_one_of_a_conversation_is_alive_at_a_time(self, at: Desk) -> None:
        channel = await at.channel(closed_enquiry_policy="always")
        first = await at.say(channel) or ""
        await at.close(first)
        second = await at.say(channel)
        assert second != first
        with pytest.raises(ConflictError) as refused:
            await at.reopen(first)
        assert refused.value.extra["enquiry_id"] == second

    async def test_a_follow_up_by_call(self, at: Desk) -> None:
        ada = await at.agent("offline")
        enquiry_id = await at.say(await at.channel(ada)) or ""
        await at.follow_up(enquiry_id, ada)
        assert (await at.enquiry(enquiry_id)).agent_id == ada
        await at.close(enquiry_id)
        assert await at.told(enquiry_id) == ["opened", "missed", "followed_up", "closed"]

    async def test_a_deleted_channel_closes_what_lives_on_it(self, at: Desk) -> None:
        ada = await at.agent()
        channel = await at.channel(ada)
        offered, ongoing = await at.say(channel, "v1") or "", await at.say(channel, "v2") or ""
        await at.accept(ongoing, ada)
        elsewhere = await at.say(await at.channel(ada)) or ""
        await at.change("channels", channel, status="deleted")
        async with at.database.unit_of_work() as work:
            await RoutingChanges().channel_deleted(work, at.account, channel)
        for refused in (
            at.accept(offered, ada),
            at.transfer(offered, ada),
            at.reopen(offered),
        ):
            with pytest.raises(ChannelDeletedError):
                await refused
        await at.timers()
        for enquiry_id in (offered, ongoing):
            assert (await at.enquiry(enquiry_id)).close_reason == "channel-deleted"
        assert (await at.enquiry(elsewhere)).status is EnquiryStatus.OFFERED

    async def test_an_opening_that_the_deletion_did_not_see_is_closed_later(self, at: Desk) -> None:
        channel = await at.channel()
        async with at.database.unit_of_work() as work:
            await RoutingChanges().channel_deleted(work, at.account, channel)
        just_then = await at.say(channel)
        await at.change("channels", channel, status="deleted")
        await at.advance(seconds=15)
        assert (await at.enquiry(just_then)).close_reason == "channel-deleted"


class TestTelling:
    async def test_events_and_timeline_say_the_same(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent()
        channel = await at.channel(ada, custom_info={"enabled": True, "text": "VIP"})
        enquiry_id = await at.say(channel) or ""
        await at.accept(enquiry_id, ben)
        await at.close(enquiry_id)
        rows = await at.all(
            "SELECT t.type, t.sequence, t.actor, e.type AS event, e.data FROM timeline_entries t"
            " JOIN events e ON e.enquiry_id = t.enquiry_id AND e.sequence = t.sequence"
            " WHERE t.enquiry_id = :id ORDER BY t.sequence",
            id=enquiry_id,
        )
        assert [row.type for row in rows] == await at.told(enquiry_id)
        for row in rows:
            assert row.event == f"gateway.enquiry.{row.type}.v1"
            assert row.data["actor"] == row.actor
            assert row.data["enquiry"]["custom_info"] == "VIP"
        assert [row.actor["kind"] for row in rows] == [
            *("contact", "system", "agent", "system", "api"),
        ]

    async def test_the_last_event_shows_the_row(self, at: Desk) -> None:
        ada = await at.agent()
        enquiry_id = await at.say(await at.channel(ada)) or ""
        await at.accept(enquiry_id, ada)
        async with at.database.unit_of_work() as work:
            shown = await Engagement().enquiry_resources(work, at.account, [enquiry_id])
        assert (await at.events(enquiry_id))[-1]["enquiry"] == shown[enquiry_id]
        assert shown[enquiry_id]["offers"][0]["status"] == OfferStatus.ACCEPTED
