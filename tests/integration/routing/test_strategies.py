"""Teams, shares, hours and returning contacts, on a real database."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.desk import Desk, desk

from gateway.db.channels import get_channel
from gateway.db.conversations import lock_conversations
from gateway.errors import ConflictError
from routing.assignment import conclude as conclude_move
from routing.assignment import hand_over, hold, lock_parties
from routing.changes import RoutingChanges
from routing.enquiries import Actor, Enquiry, EnquiryStatus, HandledBy
from routing.hall import Hall


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[Desk]:
    async with desk(database_url) as opened:
        yield opened


async def asked(at: Desk, enquiry_id: str | None) -> list[str]:
    """Return who is asked now."""
    return [offer.agent_id for offer in (await at.enquiry(enquiry_id)).pending_offers]


async def offers(at: Desk, enquiry_id: str | None) -> list[tuple[str, str]]:
    enquiry = await at.enquiry(enquiry_id)
    return [(offer.agent_id, offer.status.value) for offer in enquiry.offers]


async def take(at: Desk, channel: str, visitor: str, agent: str) -> Enquiry:
    """Let a visitor write, an agent accept and the enquiry end."""
    enquiry_id = await at.say(channel, visitor) or ""
    await at.accept(enquiry_id, agent)
    return await at.close(enquiry_id)


class TestTeams:
    async def test_all_who_can_are_asked_and_the_first_has_it(self, at: Desk) -> None:
        ada, ben, cat = await at.agent(), await at.agent("offline"), await at.agent()
        team = await at.team(ada, ben, cat)
        enquiry_id = await at.say(await at.channel(team))
        offered = await at.enquiry(enquiry_id)
        assert offered.destination == {"id": team, "kind": "team", "name": "Team"}
        assert await asked(at, enquiry_id) == [ada, cat]

        await at.accept(enquiry_id or "", cat)

        assert await offers(at, enquiry_id) == [(ada, "withdrawn"), (cat, "accepted")]
        assert await at.told(enquiry_id) == ["opened", "offered", "accepted", "offer_withdrawn"]
        ongoing = await at.enquiry(enquiry_id)
        assert ongoing.destination == {"id": team, "kind": "team", "name": "Team"}

    async def test_one_who_rejects_leaves_it_to_the_others(self, at: Desk) -> None:
        ada, ben, cat = await at.agent(), await at.agent(), await at.agent()
        enquiry_id = await at.say(await at.channel(await at.team(ada, ben), cat)) or ""
        await at.reject(enquiry_id, ada)
        assert await asked(at, enquiry_id) == [ben]
        await at.reject(enquiry_id, ben)
        assert await asked(at, enquiry_id) == [cat]

    async def test_a_fixed_order_asks_one_at_a_time_until_the_teams_time_is_over(
        self, at: Desk
    ) -> None:
        ada, ben, cat, don = [await at.agent() for _ in range(4)]
        team = await at.team(ada, ben, cat, distribution="fixed_order", agent_timeout=20)
        channel = await at.channel({"id": team, "timeout_seconds": 30}, don)
        enquiry_id = await at.say(channel)
        assert await asked(at, enquiry_id) == [ada]
        await at.advance(seconds=20)
        assert await asked(at, enquiry_id) == [ben]
        # Ben has but the rest of the team's time.
        await at.advance(seconds=10)
        assert await asked(at, enquiry_id) == [don]

    async def test_a_round_goes_on_with_the_next_across_restarts(self, at: Desk) -> None:
        agents = [await at.agent() for _ in range(3)]
        team = await at.team(*agents, distribution="round_robin")
        first, second = await at.channel(team), await at.channel(team)
        order = [
            *await asked(at, await at.say(first, "v1")),
            *await asked(at, await at.say(second, "v2")),
            *await asked(at, await at.say(first, "v3")),
            *await asked(at, await at.say(first, "v4")),
        ]
        assert order == [*agents, agents[0]]

    async def test_who_had_nothing_longest_is_asked_first(self, at: Desk) -> None:
        ada, ben, cat = await at.agent(), await at.agent(), await at.agent()
        channel = await at.channel(await at.team(ada, ben, cat, distribution="most_idle"))
        await take(at, channel, "v1", ben)
        await at.advance(seconds=1)
        await take(at, channel, "v2", ada)
        assert await asked(at, await at.say(channel, "v3")) == [cat]
        await at.presence(cat, "offline")
        assert await asked(at, await at.say(channel, "v4")) == [ben]

    async def test_somebody_of_the_team_who_comes_is_asked(self, at: Desk) -> None:
        ada = await at.agent("busy")
        enquiry_id = await at.say(await at.channel(await at.team(ada)))
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.OPEN
        await at.presence(ada, "active")
        await at.timers()
        assert await asked(at, enquiry_id) == [ada]

    async def test_an_agent_who_joins_the_team_is_asked(self, at: Desk) -> None:
        ada, ben = await at.agent("busy"), await at.agent()
        team = await at.team(ada)
        enquiry_id = await at.say(await at.channel(team))
        await at.change("teams", team, agent_ids=[ada, ben])
        async with at.database.unit_of_work() as work:
            await RoutingChanges().destination_changed(work, at.account, team)
        await at.timers()
        assert await asked(at, enquiry_id) == [ben]

    async def test_an_agent_who_leaves_the_team_is_asked_no_more(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent("busy")
        team = await at.team(ada, ben)
        enquiry_id = await at.say(await at.channel(team))
        await at.change("teams", team, agent_ids=[ben])
        async with at.database.unit_of_work() as work:
            await RoutingChanges().destination_changed(work, at.account, team)
        await at.timers()
        assert await offers(at, enquiry_id) == [(ada, "withdrawn")]
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.OPEN

    async def test_capacity_holds_across_the_offers_of_a_team(self, at: Desk) -> None:
        ada, ben = await at.agent(capacity=1), await at.agent(capacity=1)
        channel = await at.channel(await at.team(ada, ben))
        first = await at.say(channel, "v1")
        second = await at.say(channel, "v2")
        assert await asked(at, first) == [ada, ben]
        assert (await at.enquiry(second)).status is EnquiryStatus.OPEN
        await at.accept(first or "", ada)
        await at.timers()
        assert await asked(at, second) == [ben]

    async def test_idle_ones_are_asked_where_nobody_active_is(self, at: Desk) -> None:
        ada, ben = await at.agent("idle"), await at.agent()
        channel = await at.channel(await at.team(ada, ben))
        assert await asked(at, await at.say(channel, "v1")) == [ben]
        await at.presence(ben, "busy")
        assert await asked(at, await at.say(channel, "v2")) == [ada]


class TestShares:
    async def test_shares_hold_over_any_hundred(self, at: Desk) -> None:
        agents = [await at.agent(capacity=1000) for _ in range(3)]
        listed = [
            {"id": agent, "share": share} for agent, share in zip(agents, (50, 30, 20), strict=True)
        ]
        channel = await at.channel(*listed, rule="percentage")
        taken: Counter[str] = Counter()
        for n in range(100):
            taken.update(await asked(at, await at.say(channel, f"v{n}")))
        assert [taken[agent] for agent in agents] == [50, 30, 20]

    async def test_who_is_away_gives_the_share_to_the_others(self, at: Desk) -> None:
        away, ada, ben = await at.agent("offline"), await at.agent(), await at.agent()
        for agent in (ada, ben):
            await at.change("agents", agent, capacity=1000)
        channel = await at.channel(
            {"id": away, "share": 50},
            {"id": ada, "share": 30},
            {"id": ben, "share": 20},
            rule="percentage",
        )
        taken: Counter[str] = Counter()
        for n in range(50):
            taken.update(await asked(at, await at.say(channel, f"v{n}")))
        assert (taken[ada], taken[ben]) == (30, 20)

    async def test_after_a_timeout_the_next_best_is_asked(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent()
        channel = await at.channel(
            {"id": ada, "share": 90, "timeout_seconds": 10},
            {"id": ben, "share": 10},
            rule="percentage",
        )
        enquiry_id = await at.say(channel)
        await at.advance(seconds=10)
        assert await offers(at, enquiry_id) == [(ada, "expired"), (ben, "pending")]

    async def test_a_new_version_of_the_routing_counts_anew(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent()
        channel = await at.channel(
            {"id": ada, "share": 50}, {"id": ben, "share": 50}, rule="percentage"
        )
        assert await asked(at, await at.say(channel, "v1")) == [ada]
        await at.change("channels", channel, routing_version=7)
        assert await asked(at, await at.say(channel, "v2")) == [ada]
        assert await asked(at, await at.say(channel, "v3")) == [ben]


class TestHours:
    async def test_each_span_has_its_list_and_the_wait_sees_the_next(self, at: Desk) -> None:
        day, night = await at.agent(), await at.agent("busy")
        channel = await at.channel(
            routing={
                "rule": "time",
                "time": {
                    "zone": "UTC",
                    "spans": [
                        {
                            "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
                            "from": "09:00",
                            "to": "18:00",
                            "destinations": [{"id": day}],
                        }
                    ],
                    "other": [{"id": night}],
                },
            }
        )
        today = at.clock.now().astimezone(UTC).date() + timedelta(days=1)
        at.clock.advance(
            datetime(today.year, today.month, today.day, 8, 58, tzinfo=UTC) - at.clock.now()
        )
        enquiry_id = await at.say(channel)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.OPEN
        assert await at.timer_kinds() == ["hours", "waiting"]
        await at.advance(seconds=120)
        assert await asked(at, enquiry_id) == [day]


class TestReturning:
    async def test_a_returning_contact_is_offered_to_who_served_last(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent()
        channel = await at.channel(
            ada,
            ben,
            routing={"sticky": {"enabled": True, "valid_hours": 2}},
            closed_enquiry_policy="always",
        )
        await take(at, channel, "ann", ben)
        at.clock.advance(timedelta(hours=2, seconds=-1))
        again = await at.say(channel)
        assert await asked(at, again) == [ben]
        await at.accept(again or "", ben)
        await at.close(again or "")
        at.clock.advance(timedelta(hours=2))
        assert await asked(at, await at.say(channel)) == [ada]

    @pytest.mark.parametrize("why", ["away", "full", "deleted", "rejects"])
    async def test_else_the_rule_goes_on(self, at: Desk, why: str) -> None:
        ada, ben = await at.agent(), await at.agent(capacity=1)
        channel = await at.channel(
            ada,
            routing={"sticky": {"enabled": True, "valid_hours": 2}},
            closed_enquiry_policy="always",
        )
        await take(at, channel, "ann", ben)
        match why:
            case "away":
                await at.presence(ben, "offline")
            case "deleted":
                await at.change("agents", ben, deleted_at=at.clock.now())
            case "full":
                await at.accept(await at.say(channel, "bob") or "", ben)
            case _:
                pass
        enquiry_id = await at.say(channel) or ""
        if why == "rejects":
            assert await asked(at, enquiry_id) == [ben]
            await at.reject(enquiry_id, ben)
        assert await asked(at, enquiry_id) == [ada]

    async def test_who_writes_first_gets_the_answer(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent()
        channel = await at.channel(ada)
        assert await at.send(channel, agent=ben) is None
        assert await asked(at, await at.say(channel)) == [ben]
        # Once.
        await at.close((await at.say(channel)) or "")
        at.clock.advance(timedelta(hours=2))
        assert await asked(at, await at.say(channel)) == [ada]

    async def test_who_writes_first_gets_the_answer_without_a_routing_too(self, at: Desk) -> None:
        ben = await at.agent()
        channel = await at.channel()
        await at.send(channel, agent=ben)
        enquiry_id = await at.say(channel)
        assert await asked(at, enquiry_id) == [ben]
        await at.advance(seconds=60)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.OPEN
        assert await at.timer_kinds() == []


class TestGiving:
    async def test_a_bot_takes_it_at_once_on_the_version_of_now(self, at: Desk) -> None:
        bot = await at.bot()
        await at.bot_says(bot, 2)
        enquiry_id = await at.say(await at.channel(bot))
        taken = await at.enquiry(enquiry_id)
        assert (taken.status, taken.handled_by) == (EnquiryStatus.ONGOING, HandledBy.BOT)
        assert taken.destination == {"id": bot, "kind": "bot", "name": "Robot"}
        assert taken.progress.bot_version == 2
        assert await at.told(enquiry_id) == ["opened", "accepted"]

    async def test_a_linked_bot_takes_it_whatever_the_rule_says(self, at: Desk) -> None:
        bot, ada = await at.bot(), await at.agent()
        channel = await at.channel(ada, link={"mode": "bot", "bot_id": bot})
        taken = await at.enquiry(await at.say(channel))
        assert taken.handled_by is HandledBy.BOT
        assert taken.assignment is not None
        assert taken.assignment["rule"] == "bot"

    @pytest.mark.parametrize(
        ("presence", "status", "told"),
        [
            ("active", EnquiryStatus.OFFERED, ["transferred"]),
            ("busy", EnquiryStatus.OPEN, ["transferred", "offer_withdrawn"]),
            ("offline", EnquiryStatus.MISSED, ["transferred", "missed"]),
        ],
    )
    async def test_what_a_bot_hands_over_goes_by_the_rule(
        self, at: Desk, presence: str, status: EnquiryStatus, told: list[str]
    ) -> None:
        bot, ada = await at.bot(), await at.agent(presence)
        channel = await at.channel(ada, link={"mode": "bot", "bot_id": bot})
        enquiry_id = await at.say(channel) or ""
        await give_up(at, channel, enquiry_id, bot)
        enquiry = await at.enquiry(enquiry_id)
        assert enquiry.status is status
        assert await at.told(enquiry_id) == ["opened", "accepted", *told]
        # Each event agrees with an arrow.
        states = [event["enquiry"]["status"] for event in await at.events(enquiry_id)]
        assert states[-1] == status.value

    async def test_without_a_rule_it_waits_for_who_accepts(self, at: Desk) -> None:
        bot, ada = await at.bot(), await at.agent()
        channel = await at.channel(link={"mode": "bot", "bot_id": bot})
        enquiry_id = await at.say(channel) or ""
        await give_up(at, channel, enquiry_id, bot)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.OPEN
        await at.accept(enquiry_id, ada)

    async def test_a_transfer_to_a_team_asks_who_can_and_then_the_rule(self, at: Desk) -> None:
        ada, ben, cat = await at.agent(), await at.agent(), await at.agent("offline")
        team = await at.team(ben, cat)
        channel = await at.channel(ada)
        enquiry_id = await at.say(channel) or ""
        await at.accept(enquiry_id, ada)
        await at.transfer(enquiry_id, team)
        assert await asked(at, enquiry_id) == [ben]
        await at.advance(seconds=60)
        assert await asked(at, enquiry_id) == [ada]

    async def test_a_transfer_to_a_team_goes_through_its_order(self, at: Desk) -> None:
        ada, ben, cat = await at.agent(), await at.agent(), await at.agent()
        team = await at.team(ben, cat, distribution="fixed_order", agent_timeout=10)
        enquiry_id = await at.say(await at.channel()) or ""
        await at.accept(enquiry_id, ada)
        await at.transfer(enquiry_id, team)
        await at.advance(seconds=10)
        assert await asked(at, enquiry_id) == [cat]
        await at.advance(seconds=10)
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.OPEN

    async def test_a_team_in_which_nobody_can_is_refused(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent("offline")
        enquiry_id = await at.say(await at.channel(ada)) or ""
        with pytest.raises(ConflictError):
            await at.transfer(enquiry_id, await at.team(ben))
        assert await asked(at, enquiry_id) == [ada]

    async def test_a_transfer_to_a_bot_is_taken_at_once(self, at: Desk) -> None:
        ada, bot = await at.agent(), await at.bot()
        enquiry_id = await at.say(await at.channel(ada)) or ""
        await at.transfer(enquiry_id, bot)
        taken = await at.enquiry(enquiry_id)
        assert (taken.handled_by, taken.progress.bot_version) == (HandledBy.BOT, 1)


async def give_up(at: Desk, channel_id: str, enquiry_id: str, bot: str) -> None:
    """Let a bot hand an enquiry over."""
    async with at.database.unit_of_work() as work:
        conversation_id = (await at.enquiry(enquiry_id)).conversation_id
        locked = await lock_conversations(work, [conversation_id], account_id=at.account)
        channel = await get_channel(work.connection, at.account, channel_id)
        assert channel is not None
        held = await hold(Hall(work), locked[conversation_id], channel, enquiry_id)
        assert held is not None
        await lock_parties(held)
        await hand_over(held, Actor("bot", bot))
        await conclude_move(held)
