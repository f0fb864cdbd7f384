"""Past enquiries played through drafts: what was seen counts, and what was not is guessed."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.routing.test_strategies import AT, IDS, NAMES, agent, rule, team

from routing.destinations import BotFacts, Destination, EndpointFacts, Tried
from routing.engine import Facts, GiveTo, OfferTo, decide
from routing.rules import Routing, routing_of
from routing.trials.replay import PastEnquiry, Replay

ROBOT = BotFacts(id=IDS["B"], name="B", version=1)


def by_id(*there: Destination) -> dict[str, Destination]:
    return {each.id: each for each in there}


def past(routing: Routing, *there: Destination, **facts: Any) -> PastEnquiry:
    """Return an enquiry that was decided by a routing, these being there."""
    decision = decide(Facts(at=AT, destinations=by_id(*there), **facts), routing)
    went_to: str | None = None
    match decision.outcome:
        case OfferTo(destination) | GiveTo(destination):
            went_to = destination.id
        case _:
            pass
    return PastEnquiry(
        opened_at=AT,
        went_to=went_to,
        assignment=decision.as_json(routing_version=1),
        refused_by=frozenset(),
    )


def played(
    draft: Routing, *enquiries: PastEnquiry, present: Mapping[str, Destination] | None = None
) -> dict[str | None, tuple[int, int, int]]:
    """Return what was, would be and is assumed, by name."""
    replay = Replay(draft, present or {})
    for enquiry in enquiries:
        replay.play(enquiry)
    assert replay.enquiries == len(enquiries)
    found = [asdict(each) for each in replay.differences()]
    return {
        NAMES.get(each["destination_id"]): (each["was"], each["would_be"], each["assumed"])
        for each in found
    }


AGENTS = st.builds(
    agent,
    st.sampled_from("abc"),
    st.sampled_from(["active", "busy", "idle", "offline"]),
    load=st.integers(0, 2),
)
TEAMS = st.builds(
    team,
    st.sampled_from("ST"),
    st.sampled_from(["simultaneous", "fixed_order", "round_robin"]),
    st.builds(agent, st.just("d"), st.sampled_from(["active", "busy", "offline"])),
    st.builds(agent, st.just("e"), st.sampled_from(["active", "idle", "offline"])),
)


@given(
    names=st.lists(st.sampled_from("abcSTB"), min_size=1, max_size=5, unique=True),
    there=st.lists(AGENTS | TEAMS | st.just(ROBOT), max_size=6),
    tried=st.dictionaries(
        st.sampled_from([IDS[name] for name in "abcde"]),
        st.sampled_from(["rejected", "timed_out"]),
    ),
    first=st.none() | st.sampled_from([IDS[name] for name in "abc"]),
)
def test_the_same_routing_makes_no_difference(
    names: list[str], there: list[Destination], tried: dict[str, str], first: str | None
) -> None:
    routing = rule("".join(names))
    enquiry = past(routing, *there, tried=Tried(tried), first=first)
    [(_, (was, would_be, assumed))] = played(routing, enquiry).items()
    assert (was, would_be, assumed) == (1, 1, 0)


def test_what_was_not_seen_is_taken_for_available() -> None:
    enquiry = past(rule("a"), agent("a", "offline"))
    for name, present in (
        ("b", agent("b", "offline", load=2)),
        ("S", team("S", "fixed_order", agent("c", "offline"))),
        ("x", EndpointFacts(id=IDS["x"], name="x", active=False)),
        ("B", ROBOT),
    ):
        assert played(rule(f"a{name}"), enquiry, present=by_id(present)) == {
            name: (0, 1, 1),
            None: (1, 0, 0),
        }


def test_members_of_a_team_that_was_seen_stood_as_they_did() -> None:
    enquiry = past(rule("S"), team("S", "fixed_order", agent("a", "offline"), agent("b")))
    there = by_id(agent("a"), agent("b"), team("T", "simultaneous", agent("a")))
    assert played(rule("ab"), enquiry, present=there) == {"S": (1, 0, 0), "b": (0, 1, 0)}
    assert played(rule("T"), enquiry, present=there) == {"S": (1, 0, 0), None: (0, 1, 0)}


def test_who_refused_it_refuses_it_again() -> None:
    enquiry = past(rule("ab"), agent("a"), agent("b"), tried=Tried({IDS["a"]: "rejected"}))
    assert played(rule("ab"), enquiry) == {"b": (1, 1, 0)}
    both = PastEnquiry(
        opened_at=AT,
        went_to=None,
        assignment=enquiry.assignment,
        refused_by=frozenset({IDS["b"]}),
    )
    assert played(rule("ba"), both) == {None: (1, 1, 0)}


def test_a_team_whose_time_ran_out_does_not_take_it_later() -> None:
    there = [team("S", "fixed_order", agent("a"), agent("b")), agent("c")]
    asked = Tried({IDS["a"]: "timed_out"}, {IDS["S"]: AT - timedelta(seconds=60)})
    enquiry = past(rule("Sc"), *there, tried=asked)
    assert played(rule("Sc"), enquiry) == {"c": (1, 1, 0)}


def test_a_bot_that_handed_over_does_not_keep_it() -> None:
    enquiry = past(rule("Ba"), ROBOT, agent("a"), tried=Tried({IDS["B"]: "handed_over"}))
    assert played(rule("Ba"), enquiry) == {"a": (1, 1, 0)}


def test_who_wrote_first_stays_first_and_sticky_is_found_anew() -> None:
    wrote = past(rule("a"), agent("a"), agent("b"), first=IDS["b"])
    assert played(rule("a"), wrote) == {"b": (1, 1, 0)}
    served = PastEnquiry(
        opened_at=AT,
        went_to=IDS["b"],
        assignment=wrote.assignment,
        refused_by=frozenset(),
        served_before_by=IDS["b"],
        served_before_until=AT - timedelta(hours=1),
    )
    # It was sticky then, and the draft is not.
    assert played(rule("a"), served) == {"b": (1, 0, 0), "a": (0, 1, 0)}
    sticky = routing_of(
        {
            "rule": "alternative",
            "destinations": [{"id": IDS["a"], "timeout_seconds": 60}],
            "sticky": {"enabled": True, "valid_hours": 2},
            "waiting_limit_seconds": 300,
        }
    )
    assert sticky is not None
    assert played(sticky, served) == {"b": (1, 1, 0)}


def test_what_no_rule_decided_is_decided_when_it_came() -> None:
    enquiry = PastEnquiry(opened_at=AT, went_to=IDS["a"], assignment=None, refused_by=frozenset())
    assert played(rule("b"), enquiry, present=by_id(agent("b", "offline"))) == {
        "a": (1, 0, 0),
        "b": (0, 1, 1),
    }
