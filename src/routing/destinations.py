"""Who may take an enquiry, as a decision sees them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final


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
    HANDED_OVER = "handed_over"
    # A team of which nobody is left in the account.
    EMPTY = "empty"
    # Another one was asked.
    NOT_REACHED = "not_reached"


ASKABLE: Final = frozenset({Standing.AVAILABLE, Standing.IDLE})
# Worth waiting for: there, and not asked yet.
THERE: Final = frozenset({Standing.AVAILABLE, Standing.IDLE, Standing.BUSY, Standing.FULL})
# What a team of several is, is what the most willing of them is.
_MOST_WILLING: Final = (
    Standing.AVAILABLE,
    Standing.IDLE,
    Standing.BUSY,
    Standing.FULL,
    Standing.TIMED_OUT,
    Standing.REJECTED,
    Standing.OFFLINE,
    Standing.OTHER_CHANNEL,
)

# Every decision asks how each agent stands: names of this module are found fastest.
_ACTIVE: Final = Presence.ACTIVE
_IDLE: Final = Presence.IDLE
_BUSY: Final = Presence.BUSY
_STANDS_AVAILABLE: Final = Standing.AVAILABLE
_STANDS_IDLE: Final = Standing.IDLE
_STANDS_BUSY: Final = Standing.BUSY
_STANDS_FULL: Final = Standing.FULL
_STANDS_OFFLINE: Final = Standing.OFFLINE


class Distribution(StrEnum):
    """How a team shares what it is asked."""

    SIMULTANEOUS = "simultaneous"
    FIXED_ORDER = "fixed_order"
    ROUND_ROBIN = "round_robin"
    MOST_IDLE = "most_idle"


@dataclass(frozen=True, slots=True)
class Tried:
    """Whom an enquiry was offered to since it was last routed anew, without being taken.

    Attributes:
        how: Agents, bots and endpoints: `rejected`, `timed_out` or `handed_over`. An agent is asked
            once, whether alone or as one of several teams.
        asked_since: When a team was first asked.
    """

    how: Mapping[str, str] = field(default_factory=dict)
    asked_since: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFacts:
    """An agent as a decision sees one.

    Attributes:
        presence: The presence now, an expired heartbeat counting as offline.
        load: Ongoing enquiries and pending offers, the enquiry in question left out.
        serves_channel: True for agents of the enquiry's channel, and of every channel.
        last_ended_at: When the last enquiry ended that the agent had, if there was one.
    """

    id: str
    name: str
    presence: Presence
    capacity: int
    load: int
    serves_channel: bool
    last_ended_at: datetime | None = None

    def standing(self, tried: Tried) -> Standing:
        """Say whether the agent can be asked."""
        if self.id in tried.how:
            return Standing(tried.how[self.id])
        if not self.serves_channel:
            return Standing.OTHER_CHANNEL
        if self.presence is not _ACTIVE and self.presence is not _IDLE:
            return _STANDS_BUSY if self.presence is _BUSY else _STANDS_OFFLINE
        if self.load >= self.capacity:
            return _STANDS_FULL
        return _STANDS_AVAILABLE if self.presence is _ACTIVE else _STANDS_IDLE

    def as_json(self) -> dict[str, Any]:
        """Return what an explanation says of the agent."""
        said = {
            "name": self.name,
            "presence": self.presence,
            "load": self.load,
            "capacity": self.capacity,
        }
        return said if self.serves_channel else said | {"serves_channel": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamFacts:
    """A team as a decision sees one.

    Attributes:
        members: In the team's own order; those that are deleted left out.
        agent_timeout: How long one agent is asked, where the team asks one at a time.
        last_asked: Who was asked last of all, whatever came of it.
    """

    id: str
    name: str
    distribution: Distribution
    agent_timeout: timedelta
    members: tuple[AgentFacts, ...]
    last_asked: str | None = None

    def standing(self, tried: Tried) -> Standing:
        """Say whether one of the team can be asked."""
        # A list, because to look for enumeration members by their hashes takes longer.
        found = [member.standing(tried) for member in self.members]
        return next((each for each in _MOST_WILLING if each in found), Standing.EMPTY)

    def in_turn(self) -> Iterator[AgentFacts]:
        """Yield the members in the order in which they are asked."""
        members = self.members
        match self.distribution:
            case Distribution.ROUND_ROBIN:
                places = [n for n, each in enumerate(members) if each.id == self.last_asked]
                after = places[0] + 1 if places else 0
                yield from (*members[after:], *members[:after])
            case Distribution.MOST_IDLE:
                yield from sorted(members, key=_longest_idle)
            case _:
                yield from members

    def as_json(self) -> dict[str, Any]:
        """Return what an explanation says of the team."""
        return {
            "name": self.name,
            "distribution": self.distribution,
            "last_asked": self.last_asked,
            "agents": {member.id: member.as_json() for member in self.members},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BotFacts:
    """A bot as a decision sees one: always there.

    Attributes:
        version: Of its rules; an enquiry ends on the one with which it began.
    """

    id: str
    name: str
    version: int

    def standing(self, tried: Tried) -> Standing:
        """Say whether it has not handed over already."""
        return Standing(tried.how.get(self.id, Standing.AVAILABLE))

    def as_json(self) -> dict[str, Any]:
        """Return what an explanation says of the bot."""
        return {"name": self.name, "version": self.version}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFacts:
    """An endpoint as a decision sees one."""

    id: str
    name: str
    active: bool

    def standing(self, tried: Tried) -> Standing:
        """Say whether it takes enquiries."""
        if self.id in tried.how:
            return Standing(tried.how[self.id])
        return Standing.AVAILABLE if self.active else Standing.PAUSED

    def as_json(self) -> dict[str, Any]:
        """Return what an explanation says of the endpoint."""
        return {"name": self.name, "active": self.active}


Destination = AgentFacts | TeamFacts | BotFacts | EndpointFacts


def _longest_idle(member: AgentFacts) -> tuple[bool, float]:
    # Who never had an enquiry comes first; the sort keeps the team's order among equals.
    ended_at = member.last_ended_at
    return (ended_at is not None, 0.0 if ended_at is None else ended_at.timestamp())
