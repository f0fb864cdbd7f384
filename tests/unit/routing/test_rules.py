"""Which routing configurations are accepted, and where the faults of the others are."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import ids
from gateway.errors import InvalidFieldsError
from routing.configuration import validate_routing
from routing.rules import routing_of

A, B, C, D, E, F = (ids.new_id(ids.AGENT) for _ in range(6))


def alternative(*destinations: Any, **further: Any) -> dict[str, Any]:
    return {
        "rule": "alternative",
        "destinations": [{"id": each} if isinstance(each, str) else each for each in destinations],
        **further,
    }


def test_defaults_are_filled_in() -> None:
    assert validate_routing(alternative(A, {"id": B, "timeout_seconds": 5})) == {
        "rule": "alternative",
        "destinations": [
            {"id": A, "timeout_seconds": 60},
            {"id": B, "timeout_seconds": 5},
        ],
        "sticky": {"enabled": False, "valid_hours": 24},
        "waiting_limit_seconds": 300,
    }


def test_what_was_accepted_is_accepted_again() -> None:
    accepted = validate_routing(
        alternative(A, B, waiting_limit_seconds=86_400, sticky={"enabled": False})
    )
    assert validate_routing(accepted) == accepted


def test_the_engine_reads_what_was_accepted() -> None:
    routing = routing_of(validate_routing(alternative({"id": A, "timeout_seconds": 5}, B)))
    assert routing is not None
    assert routing.destination_ids == [A, B]
    assert routing.timeout_of(A) == timedelta(seconds=5)
    assert routing.timeout_of("who is not listed") == timedelta(seconds=60)
    assert routing.waiting_limit == timedelta(seconds=300)
    assert routing_of(None) is None


FAULTS = {
    "no object": ([], [("", "wrong-type")]),
    "no rule": ({"destinations": [{"id": A}]}, [("/rule", "missing")]),
    "another rule": ({"rule": "chance", "destinations": [{"id": A}]}, [("/rule", "not-one-of")]),
    "no destinations": ({"rule": "alternative"}, [("/destinations", "missing")]),
    "an empty list": (alternative(), [("/destinations", "too-few")]),
    "six destinations": (alternative(A, B, C, D, E, F), [("/destinations", "too-many")]),
    "destinations that are no list": (
        {"rule": "alternative", "destinations": {"id": A}},
        [("/destinations", "wrong-type")],
    ),
    "a destination that is no object": (alternative(A, 7), [("/destinations/1", "wrong-type")]),
    "a destination without id": (
        alternative(A, {"timeout_seconds": 5}),
        [("/destinations/1/id", "missing")],
    ),
    "an id that is none": (
        alternative(A, "agt_nobody", {"id": 7}, {"id": ids.new_id(ids.CHANNEL)}),
        [
            ("/destinations/1/id", "unknown-destination"),
            ("/destinations/2/id", "unknown-destination"),
            ("/destinations/3/id", "unknown-destination"),
        ],
    ),
    "the same twice": (alternative(A, B, A), [("/destinations/2/id", "duplicate")]),
    "a share": (
        alternative({"id": A, "share": 100}),
        [("/destinations/0/share", "not-applicable")],
    ),
    "a timetable": (alternative(A, time={}), [("/time", "not-applicable")]),
    "no time at all": (
        alternative({"id": A, "timeout_seconds": 0}),
        [("/destinations/0/timeout_seconds", "out-of-range")],
    ),
    "more than a day": (
        alternative({"id": A, "timeout_seconds": 86_401}, waiting_limit_seconds=86_401),
        [
            ("/destinations/0/timeout_seconds", "out-of-range"),
            ("/waiting_limit_seconds", "out-of-range"),
        ],
    ),
    "half a second": (
        alternative({"id": A, "timeout_seconds": 0.5}),
        [("/destinations/0/timeout_seconds", "wrong-type")],
    ),
    "a truth value for a number": (
        alternative(A, waiting_limit_seconds=True),
        [("/waiting_limit_seconds", "wrong-type")],
    ),
    "null for a number": (
        alternative(A, waiting_limit_seconds=None),
        [("/waiting_limit_seconds", "wrong-type")],
    ),
    "unknown fields": (
        alternative({"id": A, "weight": 1}, **{"a/b~c": 1}),
        [("/a~1b~0c", "unknown-field"), ("/destinations/0/weight", "unknown-field")],
    ),
    "sticky that is no object": (alternative(A, sticky=True), [("/sticky", "wrong-type")]),
    "sticky with odd members": (
        alternative(A, sticky={"enabled": 1, "valid_hours": 0, "agent": A}),
        [
            ("/sticky/agent", "unknown-field"),
            ("/sticky/enabled", "wrong-type"),
            ("/sticky/valid_hours", "out-of-range"),
        ],
    ),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("prefix", ["", "/routing"])
def test_every_fault_points_at_the_very_field(name: str, prefix: str) -> None:
    raw, expected = FAULTS[name]
    with pytest.raises(InvalidFieldsError) as refused:
        validate_routing(raw, pointer_prefix=prefix)
    faults = [(fault.pointer, fault.code) for fault in refused.value.faults]
    assert faults == [(prefix + pointer, code) for pointer, code in expected]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
FIELDS = st.sampled_from(["rule", "destinations", "sticky", "waiting_limit_seconds", "time", "x"])


@given(st.dictionaries(FIELDS, JSON | st.sampled_from(["alternative", 60, [{"id": A}]])) | JSON)
def test_anything_else_is_refused_and_never_an_error_of_ours(raw: Any) -> None:
    try:
        accepted = validate_routing(raw)
    except InvalidFieldsError as error:
        refused = list(error.faults)
        accepted = None
    else:
        refused = []
    assert bool(refused) == (routing_of(accepted) is None)
