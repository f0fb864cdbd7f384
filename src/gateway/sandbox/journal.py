"""What the sandbox received and sent, in order and unmasked: a test instrument, never a log."""

import asyncio
import base64
import contextlib
import itertools
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from gateway.contracts.moments import rfc3339

MAX_BODY_BYTES: Final = 1024 * 1024
_ENTRY_OVERHEAD: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One call received or webhook sent, as it becomes an entry.

    `status` is None when no status went out (or, for a webhook, came back). `notes` are fields
    beside the fixed ones, such as the fault that struck.
    """

    at: datetime
    kind: Literal["call", "webhook"]
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int | None
    notes: Mapping[str, Any]

    @property
    def weight(self) -> int:
        """About how many bytes of memory the record holds."""
        headers = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.body) + headers + len(self.path) + len(self.query) + _ENTRY_OVERHEAD


class Journal:
    """Entries numbered from 1 without gaps; the oldest go when there are too many."""

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        self._records: deque[Record] = deque()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._first = 1
        self._bells: set[asyncio.Event] = set()

    def add(self, record: Record) -> int:
        """Append a record and return its number.

        A record is added when its outcome is known, and never changes: who reads with a cursor
        misses nothing.
        """
        self._records.append(record)
        self._bytes += record.weight
        number = self._first + len(self._records) - 1
        while len(self._records) > self._max_entries or (
            self._bytes > self._max_bytes and len(self._records) > 1
        ):
            self._bytes -= self._records.popleft().weight
            self._first += 1
        for bell in self._bells:
            bell.set()
        return number

    def after(self, number: int, *, limit: int) -> list[dict[str, Any]]:
        """Return up to `limit` entries numbered higher than `number`, oldest first."""
        start = max(number + 1, self._first) - self._first
        chosen = itertools.islice(self._records, start, start + limit)
        return [_entry(self._first + start + i, record) for i, record in enumerate(chosen)]

    def newest(self, *, after: int) -> Iterator[tuple[int, Record]]:
        """Go through the records numbered higher than `after`, newest first."""
        number = self._first + len(self._records) - 1
        for record in reversed(self._records):
            if number <= after:
                return
            yield number, record
            number -= 1

    @contextlib.contextmanager
    def watched(self, bell: asyncio.Event) -> Iterator[None]:
        """Ring a bell at each new record while the context lasts."""
        self._bells.add(bell)
        try:
            yield
        finally:
            self._bells.discard(bell)


def text_headers(pairs: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """Return raw headers as text, names in lower case."""
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in pairs)


def _entry(number: int, record: Record) -> dict[str, Any]:
    kept = record.body[:MAX_BODY_BYTES]
    entry: dict[str, Any] = {
        "n": number,
        "at": rfc3339(record.at),
        "kind": record.kind,
        "method": record.method,
        "path": record.path,
        "query": _grouped(parse_qsl(record.query, keep_blank_values=True)),
        "headers": _grouped(record.headers, joiner=", "),
        "body": kept.decode("utf-8", "replace"),
        "status": record.status,
        **record.notes,
    }
    if len(record.body) > MAX_BODY_BYTES:
        entry["body_bytes"] = len(record.body)
    try:
        entry["json"] = json.loads(kept.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        entry["body_base64"] = base64.b64encode(kept).decode("ascii")
    except (ValueError, RecursionError):
        pass
    return entry


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _grouped(
    pairs: Iterable[tuple[str, str]], *, joiner: str | None = None
) -> dict[str, str | list[str]]:
    """Return pairs as a mapping: a repeated name has all its values, joined or as a list."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {
        name: values[0] if len(values) == 1 else (values if joiner is None else joiner.join(values))
        for name, values in found.items()
    }
