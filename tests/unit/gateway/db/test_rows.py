"""Rows as JSON: moments, dataclasses, and what a fast encoder cannot hold."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.db.rows import as_json
from gateway.domain.message import MessageStatus

MOMENT = datetime(2026, 11, 22, 1, 2, 3, 456789, tzinfo=UTC)


@dataclass(slots=True)
class Row:
    id: str
    at: datetime
    status: MessageStatus
    content: dict[str, Any]
    _kept: tuple[int, ...] = field(default=())


@pytest.mark.parametrize(
    "content",
    [
        {"text": "håll\u0000o", "none": None, "list": [1, 2.5, True]},
        # Beyond 64 bits, as a third party's attributes may be.
        {"number": 10**30},
        # Half of a pair: the database refuses it, and says so.
        {"text": "\ud83d"},
    ],
)
def test_rows_are_read_back_as_they_were(content: dict[str, Any]) -> None:
    row = Row("a", MOMENT, MessageStatus.SENT, content, (1,))
    assert json.loads(as_json([row])) == [
        {"id": "a", "at": MOMENT.isoformat(), "status": "sent", "content": content}
    ]


def test_what_is_no_row_is_refused() -> None:
    with pytest.raises(TypeError):
        as_json([object()])
