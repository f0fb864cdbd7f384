"""Many hands on the same enquiries at the same time."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs
from tests.support.api import problem
from tests.support.automation import rule as bot_rule
from tests.support.desk import Desk, desk
from tests.support.promises import forget_nobody, keep_promises, look
from tests.support.rest_desk import Rest, rest_desk

from gateway.errors import GatewayError, IllegalTransitionError
from routing.changes import RoutingChanges
from routing.destinations import Distribution
from routing.enquiries import Enquiry, EnquiryStatus


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[Desk]:
    async with desk(database_url, pool=20, limit=6) as opened:
        yield opened


async def test_two_agents_accept_at_once(at: Desk) -> None:
    agents = [await at.agent() for _ in range(2)]
    channel = await at.channel()
    for n in range(5):
        enquiry_id = await at.say(channel, f"v{n}") or ""
        answers = await asyncio.gather(
            *(at.accept(enquiry_id, agent) for agent in agents), return_exceptions=True
        )
        [won] = [answer for answer in answers if isinstance(answer, Enquiry)]
        [lost] = [answer for answer in answers if isinstance(answer, IllegalTransitionError)]
        assert won.agent_id in agents
        assert lost.extra == {
            "state": "ongoing",
            "allowed": ["closed", "offered"],
            "agent_id": won.agent_id,
        }
        assert (await at.told(enquiry_id)).count("accepted") == 1
        await at.close(enquiry_id)


async def test_one_place_for_many_who_come_at_once(at: Desk) -> None:
    channel = await at.channel()
    enquiries = await asyncio.gather(*(at.say(channel, f"v{n}") for n in range(20)))
    inside = [each for each in enquiries if (await at.enquiry(each)).queued_at is None]
    assert len(inside) == 6


async def test_one_agents_room_for_many_who_come_at_once(database_url: str) -> None:
    async with desk(database_url, pool=20) as at:
        ada = await at.agent(capacity=3)
        channels = [await at.channel(ada) for _ in range(4)]
        await asyncio.gather(*(at.say(channel, f"v{n}") for n in range(5) for channel in channels))
        assert await at.value("SELECT count(*) FROM offers WHERE status = 'pending'") == 3


async def test_the_same_first_message_twice_at_once_is_one_enquiry(at: Desk) -> None:
    channel = await at.channel()
    enquiries = await asyncio.gather(*(at.say(channel, "ann") for _ in range(5)))
    assert len(set(enquiries)) == 1


class Muddle:
    """Conversations, timers, presence, commands and settings, all at the same time."""

    def __init__(self, rest: Rest) -> None:
        self.at = rest.desk
        self.me = rest.me
        self.dice = random.Random(7)
        self.agents: list[str] = []
        self.teams: list[str] = []
        self.bots: list[str] = []
        self.endpoint = ""
        self.channels: list[str] = []
        self.visitors: list[tuple[str, str]] = []
        self.failures: list[str] = []
        self.answers: Counter[int] = Counter()

    async def set_up(self) -> None:
        at = self.at
        self.agents = [await at.agent(capacity=2) for _ in range(5)]
        self.teams = [
            await at.team(*self.dice.sample(self.agents, 3), distribution=each, agent_timeout=10)
            for each in Distribution
        ]
        self.bots = [
            await at.bot(bot_rule("keyword", values=["person"], then="hand_over")),
            await at.bot(bot_rule("fallback", "Wait.", then="hand_over")),
        ]
        self.endpoint = await at.endpoint()
        ada, ben, cleo, dan, eve = self.agents
        asked_at_once, in_order, in_turn, idlest = self.teams
        shared: list[dict[str, Any]] = [
            {"id": in_turn, "share": 60},
            {"id": dan, "share": 30},
            {"id": self.endpoint, "share": 10},
        ]
        hours = {"days": ["mon", "tue"], "from": "11:00", "to": "12:03"}
        time = {
            "zone": "UTC",
            "spans": [hours | {"destinations": [{"id": idlest}]}],
            "other": [{"id": eve}],
        }
        automatic = {"enabled": True, "text": "Good day."}
        self.channels = [
            await at.channel(
                *(ada, asked_at_once, cleo),
                waiting_limit=30,
                messages={"welcome": automatic, "away": automatic},
            ),
            await at.channel(*shared, rule="percentage", waiting_limit=30),
            await at.channel(routing={"rule": "time", "time": time}, waiting_limit=30),
            await at.channel(in_order, ben, link={"mode": "bot", "bot_id": self.bots[0]}),
            await at.channel(self.bots[1], idlest, dan),
            await at.channel(),
        ]
        self.visitors = [(self.dice.choice(self.channels), f"v{n}") for n in range(18)]

    async def attempt(self, move: Awaitable[object]) -> None:
        """Make a move that may be refused, but must not fail."""
        try:
            made = await move
        except GatewayError:
            return
        except DBAPIError as error:
            self.failures.append(str(error.orig))
            return
        if isinstance(made, httpx.Response):
            self.answers[made.status_code] += 1
            if made.is_server_error:
                self.failures.append(made.text)

    async def contacts_write(self) -> None:
        for _ in range(60):
            words = self.dice.choice(["hello", "a person"])
            await self.attempt(self.at.say(*self.dice.choice(self.visitors), words=words))

    async def staff_moves(self) -> None:
        for _ in range(60):
            enquiries = await self.at.all("SELECT id FROM enquiries ORDER BY random() LIMIT 1")
            if enquiries:
                await self.attempt(self.move(enquiries[0].id))

    def move(self, enquiry_id: str) -> Awaitable[object]:
        at, agent = self.at, self.dice.choice(self.agents)
        channel, visitor = self.dice.choice(self.visitors)
        destination = self.dice.choice([*self.agents, *self.teams, *self.bots, self.endpoint])
        enquiry = f"/v1/enquiries/{enquiry_id}"
        moves: list[Callable[[], Awaitable[object]]] = [
            lambda: self.me.post(f"{enquiry}/accept", {"agent_id": agent}),
            lambda: self.me.post(f"{enquiry}/accept", {"agent_id": agent}),
            lambda: self.me.post(f"{enquiry}/reject", {"agent_id": agent}),
            lambda: self.me.post(f"{enquiry}/transfer", {"destination_id": destination}),
            lambda: self.me.post(f"{enquiry}/close", {"agent_id": agent}),
            lambda: self.me.post(f"{enquiry}/reopen"),
            lambda: self.me.post(f"{enquiry}/follow-up", {"agent_id": agent}),
            lambda: at.send(channel, visitor, agent=agent, takeover=True),
            lambda: at.answer_in_page_inbox(channel, visitor),
        ]
        return self.dice.choice(moves)()

    async def agents_come_and_go(self) -> None:
        for _ in range(40):
            state = self.dice.choice(["active", "active", "idle", "busy", "offline"])
            body = {"state": state} | self.dice.choice([{}, {"expires_in": 30}])
            path = f"/v1/agents/{self.dice.choice(self.agents)}/presence"
            await self.attempt(self.me.put(path, body))

    async def settings_change(self) -> None:
        for _ in range(40):
            await self.attempt(self.change())

    def change(self) -> Awaitable[object]:
        team, agent = self.dice.choice(self.teams), self.dice.choice(self.agents)
        some = self.dice.sample(self.agents, self.dice.randrange(4))
        served = self.dice.choice([[], self.channels[:4]])
        status = self.dice.choice(["paused", "active"])
        shares = self.dice.choice([(60, 30, 10), (20, 40, 40)])
        listed = zip((self.teams[2], self.agents[3], self.endpoint), shares, strict=True)
        routing = {
            "rule": "percentage",
            "destinations": [{"id": id_, "share": share} for id_, share in listed],
            "waiting_limit_seconds": 30,
        }
        channel = self.channels[1]
        changes: list[Callable[[], Awaitable[object]]] = [
            lambda: self.me.patch(f"/v1/teams/{team}", {"agent_ids": some}),
            lambda: self.me.patch(f"/v1/agents/{agent}", {"channel_ids": served}),
            lambda: self.me.put(f"/v1/channels/{channel}/routing", routing),
            lambda: self.at.switch(self.endpoint, status),
            self.more_places,
        ]
        return self.dice.choice(changes)()

    async def more_places(self) -> None:
        async with self.at.database.unit_of_work() as work:
            await work.connection.execute(
                text(
                    "UPDATE accounts SET concurrent_contacts_limit = concurrent_contacts_limit + 1"
                    " WHERE id = :id"
                ),
                {"id": self.at.account},
            )
            await RoutingChanges().contacts_limit_changed(work, self.at.account)

    async def time_passes(self) -> None:
        for _ in range(30):
            self.at.clock.advance(timedelta(seconds=self.dice.randrange(20)))
            await self.at.catch_up()
            await self.at.timers()

    async def calm_down(self) -> None:
        """Let everybody go home, and what waits come to an end."""
        for agent in self.agents:
            await self.at.presence(agent, "offline")
        rounds = 0
        while [each for each in (await look(self.at)).live if self._ends_by_itself(each)]:
            rounds += 1
            assert rounds < 20
            await self.at.send_all()
            await self.at.advance(minutes=61)
            await forget_nobody(self.at)

    def _ends_by_itself(self, enquiry: Enquiry) -> bool:
        nobody = enquiry.status in (EnquiryStatus.OPEN, EnquiryStatus.OFFERED)
        return nobody and enquiry.queued_at is None and enquiry.channel_id != self.channels[5]


async def test_everybody_against_everybody(database_url: str) -> None:
    async with rest_desk(database_url, pool=20, limit=8) as rest:
        at, muddle = rest.desk, Muddle(rest)
        await muddle.set_up()

        with capture_logs() as logs:
            await asyncio.gather(
                *(muddle.contacts_write() for _ in range(2)),
                *(muddle.staff_moves() for _ in range(2)),
                muddle.agents_come_and_go(),
                muddle.settings_change(),
                *(muddle.time_passes() for _ in range(2)),
            )

        assert muddle.failures == []
        # A deadlock would pass by itself; nothing has to.
        assert [log for log in logs if log["log_level"] in ("warning", "error")] == []
        assert muddle.answers[200] > 20, muddle.answers
        await at.timers()
        await forget_nobody(at)
        await muddle.calm_down()
        await at.engine.dispose()
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert await at.value(deadlocks) == 0


class TestAnOfferToATeam:
    async def test_all_of_it_accept_at_once(self, database_url: str) -> None:
        async with rest_desk(database_url, pool=20) as rest:
            at = rest.desk
            agents = [await at.agent() for _ in range(3)]
            channel = await at.channel(await at.team(*agents))
            for n in range(5):
                enquiry_id = await at.say(channel, f"v{n}") or ""
                path = f"/v1/enquiries/{enquiry_id}/accept"
                answers = await asyncio.gather(
                    *(rest.me.post(path, {"agent_id": agent}) for agent in agents)
                )
                [won] = [each.json() for each in answers if each.status_code == 200]
                refused = [each for each in answers if each.status_code != 200]
                lost = [problem(each, "illegal-transition", 409) for each in refused]
                winner = won["agent"]["id"]
                assert [each["agent_id"] for each in lost] == [winner, winner]
                assert await at.told(enquiry_id) == [
                    *("opened", "offered", "accepted", "offer_withdrawn", "offer_withdrawn"),
                ]
                enquiry = await at.enquiry(enquiry_id)
                became = {offer.agent_id: offer.status.value for offer in enquiry.offers}
                assert became == dict.fromkeys(agents, "withdrawn") | {winner: "accepted"}
                await keep_promises(at)

    async def test_one_who_rejects_and_one_who_accepts(self, database_url: str) -> None:
        async with rest_desk(database_url, pool=20) as rest:
            at = rest.desk
            ada, ben = await at.agent(), await at.agent()
            channel = await at.channel(await at.team(ada, ben))
            for n in range(5):
                enquiry = f"/v1/enquiries/{await at.say(channel, f'v{n}')}"
                rejected, accepted = await asyncio.gather(
                    rest.me.post(f"{enquiry}/reject", {"agent_id": ada}),
                    rest.me.post(f"{enquiry}/accept", {"agent_id": ben}),
                )
                assert accepted.status_code == 200
                # Too late where the other one was first.
                assert rejected.status_code in (200, 409)
                assert accepted.json()["agent"]["id"] == ben
                await keep_promises(at)
