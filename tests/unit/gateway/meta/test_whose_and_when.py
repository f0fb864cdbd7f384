"""Source, contact and moment of an item, and what goes with every event."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.bodies import (
    APP,
    ARRIVAL,
    EVENT_MS,
    EVENT_TIME,
    INSTAGRAM,
    PAGE,
    PSID,
    body_of,
    messaging_item,
    one_event,
    payload,
)

from gateway.meta.normalise import normalise

MESSAGE = {"mid": "m_one", "text": "hi"}


@pytest.mark.parametrize(
    ("timestamp", "entry_time", "expected"),
    [
        (EVENT_MS, None, EVENT_TIME),
        (EVENT_MS // 1000, EVENT_MS + 9, EVENT_TIME),
        (str(EVENT_MS), None, EVENT_TIME),
        (str(EVENT_MS // 1000), None, EVENT_TIME),
        (None, EVENT_MS, EVENT_TIME),
        (None, EVENT_MS // 1000, EVENT_TIME),
        (None, str(EVENT_MS), EVENT_TIME),
        (None, None, ARRIVAL),
        (EVENT_MS + 10**8, None, ARRIVAL),
        (253402300799999, None, ARRIVAL),
        (-1, None, ARRIVAL),
        (0, None, ARRIVAL),
        ("soon", None, ARRIVAL),
        ([], None, ARRIVAL),
        (-1, EVENT_MS, EVENT_TIME),
        ("soon", "sooner", ARRIVAL),
        (10**12, None, ARRIVAL),
        (1_100_000_000, None, datetime(2004, 11, 9, 11, 33, 20, tzinfo=UTC)),
    ],
    ids=repr,
)
def test_the_moment_is_of_the_item_else_of_the_entry_else_the_arrival(
    timestamp, entry_time, expected
):
    item = messaging_item(message=MESSAGE, timestamp=timestamp)
    assert one_event(body_of(item, time=entry_time)).occurred_at == expected


def test_the_arrival_is_cut_to_what_is_written():
    precise = ARRIVAL + timedelta(microseconds=1234)
    item = messaging_item(message=MESSAGE, timestamp=None)
    event = one_event(body_of(item, time=None), at=precise)
    assert event.occurred_at == ARRIVAL + timedelta(milliseconds=1)


ECHO = {"mid": "m_echo", "is_echo": True}


@pytest.mark.parametrize(
    ("entry_id", "sender", "recipient", "message", "source_id", "contact_id"),
    [
        ("9", PSID, PAGE, MESSAGE, "9", PSID),
        ("9", PAGE, PSID, ECHO, "9", PSID),
        (PAGE, PAGE, PSID, MESSAGE, PAGE, PSID),
        (int(PAGE), PAGE, PSID, MESSAGE, PAGE, PSID),
        (None, PSID, PAGE, MESSAGE, PAGE, PSID),
        ("0", PSID, PAGE, MESSAGE, PAGE, PSID),
        (0, PSID, PAGE, MESSAGE, PAGE, PSID),
        (None, PAGE, PSID, ECHO, PAGE, PSID),
        ("0", PAGE, PSID, ECHO, PAGE, PSID),
        ([], PSID, PAGE, MESSAGE, PAGE, PSID),
        ("0", PSID, None, MESSAGE, "0", PSID),
    ],
    ids=repr,
)
def test_source_and_contact(entry_id, sender, recipient, message, source_id, contact_id):
    parties = {"sender": {"id": sender}, "recipient": {"id": recipient}}
    event = one_event(body_of(messaging_item(message=message, **parties), id=entry_id))
    assert event.type != "gateway.item.unrecognised.v1"
    assert (event.source_id, event.contact_id) == (source_id, contact_id)


def test_a_reference_stands_for_a_person_without_id():
    item = messaging_item(sender={"user_ref": 77}, message=MESSAGE)
    assert one_event(body_of(item)).contact_id == "ref.77"
    echo = messaging_item(sender={"id": PAGE}, recipient={"user_ref": "cb"}, message=ECHO)
    assert one_event(body_of(echo)).contact_id == "ref.cb"


@pytest.mark.parametrize(
    "weapon",
    [
        "../../etc/passwd",
        "%2e%2e%2f",
        "'; DROP TABLE messages; --",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "a\r\nSet-Cookie: x",
        "\x1b[31m",
        "__proto__",
        "١٢٣",
        "a:b:c",
        "x" * 512,
    ],
    ids=lambda weapon: repr(weapon)[:20],
)
def test_ids_are_data_and_only_data(weapon):
    item = messaging_item(sender={"id": weapon}, message={"mid": weapon, "text": weapon})
    event = one_event(body_of(item, id=weapon + "."))
    assert event.contact_id == event.data["id"] == event.data["text"] == weapon
    assert len(event.key.split(":")) == 3
    assert all(re.fullmatch(rb"[\x21-\x7e]+", value) for _, value in event.headers())


def test_the_trace_goes_with_every_event():
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    normalised = normalise(
        payload("messenger/two_pages_four_contacts"),
        meta_app_id=APP,
        received_at=ARRIVAL,
        traceparent=trace,
    )
    assert [event.traceparent for event in normalised.events] == [trace] * 4


def test_instagram_has_its_own_kind():
    assert one_event(payload("instagram/text")).key == f"instagram:{INSTAGRAM}:5544332211009988"


def test_attachments_may_be_many():
    images = [{"type": "image", "payload": {"url": f"https://cdn.example/{n}"}} for n in range(100)]
    event = one_event(body_of(messaging_item(message={"mid": "m", "attachments": images})))
    assert len(event.data["attachments"]) == 100


@pytest.mark.parametrize(
    ("decoration", "left_out"),
    [
        ({"title": 5}, {"title": "5"}),
        ({"title": []}, {}),
        ({"title": None}, {}),
    ],
    ids=repr,
)
def test_a_decoration_of_another_type_does_not_cost_the_event(decoration, left_out):
    event = one_event(body_of(messaging_item(postback={"mid": "m", **decoration})))
    assert event.data == {"id": "m", **left_out}
