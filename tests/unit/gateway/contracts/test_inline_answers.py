import json
from typing import Any

import pytest

from gateway.contracts.inline_answers import (
    CAUSED_BY_CONTACTS,
    MOST_MESSAGES,
    SILENT,
    Spoken,
    read_answer,
)
from routing.inbound.arrivals import MESSAGE_LIKE

HELLO = {"type": "text", "text": "hello"}


def read(document: Any) -> Spoken:
    return read_answer(json.dumps(document).encode())


def test_messages_are_read_in_their_places() -> None:
    image = {"type": "image", "url": "https://acme.example/a.png"}
    assert read({"messages": [HELLO, image]}) == Spoken({0: HELLO, 1: image})


@pytest.mark.parametrize(
    "body", [b"", b"ok", b"\xff", b"null", b"[]", b"{}", b'{"ok": true}', b"[" * 100_000]
)
def test_most_answers_say_nothing(body: bytes) -> None:
    assert read_answer(body) == SILENT


def test_what_cannot_be_said_is_left_out_and_named_without_its_words() -> None:
    secret = "attack at dawn"
    spoken = read(
        {
            "messages": [
                HELLO,
                {"type": "text", "text": " "},
                {"type": "smoke", "text": secret},
                secret,
                {"type": "text", "text": secret, secret: 1},
                {"type": "image"},
            ]
        }
    )
    assert dict(spoken.contents) == {0: HELLO}
    assert len(spoken.faults) == 5
    assert all(fault.startswith(f"/messages/{n}") for n, fault in enumerate(spoken.faults, 1))
    assert secret not in " ".join(spoken.faults)


def test_messages_that_are_no_list_are_a_fault() -> None:
    assert read({"messages": HELLO}) == Spoken({}, ("/messages: list_type",))


def test_there_is_a_limit() -> None:
    spoken = read({"messages": [HELLO] * (MOST_MESSAGES + 1)})
    assert len(spoken.contents) == MOST_MESSAGES
    assert len(spoken.faults) == 1


def test_only_what_contacts_do_may_be_answered() -> None:
    assert CAUSED_BY_CONTACTS == MESSAGE_LIKE
