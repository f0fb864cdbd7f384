"""Contacts, agents, bots, back ends, time and death, in any order, against one account.

After every step the database is asked whether the promises hold. A step may die just before its
commit; then it is made again, as the broker, the timers and callers do.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from structlog.testing import capture_logs
from tests.support.automation import rule as bot_rule
from tests.support.clock import NOON
from tests.support.desk import Desk, desk
from tests.support.promises import Picture, forget_nobody, keep_promises

from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.errors import (
    ConflictError,
    IllegalTransitionError,
    InvalidFieldsError,
    NotAssigneeError,
)
from routing.destinations import Distribution
from routing.enquiries import LIVE, Enquiry, EnquiryStatus
from routing.hours import DAYS

# Small, so that everything is soon full.
LIMIT = 6
CHANNELS = 7
VISITORS = st.tuples(st.integers(0, CHANNELS - 1), st.integers(0, 2))
AGENTS = st.integers(0, 4)
TEAMS = st.integers(0, 3)
DESTINATIONS = st.integers(0, 11)
ANY = st.integers(0, 1_000)
PRESENCE = st.sampled_from(["active", "active", "idle", "busy", "offline"])
WORDS = st.sampled_from(["hello", "hello", "a person please", "bye"])
DISTRIBUTIONS = list(Distribution)
# Now and then a step dies at one of its commits before it is made.
DIES = st.sampled_from([0, 0, 0, 1])
DIES_LATER = st.sampled_from([0, 0, 2, 3, 4])
TAKEABLE = {EnquiryStatus.OPEN, EnquiryStatus.OFFERED}
# Every half an hour somebody else is asked.
HOURS = [(f"{hour:02}:00", f"{hour:02}:30", f"{hour + 1:02}:00") for hour in range(24)]


class KilledError(BaseException):
    """The process is gone."""


class Mortal(Database):
    """A database whose client dies as its so-many-th transaction is about to commit; 0: never."""

    dies_at = 0

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator[UnitOfWork]:
        async with super().unit_of_work() as work:
            yield work
            self.dies_at -= 1
            if self.dies_at == 0:
                await work.flush()
                raise KilledError


class EnquiryMachine(RuleBasedStateMachine):
    """One account, with a channel for every rule and every link."""

    runner: asyncio.Runner
    database_url: str

    def __init__(self) -> None:
        super().__init__()
        self.stack = AsyncExitStack()
        self.agents: list[str] = []
        self.teams: list[str] = []
        self.channels: list[str] = []
        self.gone = False
        self.picture: Picture

    @initialize()
    def open(self) -> None:
        self.runner.run(self._open())
        self.look()

    async def _open(self) -> None:
        opened = await self.stack.enter_async_context(desk(self.database_url, pool=2, limit=LIMIT))
        self.at: Desk = opened
        self.mortal = Mortal(opened.engine, clock=opened.clock, keyring=opened.database.keyring)
        opened.database = self.mortal
        await self._staff()
        await self._channels()

    async def _staff(self) -> None:
        at = self.at
        self.agents = [await at.agent(capacity=1) for _ in range(4)]
        self.agents.append(await at.agent(capacity=2))
        pairs = [self.agents[:2], self.agents[1:3], self.agents[2:5], self.agents[:3]]
        self.teams = [
            await at.team(*pair, distribution=each, agent_timeout=20)
            for pair, each in zip(pairs, DISTRIBUTIONS, strict=True)
        ]
        answers = (
            bot_rule("keyword", "One moment.", values=["person"], then="hand_over"),
            bot_rule("keyword", values=["bye"], then="close"),
            bot_rule("first_message", "I am a robot."),
        )
        self.bots = [await at.bot(*answers), await at.bot(bot_rule("fallback", then="hand_over"))]
        self.endpoint = await at.endpoint()

    async def _channels(self) -> None:
        at, (ada, ben, cleo, dan, eve) = self.at, self.agents
        asked_at_once, in_order, in_turn, idlest = self.teams
        chatty, shy = self.bots
        sticky = {"sticky": {"enabled": True, "valid_hours": 2}}
        every_day = {"days": list(DAYS)}
        spans = [
            every_day | {"from": begins, "to": ends, "destinations": [{"id": team}]}
            for full, half, next_full in HOURS
            for begins, ends, team in ((full, half, in_order), (half, next_full, idlest))
        ]
        automatic = {"enabled": True, "text": "Good day."}
        self.channels = [
            await at.channel(
                ada,
                asked_at_once,
                cleo,
                waiting_limit=150,
                routing=sticky,
                messages={"welcome": automatic, "away": automatic},
                custom_info={"enabled": True, "text": "Knows everything."},
            ),
            await at.channel(
                {"id": ben, "share": 50},
                {"id": in_turn, "share": 30, "timeout_seconds": 50},
                {"id": self.endpoint, "share": 20},
                rule="percentage",
                closed_enquiry_policy="never",
            ),
            await at.channel(
                routing={
                    "rule": "time",
                    "time": {"zone": "Europe/London", "spans": spans, "other": [{"id": eve}]},
                    **sticky,
                },
                waiting_limit=3600,
            ),
            await at.channel(dan, in_order, link={"mode": "bot", "bot_id": chatty}),
            await at.channel(),
            await at.channel(shy, idlest, chatty, ben, closed_enquiry_policy="always"),
            await at.channel(ada, link={"mode": "external_endpoint", "endpoint_id": self.endpoint}),
        ]
        assert len(self.channels) == CHANNELS

    def teardown(self) -> None:
        if self.channels:
            self.runner.run(self._all_things_end())
            self.runner.run(self.at.execute("TRUNCATE timers"))
        self.runner.run(self.stack.aclose())

    def do(self, move: Callable[[], Awaitable[Any]], *, dies: int = 0) -> Any:
        """Make a move; one that dies is made again."""

        async def made() -> Any:
            return await move()

        self.mortal.dies_at = dies
        try:
            return self.runner.run(made())
        except KilledError:
            before = self.picture
            self.look()
            # Nothing is ever half done.
            assert dies > 1 or self.picture == replace(before, now=self.picture.now)
            return self.runner.run(made())
        finally:
            self.mortal.dies_at = 0
            self.look()

    def look(self) -> None:
        self.picture = self.runner.run(keep_promises(self.at))

    def visitor(self, who: tuple[int, int]) -> tuple[str, str]:
        channel, number = who
        return self.channels[channel], f"v{number}"

    @property
    def enquiries(self) -> list[Enquiry]:
        return self.picture.enquiries

    def pick(self, number: int) -> Enquiry:
        """Return an enquiry, more often than not one that lives."""
        live = [each for each in self.enquiries if each.status in LIVE]
        among = live if live and number % 4 else self.enquiries
        return among[number % len(among)]

    @contextmanager
    def refused_unless(self, before: Enquiry, states: set[EnquiryStatus]) -> Iterator[None]:
        """Expect a move to be refused in all states but these, in which it may be, too."""
        refused: ConflictError | None = None
        try:
            yield
        except ConflictError as error:
            refused = error
        except InvalidFieldsError:
            # There is no such agent any more.
            assert self.gone
            return
        if refused is None:
            assert before.status in states
        elif isinstance(refused, IllegalTransitionError):
            # One that waits outside can only be closed, and only who was asked can reject.
            waits = before.queued_at is not None or before.pending_offers
            assert before.status not in states or waits
            assert refused.extra["state"] == before.status
            if before.status is EnquiryStatus.ONGOING:
                assert refused.extra.get("agent_id") == before.agent_id
        # Else there was no room, nobody there, or another enquiry of the conversation is alive.

    @rule(whoever=st.lists(VISITORS, min_size=1, max_size=3, unique=True), words=WORDS, dies=DIES)
    def contacts_write(self, whoever: list[tuple[int, int]], words: str, *, dies: int) -> None:
        for who in whoever:
            self.do(partial(self.at.say, *self.visitor(who), words=words), dies=dies)
            self.at.clock.advance(timedelta(milliseconds=1))

    @rule(number=ANY, agent=AGENTS, dies=DIES)
    @precondition(lambda self: self.enquiries)
    def an_agent_accepts(self, number: int, agent: int, *, dies: int) -> None:
        before = self.pick(number)
        with self.refused_unless(before, TAKEABLE):
            self.do(lambda: self.at.accept(before.id, self.agents[agent]), dies=dies)

    @rule(number=ANY, dies=DIES)
    @precondition(lambda self: any(each.pending_offers for each in self.enquiries))
    def one_who_is_asked_answers(self, number: int, *, dies: int) -> None:
        offered = [each for each in self.enquiries if each.pending_offers]
        enquiry = offered[number % len(offered)]
        offer = enquiry.pending_offers[number % len(enquiry.pending_offers)]
        answer = self.at.reject if number % 3 == 0 else self.at.accept
        self.do(lambda: answer(enquiry.id, offer.agent_id), dies=dies)

    @rule(number=ANY, agent=AGENTS, dies=DIES)
    @precondition(lambda self: self.enquiries)
    def an_agent_rejects(self, number: int, agent: int, *, dies: int) -> None:
        before = self.pick(number)
        with self.refused_unless(before, {EnquiryStatus.OFFERED}):
            self.do(lambda: self.at.reject(before.id, self.agents[agent]), dies=dies)

    @rule(number=ANY, to=DESTINATIONS, dies=DIES)
    @precondition(lambda self: self.enquiries)
    def somebody_transfers(self, number: int, to: int, *, dies: int) -> None:
        before = self.pick(number)
        destination = [*self.agents, *self.teams, *self.bots, self.endpoint][to]
        with self.refused_unless(before, {*TAKEABLE, EnquiryStatus.ONGOING}):
            self.do(lambda: self.at.transfer(before.id, destination), dies=dies)

    @rule(number=ANY, dies=DIES)
    @precondition(lambda self: self.enquiries)
    def somebody_closes(self, number: int, *, dies: int) -> None:
        before = self.pick(number)
        with self.refused_unless(before, set(EnquiryStatus) - {EnquiryStatus.CLOSED}):
            self.do(lambda: self.at.close(before.id), dies=dies)

    @rule(number=ANY, dies=DIES)
    @precondition(lambda self: self.enquiries)
    def somebody_reopens(self, number: int, *, dies: int) -> None:
        before = self.pick(number)
        with self.refused_unless(before, {EnquiryStatus.CLOSED, EnquiryStatus.MISSED}):
            self.do(lambda: self.at.reopen(before.id), dies=dies)

    @rule(number=ANY, agent=AGENTS, dies=DIES)
    @precondition(lambda self: self.enquiries)
    def somebody_follows_up(self, number: int, agent: int, *, dies: int) -> None:
        before = self.pick(number)
        with self.refused_unless(before, {EnquiryStatus.MISSED}):
            self.do(lambda: self.at.follow_up(before.id, self.agents[agent]), dies=dies)

    @rule(who=VISITORS, agent=AGENTS, takeover=st.booleans(), dies=DIES)
    def an_agent_writes(
        self, who: tuple[int, int], agent: int, *, takeover: bool, dies: int
    ) -> None:
        def send() -> Awaitable[Any]:
            return self.at.send(*self.visitor(who), agent=self.agents[agent], takeover=takeover)

        refusals = (NotAssigneeError, IllegalTransitionError, ConflictError)
        with suppress(*refusals, *([InvalidFieldsError] if self.gone else [])):
            self.do(send, dies=dies)

    @rule(who=VISITORS, dies=DIES)
    def the_page_answers(self, who: tuple[int, int], *, dies: int) -> None:
        self.do(lambda: self.at.answer_in_page_inbox(*self.visitor(who)), dies=dies)

    @rule(who=VISITORS)
    def a_back_end_answers(self, who: tuple[int, int]) -> None:
        self.do(lambda: self.at.send(*self.visitor(who)))

    @rule(agent=AGENTS, state=PRESENCE, seconds=st.none() | st.integers(1, 120), dies=DIES)
    def an_agent_comes_or_goes(
        self, agent: int, state: str, seconds: int | None, *, dies: int
    ) -> None:
        expires = None if seconds is None else timedelta(seconds=seconds)
        self.do(lambda: self.at.presence(self.agents[agent], state, expires_in=expires), dies=dies)

    @rule(team=TEAMS, members=st.lists(AGENTS, max_size=3, unique=True), dies=DIES)
    def a_team_is_changed(self, team: int, members: list[int], *, dies: int) -> None:
        agents = [self.agents[each] for each in members]
        self.do(lambda: self.at.regroup(self.teams[team], agents), dies=dies)

    @rule(to=st.lists(st.integers(0, 10), min_size=1, max_size=4, unique=True), dies=DIES)
    def a_rule_is_changed(self, to: list[int], dies: int) -> None:
        everybody = [*self.agents, *self.teams, *self.bots]
        listed = [everybody[each] for each in to]
        self.do(lambda: self.at.route_anew(self.channels[0], *listed), dies=dies)

    @rule(dies=DIES)
    @precondition(lambda self: self.picture.now >= NOON + timedelta(minutes=20))
    def somebody_leaves_for_good(self, dies: int) -> None:
        self.do(lambda: self.at.dismiss(self.agents[3]), dies=dies)
        self.gone = True

    @rule(status=st.sampled_from(["paused", "active"]), dies=DIES)
    def the_endpoint_is_paused_or_goes_on(self, status: str, *, dies: int) -> None:
        self.do(lambda: self.at.switch(self.endpoint, status), dies=dies)

    @rule(seconds=st.sampled_from([1, 20, 30, 60, 61, 150, 600, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.at.clock.advance(timedelta(seconds=seconds))
        self.look()

    @rule()
    def what_we_said_has_left(self) -> None:
        self.do(self.at.send_all)

    @rule(dies=DIES_LATER)
    def what_is_due_happens(self, dies: int) -> None:
        async def catch_up() -> None:
            await self.at.catch_up()
            await self.at.timers()

        with capture_logs() as logs:
            self.do(catch_up, dies=dies)
        assert logs == []
        self.runner.run(forget_nobody(self.at))

    async def _all_things_end(self) -> None:
        """Let everybody go home: whatever waits for no person comes to its end."""
        at = self.at
        for agent in self.agents:
            await at.presence(agent, "offline")
        rounds = 0
        while (picture := await self._later()).live:
            rounds += 1
            assert rounds < 2 * CHANNELS, picture.live
            waiting = [each for each in picture.inside if each.status in TAKEABLE]
            # Without a rule it is for people to take, or to end.
            assert {each.channel_id for each in waiting} <= {self.channels[4]}
            for enquiry in waiting:
                await at.close(enquiry.id)
            for enquiry in picture.inside:
                if enquiry.conversation_id not in picture.answered:
                    await at.send(enquiry.channel_id, await self._visitor_of(enquiry))
            await at.send_all()
        assert await at.all("SELECT kind FROM timers WHERE account_id = :id", id=at.account) == []
        assert await at.all("SELECT 1 FROM dead_letters") == []

    async def _later(self) -> Picture:
        await self.at.advance(seconds=3601)
        return await keep_promises(self.at)

    async def _visitor_of(self, enquiry: Enquiry) -> str:
        statement = "SELECT source_contact_id FROM contacts WHERE id = :id"
        return str(await self.at.value(statement, id=enquiry.contact_id))


def tell_stories(database_url: str, *, stories: int, steps: int) -> None:
    with asyncio.Runner() as runner:
        machine = type(
            "Machine", (EnquiryMachine,), {"runner": runner, "database_url": database_url}
        )
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=stories,
                stateful_step_count=steps,
                deadline=None,
                # A story is short enough to be read, and each step of it takes a while.
                phases=[Phase.generate],
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


@pytest.mark.timeout(300)
def test_the_promises_hold_in_any_order(database_url: str) -> None:
    tell_stories(database_url, stories=15, steps=25)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_promises_hold_in_many_long_stories(database_url: str) -> None:
    tell_stories(database_url, stories=60, steps=60)
