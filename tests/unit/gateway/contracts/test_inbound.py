import json
import re
from dataclasses import replace
from urllib.parse import unquote

import pytest
from cloudevents.core.bindings import kafka
from hypothesis import given
from hypothesis import strategies as st
from tests.support.bodies import (
    APP,
    EVENT_TIME,
    PAGE,
    PSID,
    body_of,
    messaging_item,
    one_event,
    payload,
    read,
)

from gateway.contracts.canonical import canonical_hash
from gateway.contracts.envelope import Attributes, UndecodableRecordError, to_headers
from gateway.contracts.inbound import NORMALISER_VERSION, InboundEvent, inbound_key

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def event():
    return replace(one_event(payload("messenger/text")), traceparent=TRACE)


def test_the_value_has_the_facts_the_object_and_the_original(event):
    assert json.loads(event.value()) == {
        "kind": "messenger",
        "source_id": "106540352242922",
        "contact_id": "7788990011223344",
        "meta_app_id": "400500600700800",
        "standby": False,
        "occurred_at": "2026-11-21T11:00:00.000Z",
        "message": {
            "id": "m_one",
            "type": "text",
            "attachments": [],
            "text": "hello, when do you open tomorrow?",
        },
        "original": json.loads(payload("messenger/text"))["entry"][0]["messaging"][0],
    }


def test_an_unrecognised_item_says_why_at_the_top_as_well():
    value = json.loads(one_event(payload("messenger/payment")).value())
    assert value["reason"] == value["unrecognised"]["reason"] == "payment"


def test_the_headers_name_the_channel_and_the_conversation(event):
    assert dict(event.headers()) == {
        "ce_specversion": b"1.0",
        "ce_id": event.id.encode(),
        "ce_source": b"/channels/messenger/106540352242922",
        "ce_type": b"gateway.message.received.v1",
        "ce_time": b"2026-11-21T11:00:00.000Z",
        "ce_subject": b"messenger:106540352242922:7788990011223344",
        "ce_partitionkey": b"messenger:106540352242922:7788990011223344",
        "ce_traceparent": TRACE.encode(),
        "ce_normaliserversion": NORMALISER_VERSION.encode(),
        "content-type": b"application/json",
    }


@pytest.mark.parametrize("traceparent", [None, TRACE])
def test_the_headers_are_those_of_any_record_of_ours(event, traceparent):
    event = replace(event, traceparent=traceparent)
    attributes = Attributes(
        id=event.id,
        source="/channels/messenger/106540352242922",
        type=event.type,
        time=event.occurred_at,
        subject=event.key,
        partitionkey=event.key,
        traceparent=traceparent,
        normaliserversion=event.normaliser_version,
    )
    assert event.headers() == to_headers(attributes)


def test_a_record_is_read_back_as_the_event(event):
    decoded = InboundEvent.from_record(event.headers(), event.value())
    assert decoded == event
    assert decoded.traceparent == TRACE
    assert decoded.original_hash() == canonical_hash(event.original)


def test_the_cncf_package_reads_the_record(event):
    record = kafka.KafkaMessage(dict(event.headers()), event.key.encode(), event.value())
    read_by_them = kafka.from_kafka_event(record)
    assert read_by_them.get_id() == event.id
    assert read_by_them.get_subject() == event.key
    assert read_by_them.get_extension("partitionkey") == event.key
    assert read_by_them.get_data() == json.loads(event.value())


def test_a_record_of_another_normaliser_keeps_its_version(event):
    old = replace(event, normaliser_version="0")
    assert InboundEvent.from_record(old.headers(), old.value()).normaliser_version == "0"


def test_fields_that_are_newer_than_this_code_are_kept(event):
    value = json.loads(event.value())
    value["message"]["mood"] = "cheerful"
    value["new_fact"] = 1
    decoded = InboundEvent.from_record(event.headers(), json.dumps(value).encode())
    assert decoded.data["mood"] == "cheerful"


BAD_VALUES = {
    "null": (None, "value-missing"),
    "empty": (b"", "value-not-json"),
    "no JSON": (b"not json", "value-not-json"),
    "no UTF-8": (b'{"kind":"\xff"}', "value-not-json"),
    "deep": (b"[" * 100_000, "value-not-json"),
    "an array": (b"[]", "value-malformed"),
    "an empty object": (b"{}", "value-malformed"),
}
BAD_HEADERS = {
    "type of the future": ({"ce_type": b"gateway.message.received.v2"}, "type-unknown"),
    "public type": ({"ce_type": b"gateway.enquiry.opened.v1"}, "type-unknown"),
    "no TypeID": ({"ce_id": b"1"}, "id-malformed"),
    "id of a message": ({"ce_id": b"msg_01kb0000000000000000000000"}, "id-malformed"),
    "version": ({"ce_specversion": b"9"}, "specversion-unknown"),
    "time": ({"ce_time": b"x"}, "time-malformed"),
}
BAD_MEMBERS = {
    "no kind": {"kind": ...},
    "kind": {"kind": 1},
    "source": {"source_id": None},
    "no contact": {"contact_id": ...},
    "contact": {"contact_id": 77},
    "app": {"meta_app_id": 77},
    "standby": {"standby": "no"},
    "time": {"occurred_at": "today"},
    "time as a number": {"occurred_at": 1795258800},
    "no original": {"original": ...},
    "no object": {"message": ...},
    "object is an array": {"message": []},
    "object is empty": {"message": {}},
    "object does not fit": {"message": {"id": "m", "type": "text", "attachments": {}}},
}


def refusal(headers, value):
    with pytest.raises(UndecodableRecordError) as caught:
        InboundEvent.from_record(headers, value)
    return caught.value.reason


@pytest.mark.parametrize("case", BAD_VALUES)
def test_a_value_that_is_not_ours_is_refused_with_a_reason(event, case):
    value, reason = BAD_VALUES[case]
    assert refusal(event.headers(), value) == reason


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_headers_that_are_not_ours_are_refused_with_a_reason(event, case):
    changed, reason = BAD_HEADERS[case]
    headers = dict(event.headers()) | changed
    assert refusal(list(headers.items()), event.value()) == reason


@pytest.mark.parametrize("case", BAD_MEMBERS)
def test_a_value_with_a_bad_member_is_refused(event, case):
    members = json.loads(event.value()) | BAD_MEMBERS[case]
    kept = {name: each for name, each in members.items() if each is not ...}
    assert refusal(event.headers(), json.dumps(kept).encode()) == "value-malformed"


@given(
    st.lists(st.tuples(st.sampled_from(["ce_id", "ce_type", "x"]) | st.text(), st.binary())),
    st.none() | st.binary(),
)
def test_any_record_is_read_or_refused(headers, value):
    with pytest.raises(UndecodableRecordError):
        InboundEvent.from_record(headers, value)


def test_what_a_record_hides_in_escapes_does_not_reach_the_database(event):
    value = event.value().replace(b"7788990011223344", rb"77\u0000\ud800", 1)
    assert InboundEvent.from_record(event.headers(), value).contact_id == "77\ufffd\ufffd"


def test_an_item_as_large_as_a_body_fits_in_a_record():
    limit, topic_limit = 4 * 2**20, 10 * 2**20
    frame = len(json.dumps(body_of(messaging_item(message={"mid": "m", "text": ""}))))
    for text in ("x" * (limit - frame), "\u0007" * ((limit - frame) // 6), "\u00e9" * 600_000):
        message = {"mid": "m", "text": text}
        event = one_event(json.dumps(body_of(messaging_item(message=message))).encode())
        assert len(event.value()) < topic_limit
    assert len(read(b"\xff" * limit).events[0].value()) < topic_limit
    numbers = b"[" + b"1e9," * 90_000 + b"0]"
    words = b"y" * (limit - len(numbers) - 500)
    item = b'{"sender":{"id":"1"},"recipient":{"id":"2"},"x":%b,"message":{"mid":"m","text":"%b"}}'
    body = b'{"object":"page","entry":[{"id":"2","messaging":[%b]}]}' % (item % (numbers, words))
    event = one_event(body)
    assert event.type == "gateway.message.received.v1"
    assert len(event.value()) < topic_limit


@pytest.mark.parametrize(
    ("source_id", "contact_id", "key"),
    [
        (PAGE, PSID, f"messenger:{PAGE}:{PSID}"),
        (PAGE, "-", f"messenger:{PAGE}:-"),
        (PAGE, "ref.cb-77", f"messenger:{PAGE}:ref.cb-77"),
        ("a:b", "c/d e", "messenger:a%3Ab:c%2Fd%20e"),
        ("a", "ü\0\r\n", "messenger:a:%C3%BC%00%0D%0A"),
        ("a", "٣", "messenger:a:%D9%A3"),
        ("a", "x" * 255, f"messenger:a:{'x' * 255}"),
    ],
)
def test_a_key_is_readable_and_keeps_ids_apart(source_id, contact_id, key):
    assert inbound_key("messenger", source_id, contact_id) == key


def test_a_long_id_is_shortened_without_cutting_an_escape():
    for length in range(250, 1200):
        part = inbound_key("messenger", "a", "é" * length).split(":")[2]
        assert len(part) <= 255
        assert re.fullmatch(r"(%C3%A9)+(%C3)?![0-9a-f]{64}", part)
    assert inbound_key("messenger", "a", "x" * 256) == (
        "messenger:a:"
        + "x" * 190
        + "!85e62acd750c4eb56b7b6a1d66dca5bfaac5f062608a1a893410d0288936c09a"
    )


IDS = st.text(st.characters(exclude_categories=()), max_size=400) | st.text("ab%!:-", max_size=600)


@given(IDS, IDS, IDS, IDS)
def test_distinct_ids_have_distinct_keys(source_id, contact_id, other_source, other_contact):
    key = inbound_key("messenger", source_id, contact_id)
    assert re.fullmatch(r"messenger:[A-Za-z0-9%._~!-]{0,255}:[A-Za-z0-9%._~!-]{0,255}", key)
    same = (source_id, contact_id) == (other_source, other_contact)
    assert (key == inbound_key("messenger", other_source, other_contact)) == same
    if "!" not in key:
        _, source, contact = key.split(":")
        assert unquote(source, errors="surrogatepass") == source_id
        assert unquote(contact, errors="surrogatepass") == contact_id


def test_the_event_carries_the_app_the_moment_and_the_version(event):
    assert (event.meta_app_id, event.occurred_at) == (APP, EVENT_TIME)
    assert event.normaliser_version == NORMALISER_VERSION
