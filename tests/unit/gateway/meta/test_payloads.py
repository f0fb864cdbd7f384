"""Every body of the catalogue becomes what it should, and fits the published contract."""

import json

import pytest
from tests.support.bodies import APP, body_of, payload, payload_names, read
from tests.support.expectations.events import EVENTS
from tests.support.expectations.expected import Expected
from tests.support.expectations.instagram import INSTAGRAM_EVENTS
from tests.support.expectations.messages import MESSAGES

from gateway.contracts.canonical import RECORD, parse_json
from gateway.contracts.inbound import InboundEvent
from gateway.contracts.inbound_types import INBOUND_TYPES

EXPECTED = {
    **{f"messenger/{name}": expected for name, expected in MESSAGES.items()},
    **{f"messenger/{name}": expected for name, expected in EVENTS.items()},
    **{f"instagram/{name}": expected for name, expected in INSTAGRAM_EVENTS.items()},
}


def test_every_payload_has_an_expectation():
    assert not MESSAGES.keys() & EVENTS.keys()
    assert payload_names("messenger") == MESSAGES.keys() | EVENTS.keys()
    assert payload_names("instagram") == INSTAGRAM_EVENTS.keys()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_payload_becomes_its_events(name):
    kind = json.loads(payload(name))["object"]
    events = read(payload(name)).events
    assert [
        Expected(
            each.type,
            each.data,
            each.contact_id,
            each.source_id,
            each.kind,
            each.standby,
            each.occurred_at,
        )
        for each in events
    ] == EXPECTED[name]
    assert all(each.kind == {"page": "messenger"}.get(kind, each.kind) for each in events)
    assert all(each.meta_app_id == APP for each in events)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_its_events_fit_the_contract_and_survive_kafka(name):
    for event in read(payload(name)).events:
        known = INBOUND_TYPES[event.type]
        assert known.name == event.name
        # Not as JSON: pydantic's parser refuses the lone surrogates that an original may hold.
        parsed = known.model.model_validate(parse_json(event.value(), limits=RECORD))
        assert not parsed.model_extra
        assert not _unknown_fields(getattr(parsed, known.name))
        assert InboundEvent.from_record(event.headers(), event.value()) == event


def _unknown_fields(model):
    """Return fields that the contract does not describe, at any depth."""
    found = [*(model.model_extra or ())]
    for name in type(model).model_fields:
        value = getattr(model, name)
        for each in value if isinstance(value, list) else [value]:
            if hasattr(each, "model_extra"):
                found += _unknown_fields(each)
    return found


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_original_is_the_item_as_it_came(name):
    body = json.loads(payload(name))
    items = [
        item
        for entry in body.get("entry", [])
        for array in ("standby", "messaging", "changes")
        for item in entry.get(array, [])
    ]
    originals = [event.original for event in read(payload(name)).events]
    if name == "messenger/entry_missing":
        items = [body]
    elif name == "instagram/comment_on_the_entry":
        items = [{key: body["entry"][0][key] for key in ("field", "value")}]
    assert originals == items


def test_every_type_of_meta_is_in_the_catalogue():
    of_third_parties = {
        "gateway.typing.changed.v1",
        "gateway.status.reported.v1",
        "gateway.contact.updated.v1",
    }
    seen = {each.type for expected in EXPECTED.values() for each in expected}
    assert seen == INBOUND_TYPES.keys() - of_third_parties


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("changed_fields", {"changed-fields": 1}),
        ("no_items", {"entry-without-items": 1}),
        ("empty_arrays", {"empty-array": 2}),
        ("no_entries", {"no-entries": 1}),
        ("text", {}),
    ],
)
def test_what_has_no_item_is_counted(name, counted):
    assert read(payload(f"messenger/{name}")).without_event == counted


def test_what_is_odd_is_counted_and_read_all_the_same():
    assert read(payload("messenger/message_and_postback")).oddities == {"several-kinds": 1}
    assert read(payload("messenger/referral_lead")).oddities == {}
    twice = b'{"object":"user","object":"page","entry":[],"entry":[{"id":"1","id":"2"}]}'
    assert read(twice).oddities == {"repeated-keys": 2}
    assert read(body_of()).oddities == {}
