"""What decisions rest on: accounts with their places and destinations, as they stand.

A transaction reads each of these facts once, for all accounts and agents that it has locked, and
keeps them up with what it decides; what it decided is written together. So many decisions cost a
few statements, and each sees those before it.

Who makes one decision (a command, a timer that fires alone) has it written at once; who `gathers`
calls `finish` after the last one.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from gateway.db.timers import NewTimer, write_timers
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from routing.destinations import AgentFacts, BotFacts, Destination, EndpointFacts
from routing.enquiries import LIVE, Enquiry, EnquiryStatus, Offer
from routing.parties import (
    Agent,
    Named,
    count_inside,
    find_bots,
    find_endpoints,
    find_loads,
    lock_accounts,
    lock_agents,
    note_enquiries_ended,
)
from routing.repository import TimelineEntry, get_enquiries_of_many, save_enquiries
from routing.teams import Team, find_teams
from routing.turns import Turn, find_turns, save_turns
from routing.waiting import (
    find_first_queued,
    find_waiting,
    find_where_some_wait,
    tell_first_queued,
    tell_waiting,
)


class UnforeseenError(Exception):
    """A decision needs a lock that can be taken in order no more; it has to be made alone."""


@dataclass(frozen=True, slots=True)
class Share:
    """What an enquiry takes: a place of its account, a place in the line, and agents' capacity."""

    inside: bool
    queued: bool
    agents: Counter[str]

    @classmethod
    def of(cls, row: Enquiry) -> "Share":
        """Return what an enquiry takes as it stands."""
        agents = Counter(offer.agent_id for offer in row.pending_offers)
        if row.status is EnquiryStatus.ONGOING and row.agent_id is not None:
            agents[row.agent_id] += 1
        return cls(
            inside=row.status in LIVE and row.queued_at is None,
            queued=row.status is EnquiryStatus.OPEN and row.queued_at is not None,
            agents=agents,
        )

    @classmethod
    def none(cls) -> "Share":
        """Return what an enquiry takes that is not written yet."""
        return cls(inside=False, queued=False, agents=Counter())


@dataclass(slots=True, kw_only=True)
class Saved:
    """What arrows did to an enquiry, to be written.

    `cleared` are kinds of timers that its conversation has no more.
    """

    offers: Iterable[Offer]
    timeline: Iterable[TimelineEntry]
    timers: Collection[NewTimer]
    cleared: Collection[str]
    ended_with: str | None


@dataclass(slots=True)
class _Unwritten:
    rows: dict[str, Enquiry] = field(default_factory=dict)
    offers: dict[str, tuple[Enquiry, Offer]] = field(default_factory=dict)
    timeline: list[tuple[Enquiry, TimelineEntry]] = field(default_factory=list)
    ended: dict[Named, None] = field(default_factory=dict)
    turns: dict[Named, Turn] = field(default_factory=dict)


class Hall:
    """The accounts that one transaction decides in.

    Attributes:
        work: The transaction.
        gathers: True where somebody calls `finish` after the last of several decisions.
        limits: How many contacts each locked account may serve at once.
        agents: The locked agents that exist, by id, deleted ones too.
        teams: Those of the destinations that were asked for; their members are locked.
        bots: Those of the destinations that were asked for.
        endpoints: Those of the destinations that were asked for.
    """

    def __init__(self, work: UnitOfWork, *, gathers: bool = False) -> None:
        self.work = work
        self.gathers = gathers
        self.limits: dict[str, int] = {}
        self.agents: dict[str, Agent] = {}
        self.teams: dict[str, Team] = {}
        self.bots: dict[str, BotFacts] = {}
        self.endpoints: dict[str, EndpointFacts] = {}
        self._asked_for: set[Named] = set()
        self._rows: dict[str, Enquiry] = {}
        self._inside: dict[str, int] = {}
        self._queues: dict[str, str | None] = {}
        self._loads: dict[str, int] = {}
        self._turns: dict[Named, Turn] = {}
        self._unwritten = _Unwritten()
        self._timers: dict[tuple[str, str], NewTimer] = {}
        self._cleared: dict[tuple[str, str, str], None] = {}
        self._freed_places: set[str] = set()
        self._freed_agents: set[str] = set()

    async def lock(self, account_ids: Collection[str], destinations: Collection[Named]) -> None:
        """Lock accounts, then the agents among destinations and in teams, each in order of ids.

        Bots and endpoints are read. What is no destination's id is passed over.

        Raises:
            UnforeseenError: Others are locked already, and these are not among them.
        """
        accounts = set(account_ids) - self.limits.keys()
        wanted = set(destinations) - self._asked_for
        if (accounts and self.limits) or (wanted and self._asked_for):
            raise UnforeseenError
        if accounts:
            self.limits = await lock_accounts(self.work.connection, accounts)
        if wanted:
            self._asked_for = wanted
            await self._read(wanted)

    async def fetch(self, pairs: Collection[Named]) -> None:
        """Read enquiries, each named with its account, whose conversations are locked."""
        missing = [(account_id, id_) for account_id, id_ in pairs if id_ not in self._rows]
        self._rows |= await get_enquiries_of_many(self.work.connection, missing)

    async def enquiry(self, account_id: str, enquiry_id: str) -> Enquiry | None:
        """Return an enquiry of a locked conversation, as this transaction has left it."""
        await self.fetch([(account_id, enquiry_id)])
        row = self._rows.get(enquiry_id)
        return None if row is None or row.account_id != account_id else row

    def known(self, enquiry_id: str) -> Enquiry | None:
        """Return an enquiry that was read or made by this transaction."""
        return self._rows.get(enquiry_id)

    async def inside(self, account_id: str, *, besides: Share) -> int:
        """Return how many places of a locked account are taken, one enquiry left out."""
        if account_id not in self._inside:
            await self.write()
            self._inside = await count_inside(self.work.connection, self.limits)
        return self._inside[account_id] - besides.inside

    async def first_queued(self, account_id: str) -> str | None:
        """Return the enquiry of a locked account that waits outside longest."""
        if account_id not in self._queues:
            await self.write()
            missing = self.limits.keys() - self._queues.keys()
            found = await find_first_queued(self.work.connection, missing)
            self._queues |= {each: found.get(each) for each in missing}
        return self._queues[account_id]

    async def load(self, agent: Agent, *, besides: Share) -> int:
        """Return how much a locked agent has, ongoing or offered, one enquiry left out."""
        if agent.id not in self._loads:
            await self.write()
            wanted = [(each.account_id, each.id) for each in self.agents.values()]
            self._loads = await find_loads(self.work.connection, wanted)
        return self._loads[agent.id] - besides.agents[agent.id]

    async def turn(self, account_id: str, subject_id: str) -> Turn:
        """Return whose turn it is in a channel of a locked account, or in a team that was read."""
        if (account_id, subject_id) not in self._turns:
            teams = {(team.account_id, team.id) for team in self.teams.values()}
            missing = {(account_id, subject_id), *teams} - self._turns.keys()
            self._turns |= await find_turns(self.work.connection, missing)
        return self._turns[account_id, subject_id]

    def take_turn(self, account_id: str, subject_id: str, turn: Turn) -> None:
        """Note whose turn it is from now on."""
        self._turns[account_id, subject_id] = turn
        self._unwritten.turns[account_id, subject_id] = turn

    async def destinations(
        self, account_id: str, wanted: Iterable[str], *, channel_id: str, besides: Share
    ) -> dict[str, Destination]:
        """Return those destinations that exist, by id, as a decision about an enquiry sees them.

        All of them were named to `lock`; `besides` is what the enquiry takes itself.
        """
        found: dict[str, Destination] = {}
        for destination_id in wanted:
            facts = await self._facts(account_id, destination_id, channel_id, besides)
            if facts is not None:
                found[destination_id] = facts
        return found

    def save(self, row: Enquiry, before: Share, saved: Saved) -> Share:
        """Take what was done to an enquiry, to write it; return what it takes now.

        `before` is what it took when it was read or saved last.
        """
        unwritten = self._unwritten
        self._rows[row.id] = unwritten.rows[row.id] = row
        unwritten.offers |= {offer.id: (row, offer) for offer in saved.offers}
        unwritten.timeline += [(row, line) for line in saved.timeline]
        if saved.ended_with is not None:
            unwritten.ended[row.account_id, saved.ended_with] = None
            agent = self.agents.get(saved.ended_with)
            if agent is not None:
                self.agents[agent.id] = replace(agent, last_enquiry_ended_at=self.work.now)
        for kind in saved.cleared:
            self._timers.pop((row.conversation_id, kind), None)
            self._cleared[row.account_id, row.conversation_id, kind] = None
        for timer in saved.timers:
            self._timers[row.conversation_id, timer.kind] = timer
        after = Share.of(row)
        self._recount(row, before, after)
        return after

    def free(self, account_id: str, *, place: bool, agents: Iterable[str]) -> None:
        """Note that others may have a place, or agents who have more room than before."""
        if place:
            self._freed_places.add(account_id)
        self._freed_agents |= self.agents.keys() & set(agents)

    async def write(self) -> None:
        """Write what was decided so far; before anything that reads it back."""
        unwritten, self._unwritten = self._unwritten, _Unwritten()
        await save_enquiries(
            self.work.connection,
            unwritten.rows.values(),
            offers=unwritten.offers.values(),
            timeline=unwritten.timeline,
        )
        await note_enquiries_ended(self.work.connection, unwritten.ended, at=self.work.now)
        await save_turns(self.work.connection, unwritten.turns)
        timers, self._timers = self._timers, {}
        cleared, self._cleared = self._cleared, {}
        await write_timers(self.work, set_=timers.values(), cleared=cleared.keys())

    async def finish(self) -> None:
        """Write everything, and tell others of the room that was left."""
        await self.write()
        places, self._freed_places = self._freed_places, set()
        if places:
            await tell_first_queued(self.work, {each: self.limits[each] for each in places})
        freed, self._freed_agents = self._freed_agents, set()
        await offer_room(self.work, [self.agents[agent_id] for agent_id in sorted(freed)])

    async def _read(self, wanted: Collection[Named]) -> None:
        connection = self.work.connection
        self.teams = await find_teams(connection, _of_kind(ids.TEAM, wanted))
        members = {
            (team.account_id, agent_id)
            for team in self.teams.values()
            for agent_id in team.agent_ids
        }
        agents = members.union(_of_kind(ids.AGENT, wanted))
        self.agents = await lock_agents(connection, agents)
        self.bots = await find_bots(connection, _of_kind(ids.BOT, wanted))
        self.endpoints = await find_endpoints(connection, _of_kind(ids.ENDPOINT, wanted))

    async def _facts(
        self, account_id: str, destination_id: str, channel_id: str, besides: Share
    ) -> Destination | None:
        agent = self.agents.get(destination_id)
        if agent is not None:
            return await self._agent_facts(agent, channel_id, besides)
        team = self.teams.get(destination_id)
        if team is None:
            return self.bots.get(destination_id) or self.endpoints.get(destination_id)
        members = [self.agents[each] for each in team.agent_ids if each in self.agents]
        facts = [await self._agent_facts(each, channel_id, besides) for each in members]
        turn = await self.turn(account_id, team.id)
        return team.facts(filter(None, facts), last_asked=turn.last_asked)

    async def _agent_facts(
        self, agent: Agent, channel_id: str, besides: Share
    ) -> AgentFacts | None:
        if agent.deleted_at is not None:
            return None
        load = await self.load(agent, besides=besides)
        return agent.facts(channel_id=channel_id, at=self.work.now, load=load)

    def _recount(self, row: Enquiry, before: Share, after: Share) -> None:
        account_id = row.account_id
        if account_id in self._inside:
            self._inside[account_id] += after.inside - before.inside
        for agent_id in before.agents.keys() | after.agents.keys():
            if agent_id in self._loads:
                self._loads[agent_id] += after.agents[agent_id] - before.agents[agent_id]
        if account_id in self._queues:
            if before.queued and not after.queued:
                # Who is next, the database knows.
                del self._queues[account_id]
            elif after.queued and self._queues[account_id] is None:
                self._queues[account_id] = row.id


async def offer_room(work: UnitOfWork, agents: Collection[Agent]) -> None:
    """Have as many enquiries considered as these agents, who are locked, have room for."""
    asked = [agent for agent in agents if agent.can_be_asked(work.now)]
    if not asked:
        return
    # Most of the time nobody waits, and how much the agents have does not matter.
    waited_in = await find_where_some_wait(work.connection, {agent.account_id for agent in asked})
    for agent in asked:
        if agent.account_id not in waited_in:
            continue
        waiting = await find_waiting(
            work.connection,
            agent.account_id,
            agent.id,
            channel_ids=agent.channel_ids,
            limit=agent.capacity,
        )
        if waiting:
            loads = await find_loads(work.connection, [(agent.account_id, agent.id)])
            room = max(0, agent.capacity - loads.get(agent.id, 0))
            await tell_waiting(work, agent.account_id, agent.id, waiting[:room])


def _of_kind(prefix: str, named: Iterable[Named]) -> set[Named]:
    return {each for each in named if ids.is_id(prefix, each[1])}
