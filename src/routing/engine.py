"""Decides who is offered an enquiry: from facts and a rule to a decision, and nothing else.

The same function serves live traffic, every dry run and the replay, so it reads no clock and no
table. What a decision saw and why it passed a destination over stays with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.contracts.moments import rfc3339
from routing.destinations import (
    ASKABLE,
    THERE,
    AgentFacts,
    BotFacts,
    Destination,
    Distribution,
    EndpointFacts,
    Standing,
    TeamFacts,
    Tried,
)
from routing.entries import Entry
from routing.rules import PERCENTAGE, Routing
from routing.shares import next_best, take_turn

_SHOWN_AS_AVAILABLE: Final = Standing.AVAILABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a decision depends on besides the rule.

    Attributes:
        at: The moment of the decision.
        destinations: By id; one that is missing is deleted.
        tried: Whom it was offered to before.
        first: An agent who is asked before the rule is.
        balances: Of the rule `percentage`: who is due how much; see `routing.shares`.
    """

    at: datetime
    destinations: Mapping[str, Destination]
    tried: Tried = field(default_factory=Tried)
    first: str | None = None
    balances: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OfferTo:
    """Ask these agents, and wait that long for an answer."""

    destination: AgentFacts | TeamFacts
    agent_ids: tuple[str, ...]
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class GiveTo:
    """Hand it over: this destination takes everything at once."""

    destination: BotFacts | EndpointFacts


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody is there, but cannot be asked now."""


@dataclass(frozen=True, slots=True)
class Miss:
    """Nobody will take it."""

    reason: str


NOBODY_THERE: Final = "nobody_there"
NOBODY_TOOK_IT: Final = "nobody_took_it"

Outcome = OfferTo | GiveTo | Wait | Miss


@dataclass(frozen=True, slots=True)
class Considered:
    """A destination that was looked at."""

    destination_id: str
    taken: bool
    reason: Standing


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with an enquiry, and why.

    Attributes:
        balances: Of the rule `percentage`, where a turn was taken: what to keep for the next one.
    """

    rule: str
    outcome: Outcome
    considered: tuple[Considered, ...]
    inputs: dict[str, Any]
    balances: dict[str, int] | None = None

    def as_json(self, *, routing_version: int | None) -> dict[str, Any]:
        """Return the assignment that an enquiry keeps; without a version, a draft's."""
        return {
            "rule": self.rule,
            "routing_version": routing_version,
            "inputs": self.inputs,
            "considered": [
                {
                    "destination_id": each.destination_id,
                    "taken": each.taken,
                    "reason": each.reason.value,
                }
                for each in self.considered
            ],
        }


@dataclass(frozen=True, slots=True)
class _Choice:
    entry: Entry
    balances: dict[str, int] | None = None


def decide(facts: Facts, routing: Routing) -> Decision:
    """Return what becomes of an enquiry that nobody has and nobody is asked about.

    Who is to be asked first is, where that can be. Else the rule chooses among those of its list
    that can be asked: the first (`alternative`, `time`), or whose turn it is (`percentage`). Idle
    agents can be asked where no active one can. When nobody can: it waits while somebody who was
    not asked yet is there, else it is missed.
    """
    hours, listed = routing.entries_at(facts.at)
    entries = list(_in_order(facts, routing, listed))
    standings = {each.destination_id: _standing(each, facts) for each in entries}
    choice = _choose(entries, standings, facts, routing)
    return Decision(
        rule=routing.rule,
        outcome=_outcome(choice, standings, facts),
        considered=tuple(_explain(entries, standings, choice)),
        inputs=_inputs(facts, entries, routing, hours),
        balances=None if choice is None else choice.balances,
    )


def ask(destination: Destination, entry: Entry, facts: Facts) -> OfferTo | GiveTo | None:
    """Return how one destination is asked; None where it cannot be."""
    if isinstance(destination, BotFacts | EndpointFacts):
        return GiveTo(destination)
    if isinstance(destination, AgentFacts):
        return OfferTo(destination, (destination.id,), entry.timeout)
    return _ask_team(destination, entry, facts)


def _in_order(facts: Facts, routing: Routing, listed: Sequence[Entry]) -> Iterator[Entry]:
    if facts.first is not None:
        yield Entry(facts.first, routing.timeout_of(facts.first))
    for entry in listed:
        if entry.destination_id != facts.first:
            yield entry


def _standing(entry: Entry, facts: Facts) -> Standing:
    destination = facts.destinations.get(entry.destination_id)
    if destination is None:
        return Standing.DELETED
    since = facts.tried.asked_since.get(entry.destination_id)
    if since is not None and since + entry.timeout <= facts.at:
        return Standing.TIMED_OUT
    return destination.standing(facts.tried)


def _choose(
    entries: Sequence[Entry],
    standings: Mapping[str, Standing],
    facts: Facts,
    routing: Routing,
) -> _Choice | None:
    wanted = _wanted(standings, facts)
    askable = [entry for entry in entries if standings[entry.destination_id] in wanted]
    if not askable:
        return None
    if askable[0].destination_id == facts.first or routing.rule != PERCENTAGE:
        return _Choice(askable[0])
    # Who was asked before the rule takes nobody's turn; the second whom the rule asks does not.
    if (facts.tried.how.keys() | facts.tried.asked_since.keys()) - {facts.first}:
        return _Choice(next_best(askable, facts.balances))
    return _Choice(*take_turn(askable, facts.balances))


def _wanted(standings: Mapping[str, Standing], facts: Facts) -> frozenset[Standing]:
    """Return the standings that are good enough: idle ones where nobody active is to be had."""
    active = any(
        standing is Standing.AVAILABLE
        and isinstance(facts.destinations[destination_id], AgentFacts | TeamFacts)
        for destination_id, standing in standings.items()
    )
    return frozenset({Standing.AVAILABLE}) if active else ASKABLE


def _outcome(choice: _Choice | None, standings: Mapping[str, Standing], facts: Facts) -> Outcome:
    if choice is not None:
        asked = ask(facts.destinations[choice.entry.destination_id], choice.entry, facts)
        assert asked is not None, "its standing says that it can be asked"
        return asked
    if any(standing in THERE for standing in standings.values()):
        return Wait()
    tried = facts.tried.how or facts.tried.asked_since
    return Miss(NOBODY_TOOK_IT if tried else NOBODY_THERE)


def _ask_team(team: TeamFacts, entry: Entry, facts: Facts) -> OfferTo | None:
    standings = {member.id: member.standing(facts.tried) for member in team.members}
    best = Standing.AVAILABLE if Standing.AVAILABLE in standings.values() else Standing.IDLE
    asked = [member.id for member in team.in_turn() if standings[member.id] is best]
    if not asked:
        return None
    since = facts.tried.asked_since.get(team.id, facts.at)
    left = entry.timeout - (facts.at - since)
    if team.distribution is Distribution.SIMULTANEOUS:
        return OfferTo(team, tuple(asked), left)
    return OfferTo(team, (asked[0],), min(team.agent_timeout, left))


def _explain(
    entries: Sequence[Entry], standings: Mapping[str, Standing], choice: _Choice | None
) -> Iterator[Considered]:
    for entry in entries:
        standing = standings[entry.destination_id]
        if choice is not None and entry.destination_id == choice.entry.destination_id:
            yield Considered(entry.destination_id, taken=True, reason=_SHOWN_AS_AVAILABLE)
        elif choice is not None and standing is Standing.AVAILABLE:
            yield Considered(entry.destination_id, taken=False, reason=Standing.NOT_REACHED)
        else:
            yield Considered(entry.destination_id, taken=False, reason=standing)


def _inputs(facts: Facts, entries: Sequence[Entry], routing: Routing, hours: str) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        "at": rfc3339(facts.at),
        "destinations": {
            entry.destination_id: facts.destinations[entry.destination_id].as_json()
            for entry in entries
            if entry.destination_id in facts.destinations
        },
        "tried": {**facts.tried.how},
        "first": facts.first,
    }
    if routing.timetable is not None:
        inputs["hours"] = hours
    if routing.rule == PERCENTAGE:
        inputs["balances"] = dict(facts.balances)
    return inputs
