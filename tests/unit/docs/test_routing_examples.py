"""The examples and tables of docs/routing.md hold."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import ids
from routing.bots import Said, answer, rules_of
from routing.configuration import validate_routing
from routing.destinations import (
    AgentFacts,
    BotFacts,
    Destination,
    Distribution,
    EndpointFacts,
    Presence,
    Standing,
    TeamFacts,
)
from routing.engine import Facts, OfferTo, decide
from routing.enquiries import (
    ARROWS,
    CLOSED_BY_INTERMISSION,
    Continuation,
    Enquiry,
    EnquiryStatus,
    continuation,
)
from routing.rules import Routing, routing_of
from routing.simulation import simulate

PAGE = (Path(__file__).parents[3] / "docs" / "routing.md").read_text(encoding="utf-8")
# A Monday, and nobody's holiday.
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def blocks(kind: str) -> list[Any]:
    """Return the examples of a kind."""
    found = re.findall(rf"^```json {kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [json.loads(text) for text in found]


def table(*headings: str) -> Iterator[list[str]]:
    """Yield the rows of the table with these headings."""
    start = PAGE.index("| " + " | ".join(headings) + " |")
    for line in PAGE[start:].splitlines()[2:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


[PEOPLE] = blocks("people")
IDS = {
    name: ids.new_id(kind)
    for kind, names in (
        (ids.AGENT, PEOPLE["agents"]),
        (ids.TEAM, PEOPLE["teams"]),
        (ids.BOT, PEOPLE["bots"]),
        (ids.ENDPOINT, PEOPLE["endpoints"]),
    )
    for name in names
}
NAMES = {each: name for name, each in IDS.items()}


def with_ids(value: Any) -> Any:
    """Return a routing with ids where names stood for them."""
    if isinstance(value, list):
        return [with_ids(each) for each in value]
    if isinstance(value, dict):
        return {name: IDS[each] if name == "id" else with_ids(each) for name, each in value.items()}
    return value


@cache
def routing(text: str) -> Routing:
    read = routing_of(validate_routing(with_ids(json.loads(text))))
    assert read is not None
    return read


def agent(name: str, presence: Mapping[str, str]) -> AgentFacts:
    return AgentFacts(
        id=IDS[name],
        name=name,
        presence=Presence(presence.get(name, "offline")),
        capacity=5,
        load=0,
        serves_channel=True,
    )


def destinations(presence: Mapping[str, str]) -> dict[str, Destination]:
    assert presence.keys() <= set(PEOPLE["agents"])
    everyone: list[Destination] = [agent(name, presence) for name in PEOPLE["agents"]]
    for name, team in PEOPLE["teams"].items():
        everyone.append(
            TeamFacts(
                id=IDS[name],
                name=name,
                distribution=Distribution(team["distribution"]),
                agent_timeout=timedelta(seconds=30),
                members=tuple(agent(each, presence) for each in team["agent_ids"]),
                last_asked=IDS[team["last_asked"]] if "last_asked" in team else None,
            )
        )
    everyone += [BotFacts(id=IDS[name], name=name, version=1) for name in PEOPLE["bots"]]
    everyone += [
        EndpointFacts(id=IDS[name], name=name, active=True) for name in PEOPLE["endpoints"]
    ]
    return {each.id: each for each in everyone}


def facts_of(example: Mapping[str, Any], at: datetime = NOON) -> Facts:
    first = example.get("first")
    return Facts(
        at=at,
        destinations=destinations(example["presence"]),
        first=IDS[first] if isinstance(first, str) else None,
    )


def rule_of(example: Mapping[str, Any]) -> Routing:
    return routing(json.dumps(example["routing"]))


def test_there_are_examples_of_everything() -> None:
    assert len(blocks("example")) >= 9
    rules = {each["routing"]["rule"] for kind in ("example", "turns") for each in blocks(kind)}
    assert rules == {"alternative", "percentage", "time"}
    known = len(blocks("people") + blocks("example") + blocks("turns") + blocks("bot"))
    assert PAGE.count("```json") == known


@pytest.mark.parametrize("example", [each for each in blocks("example") if "steps" in each])
def test_step_by_step(example: Mapping[str, Any]) -> None:
    course = simulate(facts_of(example), rule_of(example))
    steps = [step.as_json() for step in course.steps]
    for step in steps:
        step["destination_id"] = NAMES[step["destination_id"]]
        step["agent_ids"] = [NAMES[each] for each in step["agent_ids"]]
    assert steps == example["steps"]
    assert (course.outcome, course.reason) == (example["outcome"], example["reason"])


@pytest.mark.parametrize("example", [each for each in blocks("example") if "moments" in each])
def test_moments(example: Mapping[str, Any]) -> None:
    for moment, name in example["moments"].items():
        course = simulate(facts_of(example, datetime.fromisoformat(moment)), rule_of(example))
        assert NAMES[course.steps[0].destination_id] == name, moment


@pytest.mark.parametrize("example", blocks("turns"))
def test_turns(example: Mapping[str, Any]) -> None:
    facts = replace(facts_of(example), first=None)
    asked = []
    for _ in range(100):
        decision = decide(facts, rule_of(example))
        assert isinstance(decision.outcome, OfferTo)
        assert decision.balances is not None
        asked.append(NAMES[decision.outcome.destination.id])
        facts = replace(facts, balances=decision.balances)
    assert asked[: len(example["first"])] == example["first"]
    assert Counter(asked) == example["of_100"]


@pytest.mark.parametrize("example", blocks("bot"))
def test_bots(example: Mapping[str, Any]) -> None:
    rules = rules_of(example["rules"])
    for case in example["answers"]:
        said = Said(case.get("text"), case.get("payload"), first=case.get("first", False))
        assert answer(rules, said) is rules[case["rule"]], case


def test_the_table_of_states_is_that_of_the_arrows() -> None:
    told = {
        state.strip("`"): {each.strip("`") for each in targets.split(", ")}
        for state, _, targets in table("state", "means", "may become")
    }
    assert told == {source.value: {each.value for each in to} for source, to in ARROWS.items()}


def test_the_table_of_reasons_is_complete() -> None:
    told = {row[0].strip("`") for row in table("reason", "means")}
    assert told == {each.value for each in Standing}


def test_the_table_of_distributions_is_complete() -> None:
    told = {row[0].strip("`") for row in table("distribution", "asks")}
    assert told == {each.value for each in Distribution}


LATEST = {
    "closed within the intermission": {"status": EnquiryStatus.CLOSED, "closed_at": 59},
    "closed before that": {"status": EnquiryStatus.CLOSED, "closed_at": 60},
    "closed by the intermission": {
        "status": EnquiryStatus.CLOSED,
        "closed_at": 1,
        "close_reason": CLOSED_BY_INTERMISSION,
    },
    "missed within the intermission": {"status": EnquiryStatus.MISSED, "missed_at": 59},
    "missed before that": {"status": EnquiryStatus.MISSED, "missed_at": 60},
    "followed up": {"status": EnquiryStatus.FOLLOWED_UP, "missed_at": 1},
}
TOLD = {
    Continuation.REOPEN: "reopened",
    Continuation.OPEN_ANOTHER: "another",
    Continuation.RESUME: "ongoing",
}


def test_the_table_of_policies_is_what_a_message_does() -> None:
    policies = ("intermission", "never", "always")
    rows = {row[0]: row[1:] for row in table("the latest enquiry", *(f"`{p}`" for p in policies))}
    assert rows.keys() == LATEST.keys()
    for name, given in LATEST.items():
        ended = {
            field: NOON - timedelta(minutes=value) if isinstance(value, int) else value
            for field, value in given.items()
        }
        latest = Enquiry(
            account_id="",
            id="",
            channel_id="",
            conversation_id="",
            contact_id="",
            opened_at=NOON,
            updated_at=NOON,
            **ended,
        )
        happens = [
            TOLD[continuation(latest, policy=p, intermission=timedelta(minutes=60), at=NOON)]
            for p in policies
        ]
        assert happens == rows[name], name
