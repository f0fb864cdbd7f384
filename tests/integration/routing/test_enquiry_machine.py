"""Contacts, agents, back ends, time and death, in any order, against one account.

After every step the database is asked whether the promises hold.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.support.desk import Desk, desk

from gateway.db.timers import Timer
from gateway.errors import (
    ConflictError,
    IllegalTransitionError,
    NotAssigneeError,
)
from routing.enquiries import ARROWS, LIVE, Enquiry, EnquiryStatus
from routing.resources import enquiry_resource

# Small, so that everything is soon full.
LIMIT = 3
CAPACITY = 1
VISITORS = st.tuples(st.sampled_from([0, 0, 0, 1, 2]), st.integers(0, 3))
AGENTS = st.integers(0, 2)
ANY = st.integers(0, 1_000)
PRESENCE = st.sampled_from(["active", "active", "idle", "busy", "offline"])
TAKEABLE = {EnquiryStatus.OPEN, EnquiryStatus.OFFERED}


class KilledError(BaseException):
    """The process is gone."""


async def die(point: str, _timer: Timer) -> None:
    if point == "before_commit":
        raise KilledError


class EnquiryMachine(RuleBasedStateMachine):
    """One account with three agents and three channels: two with rules, one without."""

    runner: asyncio.Runner
    database_url: str

    def __init__(self) -> None:
        super().__init__()
        self.stack = AsyncExitStack()
        self.agents: list[str] = []
        self.channels: list[str] = []
        # Taken up by hand or by the Page's inbox, whatever room there was.
        self.beyond: set[str] = set()
        self.settled = False

    @initialize()
    def open(self) -> None:
        self.do(self._open())

    async def _open(self) -> None:
        self.at: Desk = await self.stack.enter_async_context(
            desk(self.database_url, pool=2, limit=LIMIT)
        )
        self.agents = [await self.at.agent(capacity=CAPACITY) for _ in range(3)]
        ada, ben, cleo = self.agents
        self.channels = [
            await self.at.channel(ada, ben, waiting_limit=150),
            await self.at.channel(ben, cleo, closed_enquiry_policy="never"),
            await self.at.channel(),
        ]

    def teardown(self) -> None:
        if self.agents:
            self.do(self._all_things_end())
            self.do(self.at.execute("TRUNCATE timers"))
        self.do(self.stack.aclose())

    def do(self, what: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await what

        self.settled = False
        return self.runner.run(awaited())

    def visitor(self, who: tuple[int, int]) -> tuple[str, str]:
        channel, number = who
        return self.channels[channel], f"v{number}"

    def enquiries(self) -> list[Enquiry]:
        async def read() -> list[Enquiry]:
            rows = await self.at.all(
                "SELECT id FROM enquiries WHERE account_id = :id ORDER BY id", id=self.at.account
            )
            return [await self.at.enquiry(row.id) for row in rows]

        return list(self.runner.run(read()))

    def pick(self, number: int) -> Enquiry:
        """Return an enquiry, more often than not one that lives."""
        enquiries = self.enquiries()
        live = [each for each in enquiries if each.status in LIVE]
        among = live if live and number % 4 else enquiries
        return among[number % len(among)]

    def command(
        self,
        before: Enquiry,
        states: set[EnquiryStatus],
        act: Callable[[], Awaitable[Enquiry]],
    ) -> None:
        """Make a move, which must be refused in all states but these."""
        try:
            self.do(act())
        except IllegalTransitionError as error:
            refused: ConflictError | None = error
        except ConflictError as error:
            # No room, or another enquiry of the conversation is alive.
            refused = error
        else:
            refused = None
        if isinstance(refused, IllegalTransitionError):
            # A queued enquiry can only be closed, and only who was asked can reject.
            waits = before.queued_at is not None or before.pending_offers
            assert before.status not in states or waits
            assert refused.extra["state"] == before.status
        else:
            assert before.status in states

    @rule(whoever=st.lists(VISITORS, min_size=1, max_size=4, unique=True))
    def contacts_write(self, whoever: list[tuple[int, int]]) -> None:
        for who in whoever:
            before = {each.id: each.status for each in self.enquiries()}
            enquiry_id = self.do(self.at.say(*self.visitor(who)))
            if before.get(enquiry_id) is EnquiryStatus.FOLLOWED_UP:
                self.beyond.add(enquiry_id)
            self.at.clock.advance(timedelta(milliseconds=1))

    @rule(number=ANY, agent=AGENTS)
    @precondition(lambda self: self.enquiries())
    def an_agent_accepts(self, number: int, agent: int) -> None:
        before = self.pick(number)
        self.command(before, TAKEABLE, lambda: self.at.accept(before.id, self.agents[agent]))

    @rule(number=ANY, agent=AGENTS)
    @precondition(lambda self: self.enquiries())
    def an_agent_rejects(self, number: int, agent: int) -> None:
        before = self.pick(number)
        offered = {EnquiryStatus.OFFERED}
        self.command(before, offered, lambda: self.at.reject(before.id, self.agents[agent]))

    @rule(number=ANY, agent=AGENTS)
    @precondition(lambda self: self.enquiries())
    def somebody_transfers(self, number: int, agent: int) -> None:
        before = self.pick(number)
        states = {*TAKEABLE, EnquiryStatus.ONGOING}
        self.command(before, states, lambda: self.at.transfer(before.id, self.agents[agent]))

    @rule(number=ANY)
    @precondition(lambda self: self.enquiries())
    def somebody_closes(self, number: int) -> None:
        before = self.pick(number)
        states = set(EnquiryStatus) - {EnquiryStatus.CLOSED}
        self.command(before, states, lambda: self.at.close(before.id))

    @rule(number=ANY)
    @precondition(lambda self: self.enquiries())
    def somebody_reopens(self, number: int) -> None:
        before = self.pick(number)
        states = {EnquiryStatus.CLOSED, EnquiryStatus.MISSED}
        self.command(before, states, lambda: self.at.reopen(before.id))

    @rule(number=ANY, agent=AGENTS)
    @precondition(lambda self: self.enquiries())
    def somebody_follows_up(self, number: int, agent: int) -> None:
        before = self.pick(number)
        missed = {EnquiryStatus.MISSED}
        self.command(before, missed, lambda: self.at.follow_up(before.id, self.agents[agent]))

    @rule(who=VISITORS, agent=AGENTS, takeover=st.booleans())
    def an_agent_writes(self, who: tuple[int, int], agent: int, *, takeover: bool) -> None:
        with suppress(NotAssigneeError, IllegalTransitionError, ConflictError):
            self.do(self.at.send(*self.visitor(who), agent=self.agents[agent], takeover=takeover))

    @rule(who=VISITORS)
    def the_page_answers(self, who: tuple[int, int]) -> None:
        before = {each.id for each in self.enquiries() if each.queued_at is not None}
        self.do(self.at.answer_in_page_inbox(*self.visitor(who)))
        self.beyond |= {each.id for each in self.enquiries() if each.queued_at is None} & before

    @rule(agent=AGENTS, state=PRESENCE, seconds=st.none() | st.integers(1, 120))
    def an_agent_comes_or_goes(self, agent: int, state: str, seconds: int | None) -> None:
        expires = None if seconds is None else timedelta(seconds=seconds)
        self.do(self.at.presence(self.agents[agent], state, expires_in=expires))

    @rule(seconds=st.sampled_from([1, 30, 60, 61, 150, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.do(self.at.advance(seconds=seconds))
        self.settled = True

    @rule()
    def a_router_dies(self) -> None:
        with suppress(KilledError):
            self.do(self.at.worker(at=die).run_due())

    @rule()
    def what_is_due_happens(self) -> None:
        self.do(self.at.timers())
        self.settled = True

    @invariant()
    def offers_fit_the_state(self) -> None:
        for enquiry in self.enquiries():
            offered = enquiry.status is EnquiryStatus.OFFERED
            assert bool(enquiry.pending_offers) == offered
            if enquiry.status is EnquiryStatus.OPEN:
                assert (enquiry.agent_id, enquiry.destination) == (None, None)

    @invariant()
    def a_conversation_has_one_at_a_time(self) -> None:
        live = [each.conversation_id for each in self.enquiries() if each.status in LIVE]
        assert len(set(live)) == len(live)

    @invariant()
    def nobody_has_more_than_fits(self) -> None:
        held: dict[str, int] = {}
        for enquiry in self.enquiries():
            taken = [offer.agent_id for offer in enquiry.pending_offers]
            if enquiry.status is EnquiryStatus.ONGOING and enquiry.agent_id is not None:
                taken.append(enquiry.agent_id)
            if enquiry.id not in self.beyond:
                for agent in taken:
                    held[agent] = held.get(agent, 0) + 1
        assert all(count <= CAPACITY for count in held.values()), held

    @invariant()
    def the_account_serves_no_more_than_it_may(self) -> None:
        inside = [
            each
            for each in self.enquiries()
            if each.status in LIVE and each.queued_at is None and each.id not in self.beyond
        ]
        assert len(inside) <= LIMIT

    @invariant()
    def whatever_does_not_wait_for_a_person_has_a_timer(self) -> None:
        if not self.agents:
            return
        rows = self.runner.run(
            self.at_all("SELECT conversation_id, kind FROM timers WHERE account_id = :id")
        )
        timers: dict[str, set[str]] = {}
        for row in rows:
            timers.setdefault(row.conversation_id, set()).add(row.kind)
        inside = [e for e in self.enquiries() if e.status in LIVE and e.queued_at is None]
        queue = [e for e in self.enquiries() if e.status in LIVE and e.queued_at is not None]
        for enquiry in inside:
            has = timers.get(enquiry.conversation_id, set())
            routed = enquiry.channel_id != self.channels[2]
            if enquiry.status is EnquiryStatus.OFFERED:
                assert "offer" in has
            if routed and enquiry.status in TAKEABLE:
                assert "waiting" in has
        if queue and len(inside) < LIMIT:
            first = min(queue, key=lambda each: (each.queued_at, each.id))
            assert "admit" in timers.get(first.conversation_id, set())

    @invariant()
    def once_settled_nobody_waits_for_who_has_room(self) -> None:
        if not self.settled:
            return
        enquiries = self.enquiries()
        now = self.at.clock.now()
        rows = self.runner.run(
            self.at_all(
                "SELECT id, presence, presence_expires_at FROM agents WHERE account_id = :id"
            )
        )
        for row in rows:
            expired = row.presence_expires_at is not None and row.presence_expires_at <= now
            load = sum(
                (each.status is EnquiryStatus.ONGOING and each.agent_id == row.id)
                + sum(offer.agent_id == row.id for offer in each.pending_offers)
                for each in enquiries
            )
            if row.presence != "active" or expired or load >= CAPACITY:
                continue
            for enquiry in enquiries:
                waits = enquiry.status is EnquiryStatus.OPEN and enquiry.queued_at is None
                listed = self.listed(enquiry, row.id)
                assert not (waits and listed), (enquiry, row)

    @invariant()
    def events_and_timeline_agree_with_the_row(self) -> None:
        for enquiry in self.enquiries():
            events = self.runner.run(self.at.events(enquiry.id))
            timeline = self.runner.run(self.at.timeline(enquiry.id))
            assert [event["type"] for event in events] == timeline
            shown = events[-1]["enquiry"] | {"first_response_at": None}
            assert shown == enquiry_resource(enquiry) | {
                "first_response_at": None,
                "assignment": shown["assignment"],
            }
            states = [EnquiryStatus(event["enquiry"]["status"]) for event in events]
            assert states[0] is EnquiryStatus.OPEN
            for source, target in itertools.pairwise(states):
                assert source is target or target in ARROWS[source]

    def at_all(self, statement: str) -> Any:
        return self.at.all(statement, id=self.at.account)

    def listed(self, enquiry: Enquiry, agent: str) -> bool:
        ada, ben, cleo = self.agents
        lists = {self.channels[0]: (ada, ben), self.channels[1]: (ben, cleo)}
        return agent in lists.get(enquiry.channel_id, ()) and agent not in enquiry.progress.tried

    async def _all_things_end(self) -> None:
        """Let agents and contacts go home: whatever waits for no person comes to its end."""
        for agent in self.agents:
            await self.at.presence(agent, "offline")
        for _ in range(6):
            await self.at.advance(seconds=200)
        for row in await self.at.all(
            "SELECT status, queued_at, channel_id FROM enquiries WHERE account_id = :id",
            id=self.at.account,
        ):
            if row.channel_id != self.channels[2] and row.queued_at is None:
                assert row.status not in ("open", "offered")
        assert await self.at.all("SELECT 1 FROM dead_letters") == []


# Twelve long stories; how long they take is for the machine to say.
@pytest.mark.timeout(300)
def test_the_promises_hold_in_any_order(database_url: str) -> None:
    with asyncio.Runner() as runner:
        machine = type(
            "Machine", (EnquiryMachine,), {"runner": runner, "database_url": database_url}
        )
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=12,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
