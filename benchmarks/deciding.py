"""How long a decision takes: a channel with five destinations and fifty agents, by each rule.

What is measured is `decide` and nothing around it: no reading of facts, no writing of what was
decided. A decision may take 100 microseconds.
"""

import timeit
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from benchmarks.figures import record
from gateway.domain import ids
from routing.configuration import validate_routing
from routing.destinations import AgentFacts, Distribution, Presence, TeamFacts
from routing.engine import Decision, Facts, OfferTo, decide
from routing.rules import ALTERNATIVE, PERCENTAGE, TIME, Routing, routing_of

_TEAMS: Final = 5
_AGENTS_A_TEAM: Final = 10
# A Monday morning, within the timetable's hours.
_AT: Final = datetime(2026, 11, 2, 9, tzinfo=UTC)
_DECISIONS: Final = 500
_ROUNDS: Final = 40


def main() -> None:
    """Print and keep the best time of several rounds for each rule."""
    teams = [_team(n) for n in range(_TEAMS)]
    facts = Facts(at=_AT, destinations={team.id: team for team in teams})
    for rule, document in _routings([team.id for team in teams]).items():
        routing = routing_of(validate_routing(document))
        assert routing is not None
        decided = decide(facts, routing)
        assert isinstance(decided.outcome, OfferTo), "the last team can be asked"
        record(f"deciding.{rule}", _microseconds(facts, routing), "µs")


def _team(place: int) -> TeamFacts:
    # Nobody of the first teams has room, so that a decision looks at every agent.
    load = 5 if place < _TEAMS - 1 else 1
    return TeamFacts(
        id=ids.new_id(ids.TEAM),
        name="Sales",
        distribution=Distribution.MOST_IDLE,
        agent_timeout=timedelta(seconds=30),
        members=tuple(_agent(load, minutes=n) for n in range(_AGENTS_A_TEAM)),
    )


def _agent(load: int, *, minutes: int) -> AgentFacts:
    return AgentFacts(
        id=ids.new_id(ids.AGENT),
        name="Ann Lee",
        presence=Presence.ACTIVE,
        capacity=5,
        load=load,
        serves_channel=True,
        last_ended_at=_AT - timedelta(minutes=minutes),
    )


def _routings(team_ids: list[str]) -> dict[str, dict[str, Any]]:
    listed: list[dict[str, Any]] = [{"id": each} for each in team_ids]
    shared = [entry | {"share": 20} for entry in listed]
    hours = {"from": "08:00", "to": "18:00", "destinations": listed}
    span = hours | {"days": ["mon", "tue", "wed", "thu", "fri"]}
    timetable = {"zone": "Europe/London", "spans": [span], "holidays": "GB-ENG"}
    return {
        ALTERNATIVE: {"rule": ALTERNATIVE, "destinations": listed},
        PERCENTAGE: {"rule": PERCENTAGE, "destinations": shared},
        TIME: {"rule": TIME, "time": timetable},
    }


def _microseconds(facts: Facts, routing: Routing) -> float:
    def decision() -> Decision:
        return decide(facts, routing)

    best = min(timeit.repeat(decision, number=_DECISIONS, repeat=_ROUNDS))
    return best / _DECISIONS * 1e6
