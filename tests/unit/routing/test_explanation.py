"""An assignment in words."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.routing.test_strategies import AT, IDS, agent, rule, team

from gateway.domain import ids
from routing.destinations import Destination, EndpointFacts, Standing, Tried
from routing.engine import Considered, Decision, Facts, Wait, decide
from routing.explanation import explain, explain_course
from routing.rules import NO_RULE, routing_of
from routing.simulation import simulate

DECIDED = "Decided at 2026-03-02T12:00:00.000Z by the rule alternative, version 7 of the routing."


def told(names: str, *there: Destination, **facts: Any) -> list[str]:
    """Return what is said of a decision about these, but for the first sentence."""
    seen = Facts(at=AT, destinations={each.id: each for each in there}, **facts)
    decided, *rest = explain(decide(seen, rule(names)).as_json(routing_version=7), {})
    assert decided == DECIDED
    return rest


def test_who_was_chosen_and_who_was_not() -> None:
    assert told(
        "abcdefSx",
        agent("a", "busy"),
        agent("b", load=2),
        agent("c", "offline"),
        agent("d", "idle"),
        replace(agent("e"), serves_channel=False),
        team("S", "simultaneous", agent("f")),
        tried=Tried({IDS["f"]: "timed_out"}),
    ) == [
        "a was busy.",
        "b had no room (2 of 2).",
        "c was offline.",
        "d was the first of the list that could be asked.",
        "e does not serve this channel.",
        "f had been deleted.",
        "S had not taken it in time.",
        f"{IDS['x']} had been deleted.",
    ]


@pytest.mark.parametrize(
    ("there", "end"),
    [
        ([agent("a", "busy")], "So it waited for who was there."),
        ([agent("a", "offline")], "So nobody was there."),
    ],
)
def test_nobody_was_chosen(there: list[Destination], end: str) -> None:
    assert told("a", *there)[-1] == end


def test_nobody_took_it() -> None:
    sentences = told("a", agent("a"), tried=Tried({IDS["a"]: "rejected"}))
    assert sentences == ["a had rejected it.", "So nobody took it."]


def test_who_was_asked_first() -> None:
    sentences = told("a", agent("a"), agent("b"), first=IDS["b"])
    assert sentences == ["b was asked before the rule was.", "a was not reached."]


def test_every_reason_has_words_for_every_kind() -> None:
    for destination_id in (IDS["a"], ids.new_id(ids.TEAM), ids.new_id(ids.ENDPOINT)):
        for reason in Standing:
            decision = Decision(
                rule="percentage",
                outcome=Wait(),
                considered=(Considered(destination_id, taken=False, reason=reason),),
                inputs={
                    "at": "then",
                    "destinations": {destination_id: {"name": "Ann", "load": 1, "capacity": 1}},
                },
            )
            _, sentence, _ = explain(decision.as_json(routing_version=1), {})
            assert sentence.startswith("Ann ")
            assert reason.value not in sentence or " " not in reason.value
            assert "_" not in sentence


def test_shares_and_hours() -> None:
    assignment = {
        "rule": "percentage",
        "routing_version": 1,
        "inputs": {"at": "then", "destinations": {}, "balances": {}},
        "considered": [{"destination_id": "x", "taken": True, "reason": "available"}],
    }
    assert explain(assignment, {"x": "Ann"})[1:] == ["By the shares it was the turn of Ann."]
    for hours, sentence in (
        ("2026-03-02 09:00-18:00", "The hour named the list of 2026-03-02 09:00-18:00."),
        ("other", "The hour named the list for other times."),
        (
            "other: holiday",
            "The hour named the list for other times, because the date is a public holiday.",
        ),
    ):
        timed = assignment | {"rule": "time", "inputs": {"at": "then", "hours": hours}}
        assert explain(timed, {})[1] == sentence


def test_a_linked_channel() -> None:
    assignment = {
        "rule": "external_endpoint",
        "routing_version": 1,
        "inputs": {},
        "considered": [{"destination_id": "x", "taken": True, "reason": "available"}],
    }
    assert explain(assignment, {"x": "Desk"}) == ["Everything of this channel goes to Desk."]


def test_without_a_rule_who_was_expected_is_asked() -> None:
    facts = Facts(at=AT, destinations={IDS["a"]: agent("a", "offline")}, first=IDS["a"])
    assert explain(decide(facts, NO_RULE).as_json(routing_version=1), {}) == [
        "Decided at 2026-03-02T12:00:00.000Z; the channel has no routing.",
        "a was offline.",
        "So it waited for somebody to accept it.",
    ]


def test_a_course_of_a_draft() -> None:
    desk = EndpointFacts(id=ids.new_id(ids.ENDPOINT), name="Desk", active=True)
    there: list[Destination] = [team("S", "simultaneous", agent("a"), agent("b")), desk]
    routing = routing_of(
        {
            "rule": "alternative",
            "destinations": [{"id": each.id, "timeout_seconds": 60} for each in there],
            "waiting_limit_seconds": 300,
        }
    )
    assert routing is not None
    course = simulate(Facts(at=AT, destinations={each.id: each for each in there}), routing)
    assert explain_course(course, routing_version=None, link_mode="bot") == [
        "The channel's bot takes everything; this is what follows when it hands over.",
        "Decided at 2026-03-02T12:00:00.000Z by the rule alternative, a draft.",
        "S was the first of the list that could be asked.",
        "Desk was not reached.",
        "At once S (a, b) is asked.",
        "After 60 s Desk takes it.",
    ]
