"""Dead letters: what was set aside for a person. The row is the truth, the topic a copy."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert

from gateway.db.tables import dead_letters
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.domain.shards import DEAD_LETTER_SHARD


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A record or a delivery that could not be done, and why.

    `account_id` None: it belongs to no account, and the instance's administrator looks after it.
    `event_created_at` is that of the event which the delivery should have carried.
    """

    reason: str
    stage: str
    account_id: str | None = None
    attempts: int = 1
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    value: bytes | None = None
    delivery_id: str | None = None
    event_created_at: datetime | None = None
    contact_id: str | None = None
    id: str = field(default_factory=lambda: ids.new_id(ids.DEAD_LETTER))


async def set_aside(work: UnitOfWork, letters: Sequence[SetAside]) -> None:
    """Write dead letters; the relay copies them to their topic."""
    if not letters:
        return
    await work.connection.execute(insert(dead_letters), [_row(work, each) for each in letters])
    work.wake("relay", {DEAD_LETTER_SHARD})


def headers_as_json(headers: Sequence[tuple[str, bytes]]) -> dict[str, str]:
    """Return a record's headers as JSON can hold them: text, or `base64:` and what is not."""
    return {_header(name.encode()): _header(value) for name, value in headers}


def headers_from_json(headers: dict[str, str]) -> list[tuple[str, bytes]]:
    """Return the headers that `headers_as_json` wrote."""
    return [(_bytes(name).decode(), _bytes(value)) for name, value in headers.items()]


def _header(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or text.startswith("base64:"):
        return "base64:" + base64.b64encode(value).decode()
    return text


def _bytes(header: str) -> bytes:
    if header.startswith("base64:"):
        return base64.b64decode(header.removeprefix("base64:"))
    return header.encode()


def _row(work: UnitOfWork, letter: SetAside) -> dict[str, Any]:
    return {
        "id": letter.id,
        "account_id": letter.account_id,
        "reason": letter.reason,
        "stage": letter.stage,
        "attempts": letter.attempts,
        "topic": letter.topic,
        "partition": letter.partition,
        "record_offset": letter.offset,
        "record_key": letter.key,
        "record_headers": headers_as_json(letter.headers),
        "record_value": letter.value,
        "delivery_id": letter.delivery_id,
        "event_created_at": letter.event_created_at,
        "contact_id": letter.contact_id,
        "at": work.now,
    }
