"""What holds for any body: one event for every item, and never an exception."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.bodies import ARRIVAL, PAGE, PSID, messaging_item, payload, payload_names, read

from gateway.contracts.canonical import RECORD, parse_json
from gateway.contracts.inbound import InboundEvent
from gateway.contracts.inbound_types import INBOUND_TYPES


def items_in(body: Any) -> int:
    """Count the items of a body by the interface's words, not by the code's."""
    if not isinstance(body, dict) or not isinstance(body.get("entry"), list):
        return 1
    count = 0
    for entry in body["entry"]:
        if not isinstance(entry, dict):
            count += 1
            continue
        arrays = [entry[name] for name in ("messaging", "standby", "changes") if name in entry]
        count += sum(len(array) if isinstance(array, list) else 1 for array in arrays)
        count += not arrays and "field" in entry
    return count


def check(raw: bytes, expected: int) -> list[InboundEvent]:
    """Check everything that holds for the events of any body."""
    events = read(raw).events
    assert len(events) == expected
    assert [event.id for event in read(raw).events] == [event.id for event in events]
    for event in events:
        assert event.data.get("reason") != "unexpected"
        assert event.occurred_at <= ARRIVAL
        assert re.fullmatch(r"[a-z]+:[A-Za-z0-9%._~!-]*:[A-Za-z0-9%._~!-]*", event.key)
        value = event.value()
        assert InboundEvent.from_record(event.headers(), value) == event
        INBOUND_TYPES[event.type].model.model_validate(parse_json(value, limits=RECORD))
        # What is not the original can be stored as it is.
        facts = json.dumps([event.data, event.source_id, event.contact_id], ensure_ascii=False)
        assert re.search("[\0\ud800-\udfff]", facts) is None
    return events


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**12, 2 * 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=8,
)


def words_of_the_catalogue() -> list[str]:
    found: set[str] = set()
    for folder in ("messenger", "instagram"):
        for name in payload_names(folder):
            found.update(re.findall(r'"([a-z_-]+)":', payload(f"{folder}/{name}").decode()))
    return sorted(found)


MEMBERS = st.sampled_from(words_of_the_catalogue())
PARTY = st.fixed_dictionaries(
    {}, optional={"id": st.sampled_from([PAGE, PSID, "", "0", 7, None]), "user_ref": ANYTHING}
)
LIKELY: st.SearchStrategy[Any] = st.deferred(
    lambda: ANYTHING | OBJECTS | st.lists(OBJECTS, max_size=2)
)
OBJECTS: st.SearchStrategy[Any] = st.dictionaries(MEMBERS, LIKELY, max_size=5)
ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "sender": PARTY | ANYTHING,
        "recipient": PARTY | ANYTHING,
        "timestamp": ANYTHING,
        "message": OBJECTS,
        "postback": OBJECTS,
        "delivery": OBJECTS,
        "reaction": OBJECTS,
        "optin": OBJECTS,
        "field": MEMBERS,
        "value": OBJECTS,
    },
)
ARRAYS = st.lists(ITEMS | OBJECTS | ANYTHING, max_size=4) | ANYTHING
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from([PAGE, "0", 7]) | ANYTHING,
        "time": ANYTHING,
        "messaging": ARRAYS,
        "standby": ARRAYS,
        "changes": ARRAYS,
        "changed_fields": ANYTHING,
        "field": ANYTHING,
    },
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "object": st.sampled_from(["page", "instagram", "permissions", "user"]) | ANYTHING,
        "entry": st.lists(ENTRIES | ANYTHING, max_size=3) | ANYTHING,
    },
)


@given(BODIES | ANYTHING, st.booleans())
@settings(max_examples=400)
def test_any_json_gives_one_event_for_every_item(body, ascii_only):
    raw = json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "backslashreplace")
    check(raw, items_in(body))


@given(st.binary(max_size=400))
def test_any_bytes_give_events(raw):
    try:
        expected = items_in(parse_json(raw))
    except Exception:  # noqa: BLE001 - whatever the reason
        expected = 1
    check(raw, expected)


@given(st.sampled_from(sorted(payload_names("messenger"))), st.data())
def test_a_damaged_body_gives_events(name, data):
    raw = bytearray(payload(f"messenger/{name}"))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    events = read(bytes(raw)).events
    assert all(event.data.get("reason") != "unexpected" for event in events)


def paths_in(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for step, inner in steps:
        found.append((*way, step))
        if isinstance(inner, dict | list):
            found += paths_in(inner, (*way, step))
    return found


REPLACEMENTS: list[Any] = [None, True, 10**400, -1.5, "\ud800\0", [], {}, [None], {"id": {}}]


# What nearly every body has is tried in one of them.
COMMON = {"object", "time", "sender", "recipient", "timestamp", "id"}


@pytest.mark.parametrize("folder", ["messenger", "instagram"])
def test_no_field_of_any_event_breaks_its_siblings_whatever_it_holds(folder):
    good = messaging_item(message={"mid": "m_good", "text": "good"})
    for name in sorted(payload_names(folder)):
        body = json.loads(payload(f"{folder}/{name}"))
        for path in paths_in(body):
            if name != "text" and path[-1] in COMMON:
                continue
            for replacement in REPLACEMENTS:
                changed = json.loads(payload(f"{folder}/{name}"))
                spot = changed
                for step in path[:-1]:
                    spot = spot[step]
                spot[path[-1]] = replacement
                if isinstance(changed.get("entry"), list):
                    changed["entry"].append({"id": PAGE, "messaging": [good]})
                events = read(changed).events
                assert len(events) == items_in(changed)
                assert all(each.data.get("reason") != "unexpected" for each in events)
                if changed.get("object") == "page" and isinstance(changed.get("entry"), list):
                    assert events[-1].data["id"] == "m_good"
