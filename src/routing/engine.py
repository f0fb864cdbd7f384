"""Decides who is offered an enquiry: from facts and a rule to a decision, and nothing else.

The same function serves live traffic and every dry run, so it reads no clock and no table. What a
decision saw and why it passed a destination over stays with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from gateway.contracts.moments import rfc3339
from routing.rules import Entry, Routing


class Presence(StrEnum):
    """Whether an agent is at work."""

    ACTIVE = "active"
    BUSY = "busy"
    IDLE = "idle"
    OFFLINE = "offline"


class Standing(StrEnum):
    """Why a destination is, or is not, asked."""

    AVAILABLE = "available"
    # At work but away from the desk: asked where nobody active can be.
    IDLE = "idle"
    BUSY = "busy"
    FULL = "full"
    OFFLINE = "offline"
    OTHER_CHANNEL = "other_channel"
    PAUSED = "paused"
    DELETED = "deleted"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"
    # Somebody before it in the list was asked.
    NOT_REACHED = "not_reached"


_ASKABLE: Final = frozenset({Standing.AVAILABLE, Standing.IDLE})
# Worth waiting for: there, and not asked yet.
_THERE: Final = frozenset({Standing.AVAILABLE, Standing.IDLE, Standing.BUSY, Standing.FULL})


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFacts:
    """An agent as a decision sees one.

    Attributes:
        presence: The presence now, an expired heartbeat counting as offline.
        load: Ongoing enquiries and pending offers, the enquiry in question left out.
        serves_channel: True for agents of the enquiry's channel, and of every channel.
    """

    id: str
    name: str
    presence: Presence
    capacity: int
    load: int
    serves_channel: bool

    @property
    def standing(self) -> Standing:
        """Whether the agent can be asked, what was tried before left out."""
        if not self.serves_channel:
            return Standing.OTHER_CHANNEL
        if self.presence is Presence.OFFLINE:
            return Standing.OFFLINE
        if self.presence is Presence.BUSY:
            return Standing.BUSY
        if self.load >= self.capacity:
            return Standing.FULL
        return Standing.IDLE if self.presence is Presence.IDLE else Standing.AVAILABLE

    def as_json(self) -> dict[str, Any]:
        """Return what an explanation says of the agent."""
        return {"presence": self.presence, "load": self.load, "capacity": self.capacity}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFacts:
    """An endpoint as a decision sees one."""

    id: str
    name: str
    active: bool

    @property
    def standing(self) -> Standing:
        """Whether it takes enquiries."""
        return Standing.AVAILABLE if self.active else Standing.PAUSED

    def as_json(self) -> dict[str, Any]:
        """Return what an explanation says of the endpoint."""
        return {"active": self.active}


Destination = AgentFacts | EndpointFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a decision depends on besides the rule.

    Attributes:
        at: The moment of the decision.
        destinations: By id; one that is missing is deleted.
        tried: How the offer to a destination ended: `rejected` or `timed_out`.
        first: An agent who is asked before the rule is.
    """

    at: datetime
    destinations: Mapping[str, Destination]
    tried: Mapping[str, str]
    first: str | None = None


@dataclass(frozen=True, slots=True)
class OfferTo:
    """Ask these agents, and wait that long for an answer."""

    destination: Destination
    agent_ids: tuple[str, ...]
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class GiveTo:
    """Hand it over: this destination takes everything at once."""

    destination: EndpointFacts


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
    """What to do with an enquiry, and why."""

    rule: str
    outcome: Outcome
    considered: tuple[Considered, ...]
    inputs: dict[str, Any]

    def as_json(self, *, routing_version: int) -> dict[str, Any]:
        """Return the assignment that an enquiry keeps."""
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


def decide(facts: Facts, routing: Routing) -> Decision:
    """Return what becomes of an enquiry that nobody has and nobody is asked about.

    The first destination of the list that can be asked is asked. Idle agents can be where no active
    one can. When nobody can: wait while somebody who was not asked yet is there, else it is missed.
    """
    entries = list(_in_order(facts, routing))
    standings = [_standing(entry.destination_id, facts) for entry in entries]
    chosen = _choose(entries, standings, facts)
    return Decision(
        rule=routing.rule,
        outcome=_outcome(chosen, entries, standings, facts),
        considered=tuple(_explain(entries, standings, chosen)),
        inputs=_inputs(facts, entries),
    )


def _in_order(facts: Facts, routing: Routing) -> Iterator[Entry]:
    if facts.first is not None:
        yield Entry(facts.first, routing.timeout_of(facts.first))
    for entry in routing.entries:
        if entry.destination_id != facts.first:
            yield entry


def _standing(destination_id: str, facts: Facts) -> Standing:
    destination = facts.destinations.get(destination_id)
    if destination is None:
        return Standing.DELETED
    if destination_id in facts.tried:
        return Standing(facts.tried[destination_id])
    return destination.standing


def _choose(entries: Sequence[Entry], standings: Sequence[Standing], facts: Facts) -> int | None:
    nobody_active = not any(
        standing is Standing.AVAILABLE
        and isinstance(facts.destinations[entry.destination_id], AgentFacts)
        for entry, standing in zip(entries, standings, strict=True)
    )
    for place, standing in enumerate(standings):
        if standing is Standing.AVAILABLE or (standing is Standing.IDLE and nobody_active):
            return place
    return None


def _outcome(
    chosen: int | None, entries: Sequence[Entry], standings: Sequence[Standing], facts: Facts
) -> Outcome:
    if chosen is not None:
        destination = facts.destinations[entries[chosen].destination_id]
        if isinstance(destination, EndpointFacts):
            return GiveTo(destination)
        return OfferTo(destination, (destination.id,), entries[chosen].timeout)
    if any(standing in _THERE for standing in standings):
        return Wait()
    return Miss(NOBODY_TOOK_IT if facts.tried else NOBODY_THERE)


def _explain(
    entries: Sequence[Entry], standings: Sequence[Standing], chosen: int | None
) -> Iterator[Considered]:
    for place, (entry, standing) in enumerate(zip(entries, standings, strict=True)):
        if place == chosen:
            yield Considered(entry.destination_id, taken=True, reason=Standing.AVAILABLE)
        elif chosen is not None and place > chosen and standing in _ASKABLE:
            yield Considered(entry.destination_id, taken=False, reason=Standing.NOT_REACHED)
        else:
            yield Considered(entry.destination_id, taken=False, reason=standing)


def _inputs(facts: Facts, entries: Sequence[Entry]) -> dict[str, Any]:
    return {
        "at": rfc3339(facts.at),
        "destinations": {
            entry.destination_id: facts.destinations[entry.destination_id].as_json()
            for entry in entries
            if entry.destination_id in facts.destinations
        },
        "tried": dict(facts.tried),
        "first": facts.first,
    }
