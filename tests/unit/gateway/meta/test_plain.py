"""The plain message, which is read at once: it has to come out as walking the body makes it."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.bodies import (
    APP,
    ARRIVAL,
    EVENT_MS,
    PAGE,
    PSID,
    body_of,
    messaging_item,
    payload,
    payload_names,
)

from gateway.contracts.moments import whole_milliseconds
from gateway.meta.normalise import Normalised, normalise, walk
from gateway.meta.plain import plain_message

PLAIN = body_of(messaging_item(message={"mid": "m_1", "text": "hello"}))
RAW = json.dumps(PLAIN).encode()


def both(raw: bytes) -> tuple[Normalised, Normalised]:
    return (
        normalise(raw, meta_app_id=APP, received_at=ARRIVAL),
        walk(raw, meta_app_id=APP, received_at=ARRIVAL),
    )


def is_plain(raw: bytes) -> bool:
    return plain_message(raw, APP, whole_milliseconds(ARRIVAL), None) is not None


def check(raw: bytes) -> None:
    """Compare events, their records and all that is counted."""
    found, walked = both(raw)
    assert found == walked
    assert [each.value() for each in found.events] == [each.value() for each in walked.events]
    assert [each.headers() for each in found.events] == [each.headers() for each in walked.events]


def with_message(text: str) -> bytes:
    return RAW.replace(b'"hello"', text.encode())


@pytest.mark.parametrize(
    "raw",
    [
        RAW,
        json.dumps(PLAIN | {"object": "instagram"}).encode(),
        json.dumps(PLAIN, indent=2).encode(),
        json.dumps(PLAIN, separators=(",", ":")).encode() + b"\n",
        with_message('""'),
        with_message('":,{[}]"'),
        with_message(r'"a\nb\/c \u00e9 \ud83d\ude42"'),
        with_message('"привет, 世界 🙂"'),
        with_message(r'"\u0022quoted\u0022"'),
    ],
)
def test_an_ordinary_message_is_read_at_once(raw):
    assert is_plain(raw)
    check(raw)


@pytest.mark.parametrize(
    "raw",
    [
        # What the strict parser tells apart, and orjson would not.
        RAW.replace(b'{"object"', b'{"object": "user", "object"'),
        RAW.replace(b'"mid"', b'"mid": "m_0", "mid"'),
        RAW.replace(b'"mid"', b'"mid" : "m_0", "mid"'),
        RAW.replace(b'"text"', b'"text": 7, "text"'),
        RAW.replace(str(EVENT_MS).encode(), str(2**64).encode()),
        RAW.replace(str(EVENT_MS).encode(), b"1" * 601),
        RAW.replace(str(EVENT_MS).encode(), b"1795258800000.0"),
        with_message(r'"\ud83d"'),
        with_message(r'"a\u0000b"'),
        with_message(r'"said \"yes\""'),
        with_message('"a\0b"'),
        with_message("null"),
        with_message("[]"),
        b"\xef\xbb\xbf" + RAW,
        RAW + b"x",
        RAW[:-1],
        RAW.decode().encode("utf-16"),
        with_message('"caf\xe9"').replace("é".encode(), b"\xe9"),
        # Another kind of body, or of item.
        json.dumps(PLAIN | {"object": "permissions"}).encode(),
        json.dumps(PLAIN | {"object": ["page"]}).encode(),
        json.dumps(body_of(*PLAIN["entry"][0]["messaging"] * 2)).encode(),
        json.dumps(body_of(PLAIN["entry"][0]["messaging"][0], array="standby")).encode(),
        json.dumps(body_of(messaging_item(message={"mid": "m", "text": "t"}), id="0")).encode(),
        json.dumps(body_of(messaging_item(message={"mid": "", "text": "t"}))).encode(),
        json.dumps(body_of(messaging_item(message={"mid": 7, "text": "t"}))).encode(),
        json.dumps(body_of(messaging_item(message={"mid": "m" * 513, "text": "t"}))).encode(),
        json.dumps(
            body_of(messaging_item(sender={"id": PAGE}, message={"mid": "m", "text": "t"}))
        ).encode(),
        json.dumps(
            body_of(messaging_item(message={"mid": "m", "text": "t", "is_echo": True}))
        ).encode(),
        json.dumps(
            body_of(messaging_item(timestamp=7, message={"mid": "m", "text": "t"}))
        ).encode(),
        json.dumps(
            body_of(messaging_item(timestamp=True, message={"mid": "m", "text": "t"}))
        ).encode(),
    ],
)
def test_what_is_not_quite_ordinary_is_walked(raw):
    assert not is_plain(raw)
    check(raw)


@pytest.mark.parametrize(
    "path",
    [f"{folder}/{name}" for folder in ("messenger", "instagram") for name in payload_names(folder)],
)
def test_the_catalogue_comes_out_the_same(path):
    check(payload(path))


PIECES = st.sampled_from(
    [
        *[bytes([each]) for each in b'":,{}[]\\ 0-e\0\xff'],
        *[rb"\u0000", rb"\ud800", b"true", b"null", b'"id":', b'"mid": "x",', b'"":"",', b"9" * 20],
    ]
)


@given(st.lists(st.tuples(st.integers(0, len(RAW)), st.integers(0, 6), PIECES), max_size=3))
@settings(max_examples=600)
def test_a_damaged_message_comes_out_the_same(damages):
    raw = RAW
    for at, length, piece in damages:
        raw = raw[:at] + piece + raw[at + length :]
    check(raw)


IDS = st.sampled_from([PAGE, PSID, "0", "", 7, None, "é"]) | st.text(max_size=5)


@given(
    object_=st.sampled_from(["page", "instagram", "", None]),
    page=IDS,
    sender=IDS,
    recipient=IDS,
    mid=IDS,
    text=st.text(st.characters(exclude_categories=())) | st.none() | st.integers(),
    times=st.tuples(*[st.integers() | st.integers(0, 2 * EVENT_MS) | st.floats(width=32)] * 2),
    ascii_only=st.booleans(),
)
@example(
    object_="page",
    page=PAGE,
    sender=PSID,
    recipient=PAGE,
    mid="m",
    text="of the future",
    times=(2 * EVENT_MS, EVENT_MS),
    ascii_only=True,
)
@settings(max_examples=600)
def test_any_message_comes_out_the_same(
    object_: Any,
    page: Any,
    sender: Any,
    recipient: Any,
    mid: Any,
    text: Any,
    times: tuple[Any, Any],
    *,
    ascii_only: bool,
) -> None:
    item = {
        "sender": {"id": sender},
        "recipient": {"id": recipient},
        "timestamp": times[0],
        "message": {"mid": mid, "text": text},
    }
    body = {"object": object_, "entry": [{"id": page, "time": times[1], "messaging": [item]}]}
    check(json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "backslashreplace"))
