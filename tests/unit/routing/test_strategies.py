"""Teams, bots and the rules by share and by time, one row of the table a situation."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

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
from routing.engine import (
    NOBODY_THERE,
    NOBODY_TOOK_IT,
    Decision,
    Facts,
    GiveTo,
    Miss,
    OfferTo,
    Wait,
    decide,
)
from routing.entries import Entry
from routing.rules import Routing

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
AGENTS = "abcdefg"
IDS = (
    {name: ids.new_id(ids.AGENT) for name in AGENTS}
    | {name: ids.new_id(ids.TEAM) for name in "ST"}
    | {"x": ids.new_id(ids.ENDPOINT), "B": ids.new_id(ids.BOT)}
)
NAMES = {value: name for name, value in IDS.items()}
ENDED = {"a": 30, "b": 10, "c": 20}


def agent(name: str, words: str = "active", *, load: int = 0) -> AgentFacts:
    minutes = ENDED.get(name)
    return AgentFacts(
        id=IDS[name],
        name=name,
        presence=Presence(words),
        capacity=2,
        load=load,
        serves_channel=True,
        last_ended_at=None if minutes is None else AT - timedelta(minutes=minutes),
    )


def team(
    name: str,
    distribution: str,
    *members: AgentFacts,
    last: str | None = None,
) -> TeamFacts:
    return TeamFacts(
        id=IDS[name],
        name=name,
        distribution=Distribution(distribution),
        agent_timeout=timedelta(seconds=30),
        members=members,
        last_asked=None if last is None else IDS[last],
    )


def abc(*words: str) -> tuple[AgentFacts, ...]:
    presences = words or ("active",) * 3
    return tuple(agent(name, word) for name, word in zip("abc", presences, strict=False))


def rule(names: str, *, kind: str = "alternative", shares: tuple[int, ...] = ()) -> Routing:
    return Routing(
        rule=kind,
        entries=tuple(
            Entry(IDS[name], timedelta(seconds=60), shares[n] if shares else 0)
            for n, name in enumerate(names)
        ),
        timetable=None,
        sticky_for=None,
        waiting_limit=timedelta(seconds=300),
    )


def told(decision: Decision) -> str:
    match decision.outcome:
        case OfferTo(destination, agent_ids, timeout):
            asked = "".join(NAMES[each] for each in agent_ids)
            return f"{destination.name}: {asked} {timeout.total_seconds():g}"
        case GiveTo(destination):
            return f"give {destination.name}"
        case Wait():
            return "wait"
        case Miss(reason):
            return f"miss {reason}"


@dataclass
class Case:
    list_: str
    there: list[Destination]
    outcome: str
    tried: dict[str, str] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)
    first: str | None = None


CASES = {
    "all at once": Case("S", [team("S", "simultaneous", *abc())], "S: abc 60"),
    "all at once, those who can": Case(
        "S", [team("S", "simultaneous", *abc("offline", "active", "busy"))], "S: b 60"
    ),
    "all at once, the active before the idle": Case(
        "S", [team("S", "simultaneous", *abc("idle", "active", "idle"))], "S: b 60"
    ),
    "all at once, the idle where nobody is active": Case(
        "S", [team("S", "simultaneous", *abc("idle", "busy", "idle"))], "S: ac 60"
    ),
    "all at once, who came back gets what is left": Case(
        "S",
        [team("S", "simultaneous", *abc())],
        "S: c 45",
        tried={"a": "rejected", "b": "rejected"},
        asked={"S": 15},
    ),
    "one at a time": Case("S", [team("S", "fixed_order", *abc())], "S: a 30"),
    "one at a time, the next": Case(
        "S",
        [team("S", "fixed_order", *abc())],
        "S: b 30",
        tried={"a": "timed_out"},
        asked={"S": 30},
    ),
    "one at a time, never longer than the team has": Case(
        "S",
        [team("S", "fixed_order", *abc())],
        "S: b 20",
        tried={"a": "rejected"},
        asked={"S": 40},
    ),
    "the team's time has passed": Case(
        "Sx",
        [team("S", "fixed_order", *abc()), EndpointFacts(id=IDS["x"], name="x", active=True)],
        "give x",
        tried={"a": "timed_out", "b": "timed_out"},
        asked={"S": 60},
    ),
    "in turn, nobody was asked yet": Case("S", [team("S", "round_robin", *abc())], "S: a 30"),
    "in turn, after the one asked last": Case(
        "S", [team("S", "round_robin", *abc(), last="a")], "S: b 30"
    ),
    "in turn, round the end": Case("S", [team("S", "round_robin", *abc(), last="c")], "S: a 30"),
    "in turn, past one who is away": Case(
        "S", [team("S", "round_robin", *abc("active", "offline"), agent("c"), last="a")], "S: c 30"
    ),
    "in turn, after one who left the team": Case(
        "S", [team("S", "round_robin", *abc(), last="g")], "S: a 30"
    ),
    "who has been idle longest": Case("S", [team("S", "most_idle", *abc())], "S: a 30"),
    "who never had one is idle longest": Case(
        "S", [team("S", "most_idle", *abc(), agent("e"), agent("d"))], "S: e 30"
    ),
    "a team of which all are busy is waited for": Case(
        "S", [team("S", "most_idle", *abc("busy", "offline", "busy"))], "wait"
    ),
    "a full team is waited for": Case("S", [team("S", "fixed_order", agent("a", load=2))], "wait"),
    "a team of which nobody is there": Case(
        "S",
        [team("S", "fixed_order", *abc("offline", "offline", "offline"))],
        f"miss {NOBODY_THERE}",
    ),
    "a team without members": Case("S", [team("S", "simultaneous")], f"miss {NOBODY_THERE}"),
    "a team of which nobody took it": Case(
        "S",
        [team("S", "fixed_order", agent("a"), agent("b"))],
        f"miss {NOBODY_TOOK_IT}",
        tried={"a": "rejected", "b": "timed_out"},
        asked={"S": 30},
    ),
    "a team behind an agent who is away": Case(
        "aS",
        [agent("a", "offline"), team("S", "fixed_order", agent("b"))],
        "S: b 30",
    ),
    "who did not answer alone is not asked in a team": Case(
        "aS",
        [agent("a"), team("S", "simultaneous", *abc())],
        "S: bc 60",
        tried={"a": "timed_out"},
    ),
    "an idle agent waits behind an active one of a team": Case(
        "gS",
        [agent("g", "idle"), team("S", "fixed_order", agent("b"))],
        "S: b 30",
    ),
    "a bot takes it at once": Case("B", [BotFacts(id=IDS["B"], name="B", version=1)], "give B"),
    "a bot that handed over is passed over": Case(
        "Ba",
        [BotFacts(id=IDS["B"], name="B", version=1), agent("a")],
        "a: a 60",
        tried={"B": "handed_over"},
    ),
    "who served last comes before a team": Case(
        "S", [agent("d"), team("S", "simultaneous", *abc())], "d: d 60", first="d"
    ),
    "who served last is of the team and did not answer": Case(
        "S",
        [agent("a"), team("S", "simultaneous", *abc())],
        "S: bc 60",
        tried={"a": "timed_out"},
        first="a",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_alternative(name: str) -> None:
    case = CASES[name]
    assert told(decide(facts_of(case), rule(case.list_))) == case.outcome


def facts_of(case: Case, balances: dict[str, int] | None = None) -> Facts:
    return Facts(
        at=AT,
        destinations={each.id: each for each in case.there},
        tried=Tried(
            {IDS[name]: how for name, how in case.tried.items()},
            {IDS[name]: AT - timedelta(seconds=ago) for name, ago in case.asked.items()},
        ),
        first=None if case.first is None else IDS[case.first],
        balances={IDS[name]: value for name, value in (balances or {}).items()},
    )


THREE = [agent("a"), agent("b"), agent("c")]
AWAY = [agent("a", "offline"), agent("b"), agent("c")]
SHARED = {
    "whose share is largest begins": (
        Case("abc", THREE, "a: a 60"),
        {},
        {"a": -50, "b": 30, "c": 20},
    ),
    "then whose turn it is": (
        Case("abc", THREE, "b: b 60"),
        {"a": -50, "b": 30, "c": 20},
        {"a": 0, "b": -40, "c": 40},
    ),
    "who is away neither gains nor pays": (
        Case("abc", AWAY, "b: b 60"),
        {"a": 90},
        {"a": 90, "b": -20, "c": 20},
    ),
    "after a time-out the next best, and nobody pays": (
        Case("abc", THREE, "c: c 60", tried={"b": "timed_out"}),
        {"a": -90, "b": 80, "c": 10},
        None,
    ),
    "who served last takes no turn": (
        Case("abc", [*THREE, agent("d")], "d: d 60", first="d"),
        {},
        None,
    ),
    "who served last is of the list and takes no turn": (
        Case("abc", THREE, "c: c 60", first="c"),
        {},
        None,
    ),
    "nobody can be asked yet": (
        Case("abc", [agent("a", "busy")], "wait"),
        {"a": 1},
        None,
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_percentage(name: str) -> None:
    case, before, after = SHARED[name]
    decision = decide(
        facts_of(case, before), rule(case.list_, kind="percentage", shares=(50, 30, 20))
    )
    assert told(decision) == case.outcome
    expected = None if after is None else {IDS[each]: value for each, value in after.items()}
    assert decision.balances == expected
    assert decision.inputs["balances"] == {IDS[each]: value for each, value in before.items()}


def test_a_team_explains_itself() -> None:
    members = abc("active", "busy", "offline")
    decision = decide(facts_of(Case("S", [team("S", "most_idle", *members)], "")), rule("S"))
    assert decision.inputs["destinations"][IDS["S"]] == {
        "name": "S",
        "distribution": "most_idle",
        "last_asked": None,
        "agents": {
            IDS["a"]: {"name": "a", "presence": "active", "load": 0, "capacity": 2},
            IDS["b"]: {"name": "b", "presence": "busy", "load": 0, "capacity": 2},
            IDS["c"]: {"name": "c", "presence": "offline", "load": 0, "capacity": 2},
        },
    }
    assert [each.reason for each in decision.considered] == [Standing.AVAILABLE]
