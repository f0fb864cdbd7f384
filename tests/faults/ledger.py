"""What was sent, when, and what was answered: an append-only record that a checker can trust.

Each entry has its number `n` (the order in which things happened in the process that writes), the
time `at` (seconds since 1970), its `kind`, and the fields of its kind:

| kind | fields |
|---|---|
| `account` | `account` |
| `channel` | `account`, `channel`, `channel_kind`, `source` (Page id, or the channel's own) |
| `posted` | `posting`, `items` (`[channel, contact, mid]`, in order), `repeats` (postings) |
| `answered` | `posting`, `attempt`, `status` (null: a time-out or a reset, so nobody knows) |
| `reply` | `key`, `account`, `conversation`, `attempt` |
| `replied` | `key`, `attempt`, `status`, `message`, `replayed` |
| `heard` | `account`, `event`, `type`: an event that the feed told |
| `blow` | `blow` (`kill`, `freeze`, …), `role`, `pid`, `in_flight` (`[message, attempt]` then) |
| `back` | `role`, `seconds`: after a blow, the role was ready again |
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

Entry = dict[str, Any]


class Ledger:
    """Entries in memory and, where a path is given, in a file: a line of JSON each, at once."""

    def __init__(self, path: Path | None = None) -> None:
        self._entries: list[Entry] = []
        self._file = None if path is None else path.open("a", buffering=1)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the record that another process wrote."""
        ledger = cls()
        with path.open() as lines:
            ledger._entries = [json.loads(line) for line in lines]
        return ledger

    def note(self, kind: str, **fields: Any) -> Entry:
        """Append an entry."""
        entry = {"n": len(self._entries), "at": time.time(), "kind": kind, **fields}
        self._entries.append(entry)
        if self._file is not None:
            self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")
        return entry

    def of(self, kind: str) -> Iterator[Entry]:
        """Return the entries of a kind, oldest first."""
        return (entry for entry in self._entries if entry["kind"] == kind)

    def __len__(self) -> int:
        return len(self._entries)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
