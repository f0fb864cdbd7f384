"""The alternative rule, one row of the table a situation."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import ids
from routing.destinations import (
    AgentFacts,
    Destination,
    EndpointFacts,
    Presence,
    Standing,
    Tried,
)
from routing.engine import (
    NOBODY_THERE,
    NOBODY_TOOK_IT,
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
NAMES = {name: ids.new_id(ids.AGENT) for name in "abcdefg"} | {
    name: ids.new_id(ids.ENDPOINT) for name in "xyz"
}


def agent(
    name: str,
    presence: str = "active",
    *,
    load: int = 0,
    capacity: int = 5,
    serves: bool = True,
) -> AgentFacts:
    return AgentFacts(
        id=NAMES[name],
        name=name,
        presence=Presence(presence),
        capacity=capacity,
        load=load,
        serves_channel=serves,
    )


def endpoint(name: str, *, active: bool = True) -> EndpointFacts:
    return EndpointFacts(id=NAMES[name], name=name, active=active)


def rule(names: str) -> Routing:
    return Routing(
        rule="alternative",
        entries=tuple(
            Entry(NAMES[name], timedelta(seconds=60 + n)) for n, name in enumerate(names)
        ),
        timetable=None,
        sticky_for=None,
        waiting_limit=timedelta(seconds=300),
    )


@dataclass
class Case:
    """What is there, and what is to become of the enquiry."""

    list_: str
    there: list[Destination]
    outcome: str
    reasons: list[Standing]
    tried: dict[str, str] = field(default_factory=dict)
    first: str | None = None


S = Standing
CASES = {
    "the first is asked": Case(
        "ab", [agent("a"), agent("b")], "offer a", [S.AVAILABLE, S.NOT_REACHED]
    ),
    "who is offline is passed over": Case(
        "ab", [agent("a", "offline"), agent("b")], "offer b", [S.OFFLINE, S.AVAILABLE]
    ),
    "who is busy is passed over": Case(
        "ab", [agent("a", "busy"), agent("b")], "offer b", [S.BUSY, S.AVAILABLE]
    ),
    "who is full is passed over": Case(
        "ab", [agent("a", load=5), agent("b")], "offer b", [S.FULL, S.AVAILABLE]
    ),
    "who has no capacity at all is full": Case("a", [agent("a", capacity=0)], "wait", [S.FULL]),
    "who serves another channel is passed over": Case(
        "ab", [agent("a", serves=False), agent("b")], "offer b", [S.OTHER_CHANNEL, S.AVAILABLE]
    ),
    "who was deleted is passed over": Case("ab", [agent("b")], "offer b", [S.DELETED, S.AVAILABLE]),
    "who just rejected is not asked again": Case(
        "ab",
        [agent("a"), agent("b")],
        "offer b",
        [S.REJECTED, S.AVAILABLE],
        tried={"a": "rejected"},
    ),
    "who did not answer is not asked again": Case(
        "ab",
        [agent("a"), agent("b")],
        "offer b",
        [S.TIMED_OUT, S.AVAILABLE],
        tried={"a": "timed_out"},
    ),
    "one that came back after it was passed over is asked": Case(
        "abc",
        [agent("a"), agent("b"), agent("c")],
        "offer a",
        [S.AVAILABLE, S.TIMED_OUT, S.NOT_REACHED],
        tried={"b": "timed_out"},
    ),
    "an idle one waits behind an active one": Case(
        "ab", [agent("a", "idle"), agent("b")], "offer b", [S.IDLE, S.AVAILABLE]
    ),
    "an idle one is asked where nobody active is there": Case(
        "ab",
        [agent("a", "idle"), agent("b", "offline")],
        "offer a",
        [S.AVAILABLE, S.OFFLINE],
    ),
    "an idle one is asked once the active one did not answer": Case(
        "ab",
        [agent("a", "idle"), agent("b")],
        "offer a",
        [S.AVAILABLE, S.TIMED_OUT],
        tried={"b": "timed_out"},
    ),
    "an idle one is asked where the active one is full": Case(
        "ab", [agent("a", "idle"), agent("b", load=5)], "offer a", [S.AVAILABLE, S.FULL]
    ),
    "an idle one that is full is full": Case("a", [agent("a", "idle", load=5)], "wait", [S.FULL]),
    "an idle agent stands before an endpoint behind it": Case(
        "ay", [agent("a", "idle"), endpoint("y")], "offer a", [S.AVAILABLE, S.NOT_REACHED]
    ),
    "an endpoint takes it at once": Case(
        "xa", [endpoint("x"), agent("a")], "give x", [S.AVAILABLE, S.NOT_REACHED]
    ),
    "an endpoint takes it when nobody before it can": Case(
        "abx",
        [agent("a", "offline"), agent("b", load=9), endpoint("x")],
        "give x",
        [S.OFFLINE, S.FULL, S.AVAILABLE],
    ),
    "a paused endpoint is nobody": Case(
        "x", [endpoint("x", active=False)], f"miss {NOBODY_THERE}", [S.PAUSED]
    ),
    "nobody there at all": Case(
        "ab",
        [agent("a", "offline"), agent("b", "offline")],
        f"miss {NOBODY_THERE}",
        [S.OFFLINE, S.OFFLINE],
    ),
    "somebody there who is busy is waited for": Case(
        "ab",
        [agent("a", "offline"), agent("b", "busy")],
        "wait",
        [S.OFFLINE, S.BUSY],
    ),
    "somebody there who is full is waited for": Case("a", [agent("a", load=5)], "wait", [S.FULL]),
    "who was not asked yet is waited for": Case(
        "ab",
        [agent("a"), agent("b", "busy")],
        "wait",
        [S.REJECTED, S.BUSY],
        tried={"a": "rejected"},
    ),
    "the end of the list": Case(
        "ab",
        [agent("a"), agent("b")],
        f"miss {NOBODY_TOOK_IT}",
        [S.REJECTED, S.TIMED_OUT],
        tried={"a": "rejected", "b": "timed_out"},
    ),
    "who served last is asked first": Case(
        "ab",
        [agent("a"), agent("b")],
        "offer b",
        [S.AVAILABLE, S.NOT_REACHED],
        first="b",
    ),
    "who served last need not be in the list": Case(
        "a",
        [agent("a"), agent("c")],
        "offer c",
        [S.AVAILABLE, S.NOT_REACHED],
        first="c",
    ),
    "who served last and is away is passed over": Case(
        "a",
        [agent("a"), agent("c", "offline")],
        "offer a",
        [S.OFFLINE, S.AVAILABLE],
        first="c",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_alternative(name: str) -> None:
    case = CASES[name]
    facts = Facts(
        at=AT,
        destinations={each.id: each for each in case.there},
        tried=Tried({NAMES[each]: end for each, end in case.tried.items()}),
        first=None if case.first is None else NAMES[case.first],
    )

    decision = decide(facts, rule(case.list_))

    match decision.outcome:
        case OfferTo(destination, agent_ids, _):
            assert agent_ids == (destination.id,)
            assert case.outcome == f"offer {destination.name}"
        case GiveTo(destination):
            assert case.outcome == f"give {destination.name}"
        case Wait():
            assert case.outcome == "wait"
        case Miss(reason):
            assert case.outcome == f"miss {reason}"
    assert [each.reason for each in decision.considered] == case.reasons
    assert [each.taken for each in decision.considered].count(True) == (
        1 if case.outcome.startswith(("offer", "give")) else 0
    )


def test_each_destination_has_its_own_timeout() -> None:
    facts = Facts(
        at=AT,
        destinations={each.id: each for each in (agent("a", "offline"), agent("b"))},
    )
    outcome = decide(facts, rule("ab")).outcome
    assert isinstance(outcome, OfferTo)
    assert outcome.timeout == timedelta(seconds=61)


def test_an_assignment_explains_itself() -> None:
    facts = Facts(
        at=AT,
        destinations={each.id: each for each in (agent("a", "busy"), agent("b", load=2))},
    )
    assert decide(facts, rule("ab")).as_json(routing_version=7) == {
        "rule": "alternative",
        "routing_version": 7,
        "inputs": {
            "at": "2026-03-02T12:00:00.000Z",
            "destinations": {
                NAMES["a"]: {"name": "a", "presence": "busy", "load": 0, "capacity": 5},
                NAMES["b"]: {"name": "b", "presence": "active", "load": 2, "capacity": 5},
            },
            "tried": {},
            "first": None,
        },
        "considered": [
            {"destination_id": NAMES["a"], "taken": False, "reason": "busy"},
            {"destination_id": NAMES["b"], "taken": True, "reason": "available"},
        ],
    }


AGENTS = st.builds(
    agent,
    st.sampled_from("abcdefg"),
    st.sampled_from([each.value for each in Presence]),
    load=st.integers(0, 3),
    capacity=st.integers(0, 3),
    serves=st.booleans(),
)
ENDPOINTS = st.builds(endpoint, st.sampled_from("xyz"), active=st.booleans())


@given(
    names=st.lists(st.sampled_from("abcdefgxyz"), min_size=1, max_size=5, unique=True),
    there=st.lists(AGENTS | ENDPOINTS, max_size=10),
    tried=st.dictionaries(st.sampled_from("abcdefg"), st.sampled_from(["rejected", "timed_out"])),
    first=st.none() | st.sampled_from("abcdefg"),
)
def test_whatever_is_there_the_choice_can_be_made(
    names: list[str],
    there: list[Destination],
    tried: dict[str, str],
    first: str | None,
) -> None:
    facts = Facts(
        at=AT,
        destinations={each.id: each for each in there},
        tried=Tried({NAMES[each]: end for each, end in tried.items()}),
        first=None if first is None else NAMES[first],
    )

    decision = decide(facts, rule("".join(names)))

    assert decision == decide(facts, rule("".join(names)))
    considered = [each.destination_id for each in decision.considered]
    assert len(set(considered)) == len(considered)
    assert set(considered) == {NAMES[name] for name in names} | (
        set() if first is None else {NAMES[first]}
    )
    match decision.outcome:
        case OfferTo(destination):
            assert isinstance(destination, AgentFacts)
            assert destination.load < destination.capacity
            assert destination.serves_channel
            assert destination.presence in (Presence.ACTIVE, Presence.IDLE)
            assert destination.id not in facts.tried.how
        case GiveTo(destination):
            assert destination.active
        case Wait() | Miss():
            assert not any(each.taken for each in decision.considered)
