"""Many hands on the same enquiries at the same time."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy.exc import DBAPIError
from tests.support.desk import Desk, desk

from gateway.db.timers import Timer
from gateway.db.unit_of_work import UnitOfWork
from gateway.errors import GatewayError, IllegalTransitionError
from routing.due import HANDLERS, Handler
from routing.enquiries import Enquiry


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
    """Conversations, timers, presence and commands, all at the same time."""

    def __init__(self, at: Desk) -> None:
        self.at = at
        self.dice = random.Random(7)
        self.agents: list[str] = []
        self.channels: list[str] = []
        self.endpoint = ""
        self.visitors: list[tuple[str, str]] = []
        self.failures: list[str] = []

    async def set_up(self) -> None:
        at = self.at
        self.agents = [await at.agent(capacity=2) for _ in range(4)]
        self.endpoint = await at.endpoint()
        self.channels = [
            await at.channel(*self.agents[:3], waiting_limit=30),
            await at.channel(self.agents[3], self.agents[1], waiting_limit=30),
            await at.channel(self.agents[2], self.endpoint),
            await at.channel(),
        ]
        self.visitors = [(self.dice.choice(self.channels), f"v{n}") for n in range(16)]

    async def attempt(self, move: Awaitable[object]) -> None:
        """Make a move that may be refused, but must not fail."""
        try:
            await move
        except GatewayError:
            pass
        except DBAPIError as error:
            self.failures.append(str(error.orig))

    async def contacts_write(self) -> None:
        for _ in range(60):
            await self.attempt(self.at.say(*self.dice.choice(self.visitors)))

    async def staff_moves(self) -> None:
        for _ in range(60):
            enquiries = await self.at.all("SELECT id FROM enquiries ORDER BY random() LIMIT 1")
            if enquiries:
                await self.attempt(self.move(enquiries[0].id))

    def move(self, enquiry_id: str) -> Awaitable[object]:
        at, agent = self.at, self.dice.choice(self.agents)
        channel, visitor = self.dice.choice(self.visitors)
        destination = self.dice.choice([agent, self.endpoint])
        moves: list[Callable[[], Awaitable[object]]] = [
            lambda: at.accept(enquiry_id, agent),
            lambda: at.reject(enquiry_id, agent),
            lambda: at.transfer(enquiry_id, destination),
            lambda: at.close(enquiry_id),
            lambda: at.reopen(enquiry_id),
            lambda: at.send(channel, visitor, agent=agent, takeover=True),
            lambda: at.answer_in_page_inbox(channel, visitor),
        ]
        return self.dice.choice(moves)()

    async def agents_come_and_go(self) -> None:
        for _ in range(40):
            state = self.dice.choice(["active", "active", "idle", "busy", "offline"])
            expires = self.dice.choice([None, timedelta(seconds=5)])
            agent = self.dice.choice(self.agents)
            await self.attempt(self.at.presence(agent, state, expires_in=expires))

    async def time_passes(self) -> None:
        worker = self.at.worker(handlers={k: self.watched(h) for k, h in HANDLERS.items()})
        for _ in range(30):
            self.at.clock.advance(timedelta(seconds=self.dice.randrange(20)))
            await self.at.catch_up()
            await worker.run_due()

    def watched(self, handler: Handler) -> Handler:
        async def handle(work: UnitOfWork, timer: Timer) -> None:
            try:
                await handler(work, timer)
            except Exception as error:
                self.failures.append(f"{timer.kind}: {error!r}")
                raise

        return handle


async def test_everybody_against_everybody(at: Desk) -> None:
    muddle = Muddle(at)
    await muddle.set_up()

    await asyncio.gather(
        *(muddle.contacts_write() for _ in range(2)),
        *(muddle.staff_moves() for _ in range(2)),
        muddle.agents_come_and_go(),
        *(muddle.time_passes() for _ in range(2)),
    )

    assert muddle.failures == []
    overloaded = await at.all(
        "SELECT agent_id FROM (SELECT agent_id FROM enquiries WHERE status = 'ongoing'"
        " AND followed_up_at IS NULL UNION ALL"
        " SELECT agent_id FROM offers WHERE status = 'pending') AS held"
        " WHERE agent_id IS NOT NULL GROUP BY agent_id HAVING count(*) > 2"
    )
    assert overloaded == []
    # Everybody goes home, and what waits comes to an end.
    for agent in muddle.agents:
        await at.presence(agent, "offline")
    for _ in range(10):
        await at.advance(minutes=10)
    left = await at.all(
        "SELECT DISTINCT status FROM enquiries WHERE queued_at IS NULL AND channel_id = ANY(:ids)",
        ids=muddle.channels[:3],
    )
    assert {row.status for row in left} <= {"ongoing", "missed", "closed", "followed_up"}
