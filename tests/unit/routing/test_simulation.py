"""What would happen to an enquiry that nobody answers."""

from datetime import timedelta

import pytest
from tests.unit.routing.test_strategies import AT, IDS, NAMES, agent, rule, team

from routing.destinations import BotFacts, Destination
from routing.engine import Facts
from routing.simulation import simulate

CASES: dict[str, tuple[str, list[Destination], list[str], str]] = {
    "one after another": (
        "ab",
        [agent("a"), agent("b")],
        ["0 a: a", "60 b: b"],
        "missed nobody_took_it",
    ),
    "a team, then a bot": (
        "SB",
        [
            team("S", "fixed_order", agent("a"), agent("b"), agent("c")),
            BotFacts(id=IDS["B"], name="B", version=1),
        ],
        ["0 S: a", "30 S: b", "60 B: "],
        "ongoing None",
    ),
    "all at once": (
        "Sd",
        [team("S", "simultaneous", agent("a"), agent("b")), agent("d", "offline")],
        ["0 S: ab"],
        "missed nobody_took_it",
    ),
    "somebody is busy": (
        "ab",
        [agent("a", "busy"), agent("b")],
        ["0 b: b"],
        "missed waiting_limit",
    ),
    "nobody is there": ("a", [agent("a", "offline")], [], "missed nobody_there"),
    "the waiting limit is first": (
        "abcdef",
        [agent(name) for name in "abcdef"],
        ["0 a: a", "60 b: b", "120 c: c", "180 d: d", "240 e: e"],
        "missed waiting_limit",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_course(name: str) -> None:
    names, there, steps, end = CASES[name]
    facts = Facts(at=AT, destinations={each.id: each for each in there})
    course = simulate(facts, rule(names))
    told = [
        f"{step.after.total_seconds():g} {NAMES[step.destination_id]}: "
        + "".join(NAMES[each] for each in step.agent_ids)
        for step in course.steps
    ]
    assert told == steps
    assert f"{course.outcome} {course.reason}" == end
    assert course.first.outcome is not None
    assert all(step.after < timedelta(seconds=300) for step in course.steps)
