"""Plays past enquiries through a draft of a routing, each as things stood at its moment.

What an enquiry's assignment saw then is taken as it was, and who refused it then refuses it again.
Destinations that were not looked at then are taken for available, as nobody knows how they stood.
Shares take their turns in the order of the enquiries. What an enquiry would have changed for the
next ones, such as how much an agent has, is left out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.domain import ids
from routing.destinations import (
    AgentFacts,
    BotFacts,
    Destination,
    Distribution,
    EndpointFacts,
    Presence,
    Standing,
    TeamFacts,
    Tried,
)
from routing.engine import Facts, GiveTo, OfferTo, decide
from routing.rules import Routing

# Who an enquiry goes to that is missed.
NOBODY: Final = None
# How long a single agent of a team is asked makes no difference to where an enquiry goes.
_ANY_TIMEOUT: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEnquiry:
    """What is known of an enquiry that was decided about.

    Attributes:
        opened_at: When it came.
        went_to: The destination that had it in the end; None where it was missed.
        assignment: What its last decision saw; None where no rule decided.
        refused_by: Agents who were asked and did not take it, besides those of whom the last
            decision knew.
        served_before_by: The agent of the same contact's enquiry before, where one had it.
        served_before_until: When that one ended.
    """

    opened_at: datetime
    went_to: str | None
    assignment: Mapping[str, Any] | None
    refused_by: frozenset[str]
    served_before_by: str | None = None
    served_before_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """How many enquiries a destination had, and would have.

    Attributes:
        destination_id: None for nobody.
        assumed: How many of those that it would have it has because nobody knows how it stood.
    """

    destination_id: str | None
    was: int
    would_be: int
    assumed: int


@dataclass(slots=True)
class Replay:
    """A draft, and what became of the enquiries that were played through it so far.

    Attributes:
        present: The destinations that the draft may choose, as they stand now.
    """

    routing: Routing
    present: Mapping[str, Destination]
    enquiries: int = 0
    _was: Counter[str | None] = field(default_factory=Counter)
    _would_be: Counter[str | None] = field(default_factory=Counter)
    _assumed: Counter[str | None] = field(default_factory=Counter)
    _balances: Mapping[str, int] = field(default_factory=dict)

    def play(self, enquiry: PastEnquiry) -> None:
        """Play the next enquiry, in the order in which they were opened."""
        seen = _Seen.of(enquiry)
        chosen = self._choose(enquiry, seen)
        self.enquiries += 1
        self._was[enquiry.went_to] += 1
        self._would_be[chosen] += 1
        if chosen is not NOBODY and chosen not in seen.destinations:
            self._assumed[chosen] += 1

    def differences(self) -> list[Difference]:
        """Return the difference for each destination, those that had or would have most first."""
        named = {*self._was, *self._would_be}
        found = [
            Difference(each, self._was[each], self._would_be[each], self._assumed[each])
            for each in named
        ]
        return sorted(
            found,
            key=lambda each: (
                each.destination_id is NOBODY,
                -max(each.was, each.would_be),
                each.destination_id or "",
            ),
        )

    def _choose(self, enquiry: PastEnquiry, seen: "_Seen") -> str | None:
        first = _first(enquiry, seen, self.routing)
        wanted = dict.fromkeys(filter(None, (first, *self.routing.destination_ids)))
        facts = Facts(
            at=seen.at,
            destinations=dict(seen.standings(wanted, self.present)),
            first=first,
            balances=self._balances,
        )
        refused_by = enquiry.refused_by | seen.refused_by
        while True:
            decision = decide(facts, self.routing)
            if decision.balances is not None:
                self._balances = decision.balances
            match decision.outcome:
                case OfferTo(destination, agent_ids):
                    asked = agent_ids
                case GiveTo(destination):
                    asked = (destination.id,)
                case _:
                    return NOBODY
            if not refused_by.issuperset(asked):
                return destination.id
            how = {**facts.tried.how, **dict.fromkeys(asked, Standing.REJECTED.value)}
            facts = replace(facts, tried=Tried(how), balances=self._balances)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What an enquiry's last decision saw; agents are here whether listed or in a team."""

    at: datetime
    first: str | None
    refused_by: frozenset[str]
    deleted: frozenset[str]
    destinations: Mapping[str, Destination]

    @classmethod
    def of(cls, enquiry: PastEnquiry) -> "_Seen":
        assignment = enquiry.assignment or {"inputs": {}, "considered": []}
        inputs = assignment["inputs"]
        destinations: dict[str, Destination] = {}
        for destination_id, told in inputs.get("destinations", {}).items():
            destination = _told(destination_id, told)
            destinations[destination_id] = destination
            if isinstance(destination, TeamFacts):
                destinations |= {member.id: member for member in destination.members}
        return cls(
            at=datetime.fromisoformat(inputs["at"]) if "at" in inputs else enquiry.opened_at,
            first=inputs.get("first"),
            refused_by=frozenset(_refusals(assignment, destinations)),
            deleted=frozenset(
                each["destination_id"]
                for each in assignment["considered"]
                if each["reason"] == Standing.DELETED
            ),
            destinations=destinations,
        )

    def standings(
        self, wanted: Iterable[str], present: Mapping[str, Destination]
    ) -> Iterator[tuple[str, Destination]]:
        """Yield destinations as they were seen, or else as one takes them to have been."""
        for destination_id in wanted:
            found = self.destinations.get(destination_id)
            if found is None and destination_id not in self.deleted:
                found = self._guess(destination_id, present.get(destination_id))
            if found is not None:
                yield destination_id, found

    def _guess(self, destination_id: str, now: Destination | None) -> Destination | None:
        match now:
            case AgentFacts():
                return self._agent(now)
            case TeamFacts():
                return replace(now, members=tuple(map(self._agent, now.members)))
            case EndpointFacts():
                return replace(now, active=True)
            case None if ids.is_id(ids.AGENT, destination_id):
                # Who is asked first need not be in the draft.
                return _somebody(destination_id)
            case _:
                return now

    def _agent(self, now: AgentFacts) -> AgentFacts:
        seen = self.destinations.get(now.id)
        if isinstance(seen, AgentFacts):
            return seen
        return replace(now, presence=Presence.ACTIVE, load=0)


def _somebody(agent_id: str) -> AgentFacts:
    return AgentFacts(
        id=agent_id,
        name="",
        presence=Presence.ACTIVE,
        capacity=1,
        load=0,
        serves_channel=True,
    )


def _told(destination_id: str, told: Mapping[str, Any]) -> Destination:
    """Return a destination as an assignment told of it."""
    name = told.get("name", "")
    if ids.is_id(ids.AGENT, destination_id):
        return AgentFacts(
            id=destination_id,
            name=name,
            presence=Presence(told["presence"]),
            capacity=told["capacity"],
            load=told["load"],
            serves_channel=told.get("serves_channel", True),
        )
    if ids.is_id(ids.TEAM, destination_id):
        members = (_told(each_id, each) for each_id, each in told["agents"].items())
        return TeamFacts(
            id=destination_id,
            name=name,
            distribution=Distribution(told["distribution"]),
            agent_timeout=_ANY_TIMEOUT,
            members=tuple(member for member in members if isinstance(member, AgentFacts)),
            last_asked=told["last_asked"],
        )
    if ids.is_id(ids.BOT, destination_id):
        return BotFacts(id=destination_id, name=name, version=told["version"])
    return EndpointFacts(id=destination_id, name=name, active=told["active"])


def _refusals(
    assignment: Mapping[str, Any], destinations: Mapping[str, Destination]
) -> Iterator[str]:
    yield from assignment["inputs"].get("tried", ())
    for considered in assignment["considered"]:
        team = destinations.get(considered["destination_id"])
        # A team's time can run out before each of its agents was asked.
        if isinstance(team, TeamFacts) and considered["reason"] == Standing.TIMED_OUT:
            yield from (member.id for member in team.members)


def _first(enquiry: PastEnquiry, seen: _Seen, routing: Routing) -> str | None:
    """Return whom the draft asks first; who wrote first, or was chosen by hand, stays so."""
    before, until = enquiry.served_before_by, enquiry.served_before_until
    if seen.first is not None and seen.first != before:
        return seen.first
    if before is None or until is None or routing.sticky_for is None:
        return None
    return before if seen.at < until + routing.sticky_for else None
