import json
from dataclasses import asdict
from datetime import timedelta

import pytest
from tests.support.bodies import ARRIVAL, EVENT_TIME, payload, payload_names

from gateway.contracts.inbound import InboundEvent
from gateway.contracts.inbound_types import INBOUND_TYPES
from gateway.contracts.third_party import (
    contact_event,
    message_event,
    status_event,
    typing_event,
)

CHANNEL = "chn_01kb0000000000000000000000"
VISITOR = {"id": "visitor-9"}


def build(name):
    item = json.loads(payload(f"third_party/{name}"))
    makers = {"status": status_event, "typing": typing_event, "contact": contact_event}
    maker = makers.get(name.partition("_")[0], message_event)
    return maker(CHANNEL, item, ARRIVAL)


EXPECTED = {
    "text": {
        "id": "tp-1",
        "type": "text",
        "attachments": [],
        "text": "hello",
        "contact": {
            "id": "visitor-9",
            "name": "Ada Lovelace",
            "first_name": "Ada",
            "last_name": "Lovelace",
            "email": "ada@example.com",
            "phone": "+440000",
            "avatar_url": "https://cdn.example/ada.png",
            "locale": "en_GB",
            "attributes": {"plan": "gold", "visits": 3},
        },
    },
    "image_by_url": {
        "id": "tp-2",
        "type": "image",
        "attachments": [
            {"type": "image", "url": "https://cdn.example/i.jpg", "mime_type": "image/jpeg"}
        ],
        "text": "look",
        "contact": VISITOR,
    },
    "file_by_media_id": {
        "id": "tp-3",
        "type": "file",
        "attachments": [
            {"type": "file", "media_id": "med_01kb0000000000000000000000", "name": "order.pdf"}
        ],
        "contact": VISITOR,
    },
    "location": {
        "id": "tp-4",
        "type": "location",
        "attachments": [
            {"type": "location", "latitude": 51.5, "longitude": -0.12, "name": "Bridge"}
        ],
        "contact": VISITOR,
    },
    "reply": {
        "id": "tp-5",
        "type": "text",
        "attachments": [],
        "text": "that",
        "reply_to": {"message_id": "msg_01kb0000000000000000000000"},
        "contact": VISITOR,
    },
    "postback": {"id": "tp-6", "title": "Menu", "payload": "MENU", "contact": VISITOR},
    "status_read": {"message_id": "msg_01kb0000000000000000000000", "status": "read"},
    "status_failed": {
        "message_id": "theirs-7",
        "status": "failed",
        "error": "number not in service",
    },
    "typing": {"state": "on"},
    "contact": {
        "id": "visitor-9",
        "name": "Ada Lovelace",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email": "ada@example.com",
        "phone": "+440000",
        "avatar_url": "https://cdn.example/ada.png",
        "locale": "en_GB",
        "attributes": {"plan": "gold", "visits": 3},
    },
}
TYPES = {
    "postback": "gateway.postback.received.v1",
    "status_read": "gateway.status.reported.v1",
    "status_failed": "gateway.status.reported.v1",
    "typing": "gateway.typing.changed.v1",
    "contact": "gateway.contact.updated.v1",
}


def test_every_payload_has_an_expectation():
    assert payload_names("third_party") == EXPECTED.keys()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_payload_becomes_the_event_that_fits_the_contract(name):
    event = build(name)
    assert event.type == TYPES.get(name, "gateway.message.received.v1")
    assert event.data == EXPECTED[name]
    assert event.original == json.loads(payload(f"third_party/{name}"))
    assert (event.kind, event.source_id) == ("third_party", CHANNEL)
    assert event.contact_id == ("-" if name.startswith("status") else "visitor-9")
    assert (event.meta_app_id, event.standby) == (None, False)
    INBOUND_TYPES[event.type].model.model_validate_json(event.value())
    assert InboundEvent.from_record(event.headers(), event.value()) == event


def test_the_value_names_no_meta_app():
    assert "meta_app_id" not in json.loads(build("text").value())


def test_the_moment_is_the_senders_but_never_later_than_the_arrival():
    assert build("text").occurred_at == EVENT_TIME + timedelta(milliseconds=250)
    assert build("image_by_url").occurred_at == EVENT_TIME
    assert build("status_read").occurred_at == EVENT_TIME
    assert build("reply").occurred_at == ARRIVAL
    item = json.loads(payload("third_party/text")) | {"timestamp": "2026-11-21T13:00:00Z"}
    assert message_event(CHANNEL, item, ARRIVAL).occurred_at == ARRIVAL


def message(**changed):
    return json.loads(payload("third_party/text")) | changed


def test_a_message_is_known_by_its_senders_id():
    first = message_event(CHANNEL, message(), ARRIVAL)
    later = message_event(CHANNEL, message(text="else"), ARRIVAL + timedelta(days=1))
    assert later.id == first.id
    assert later.original_hash() != first.original_hash()
    assert message_event(CHANNEL, message(id="tp-1b"), ARRIVAL).id != first.id
    assert message_event("chn_other", message(), ARRIVAL).id != first.id


def test_a_status_is_known_by_message_and_status():
    def status(**changed):
        item = {"message_id": "m", "status": "read"} | changed
        return status_event(CHANNEL, item, ARRIVAL).id

    assert status() == status(timestamp=1795258800)
    assert len({status(), status(status="delivered"), status(message_id="n")}) == 3


def test_typing_and_profiles_are_new_each_time():
    assert build("typing").id != build("typing").id
    assert build("contact").id != build("contact").id


def test_ids_are_frozen():
    assert message_event(CHANNEL, message(), ARRIVAL).id == "evt_2d8rer1wkgbctrt893mfpqc832"
    assert build("postback").id == "evt_626hexdcptb7p9fz3f2a7npw25"
    assert build("status_read").id == "evt_4qfcbycyv6ayebxavk38h0x842"


def test_what_no_database_takes_is_replaced_in_our_words_only():
    item = message(id="a\0", text="b\ud800", contact={"id": "c\0", "name": "d\0"})
    event = message_event(CHANNEL, item, ARRIVAL)
    assert (event.data["id"], event.data["text"], event.contact_id) == (
        "a\ufffd",
        "b\ufffd",
        "c\ufffd",
    )
    assert event.data["contact"]["name"] == "d\ufffd"
    assert event.original == item
    assert asdict(InboundEvent.from_record(event.headers(), event.value())) == asdict(event)


def test_the_trace_goes_with_the_event():
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    event = message_event(CHANNEL, message(), ARRIVAL, traceparent=trace)
    assert dict(event.headers())["ce_traceparent"] == trace.encode()
