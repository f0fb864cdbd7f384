"""Walks a webhook body: entries, their arrays, the items in them, in the order of the body."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from gateway.contracts.canonical import Json, canonical_hash, scrub
from gateway.contracts.inbound import NO_CONTACT, InboundEvent
from gateway.contracts.inbound_types import INBOUND_TYPES
from gateway.contracts.moments import as_moment
from gateway.domain.ids import event_id
from gateway.meta.changes import (
    MESSAGING_FIELDS,
    Change,
    recognise_change,
    recognise_permission,
    unrecognised_change,
)
from gateway.meta.fields import UnusableItemError, as_id, verbatim
from gateway.meta.items import (
    UNKNOWN_SOURCE,
    UNRECOGNISED_TYPE,
    Fact,
    Item,
    party_id,
    unrecognised,
)
from gateway.meta.recognise import kinds_of, recognise

MAX_ITEMS: Final = 10_000

_KIND_OF_OBJECT: Final = {"page": "messenger", "instagram": "instagram"}
_OTHER_KIND: Final = "meta"
_PERMISSIONS: Final = "permissions"
_ARRAYS: Final = frozenset({"messaging", "standby", "changes"})
# The reason of an item that a fault of ours left without a type.
_FAULT: Final = "unexpected"
# The entry id of test items, and of permissions.
_NO_ENTRY_ID: Final = "0"


class _Entry(NamedTuple):
    object: str
    kind: str
    id: str | None
    time: Json
    user_id: str | None

    @property
    def source_id(self) -> str:
        return UNKNOWN_SOURCE if self.id is None else self.id

    @property
    def time_text(self) -> str:
        return verbatim(self.time)


class _TooManyItemsError(Exception):
    pass


@dataclass(slots=True)
class Reading:
    """The events of one body as they are found, and counts of what gave none."""

    meta_app_id: str
    arrival: datetime
    traceparent: str | None
    needs_scrubbing: bool = False
    events: list[InboundEvent] = field(default_factory=list)
    without_event: dict[str, int] = field(default_factory=dict)
    oddities: dict[str, int] = field(default_factory=dict)

    def read(self, body: dict[str, Json]) -> None:
        """Read the items of a body that is a JSON object."""
        name = body.get("object")
        name = name if isinstance(name, str) else ""
        kind = _KIND_OF_OBJECT.get(name, _OTHER_KIND)
        nowhere = _Entry(name, kind, None, None, None)
        entries = body.get("entry")
        if not isinstance(entries, list):
            reason = "entry-not-an-array" if "entry" in body else "entry-missing"
            self._add_unrecognised(nowhere, body, reason)
            return
        if not entries:
            _count(self.without_event, "no-entries")
        try:
            for entry in entries:
                self._read_entry(nowhere, entry)
        except _TooManyItemsError:
            self.events.clear()
            self._add_unrecognised(nowhere, body, "too-many-items")

    def read_bad_json(self, body: bytes, detail: str) -> None:
        """Take a body that is not a JSON object for one item."""
        original = base64.b64encode(body).decode()
        data = {"reason": "bad-json", "detail": detail, "encoding": "base64"}
        unique = ("", "", canonical_hash(original).hex())
        fact = Fact(UNRECOGNISED_TYPE, data, NO_CONTACT, unique)
        self._add(fact, _OTHER_KIND, UNKNOWN_SOURCE, self.arrival, original)

    def _read_entry(self, nowhere: _Entry, raw: Json) -> None:
        if not isinstance(raw, dict):
            self._add_unrecognised(nowhere, raw, "entry-not-an-object")
            return
        id_, user_id, time = raw.get("id"), raw.get("uid"), raw.get("time")
        if self.needs_scrubbing:
            id_, user_id, time = scrub([id_, user_id, time])
        entry = _Entry(nowhere.object, nowhere.kind, as_id(id_), time, as_id(user_id))
        empty = True
        for name, array in raw.items():
            if name in _ARRAYS:
                self._read_array(entry, name, array)
                empty = False
        if empty and "field" in raw:
            # Instagram's business login puts the one change on the entry itself.
            change = {key: raw[key] for key in ("field", "value") if key in raw}
            self._read_item(entry, "changes", change)
        elif empty:
            reason = "changed-fields" if "changed_fields" in raw else "entry-without-items"
            _count(self.without_event, reason)

    def _read_array(self, entry: _Entry, name: str, array: Json) -> None:
        if not isinstance(array, list):
            self._add_unrecognised(entry, {name: array}, "items-not-an-array", name)
            return
        if not array:
            _count(self.without_event, "empty-array")
        for raw in array:
            self._read_item(entry, name, raw)

    def _read_item(self, entry: _Entry, name: str, raw: Json) -> None:
        if not isinstance(raw, dict):
            self._add_unrecognised(entry, raw, "item-not-an-object", name)
            return
        fields = scrub(raw) if self.needs_scrubbing else raw
        if entry.kind == _OTHER_KIND:
            self._read_foreign(entry, name, fields, raw)
        elif name == "changes":
            self._read_change(entry, fields, raw)
        else:
            self._read_messaging(entry, fields, raw, standby=name == "standby")

    def _read_messaging(
        self, entry: _Entry, fields: dict[str, Json], original: Json, *, standby: bool
    ) -> None:
        sender_id, recipient_id = party_id(fields.get("sender")), party_id(fields.get("recipient"))
        timestamp = fields.get("timestamp")
        item = Item(
            fields,
            original,
            _source_id(entry, fields, sender_id, recipient_id),
            sender_id,
            recipient_id,
            entry.time_text if timestamp is None else verbatim(timestamp),
            self.arrival,
        )
        kinds = kinds_of(item)
        if len(kinds) > 1:
            _count(self.oddities, "several-kinds")
        try:
            fact = recognise(item, kinds)
        except UnusableItemError as error:
            fact = unrecognised(item, error.reason, error.detail)
        except Exception:  # noqa: BLE001 - a fault of ours in one item must not cost the whole body
            fact = unrecognised(item, _FAULT)
        occurred_at = self._occurred_at(timestamp, entry)
        self._add(fact, entry.kind, item.source_id, occurred_at, original, standby=standby)

    def _read_change(self, entry: _Entry, fields: dict[str, Json], original: Json) -> None:
        name, value = fields.get("field"), fields.get("value")
        if isinstance(value, dict) and isinstance(name, str) and name in MESSAGING_FIELDS:
            self._read_messaging(entry, value, original, standby=name == "standby")
        else:
            self._add_change(entry, _change(entry, fields, original), recognise_change)

    def _read_foreign(
        self, entry: _Entry, name: str, fields: dict[str, Json], original: Json
    ) -> None:
        known = entry.object == _PERMISSIONS and name == "changes"
        recogniser = recognise_permission if known else _unknown_object
        self._add_change(entry, _change(entry, fields, original), recogniser)

    def _add_change(
        self, entry: _Entry, change: Change, recogniser: Callable[[Change], Fact]
    ) -> None:
        try:
            fact = recogniser(change)
        except UnusableItemError as error:
            fact = unrecognised_change(change, error.reason, error.detail)
        except Exception:  # noqa: BLE001 - as for other items
            fact = unrecognised_change(change, _FAULT, None)
        occurred_at = self._occurred_at(change.own_time(), entry)
        self._add(fact, entry.kind, entry.source_id, occurred_at, change.original)

    def _add_unrecognised(
        self, entry: _Entry, original: Json, reason: str, detail: str | None = None
    ) -> None:
        data = {"reason": reason} if detail is None else {"reason": reason, "detail": detail}
        unique = ("", entry.time_text, canonical_hash(original).hex())
        fact = Fact(UNRECOGNISED_TYPE, data, NO_CONTACT, unique)
        self._add(fact, entry.kind, entry.source_id, self._occurred_at(None, entry), original)

    def _occurred_at(self, own: Json, entry: _Entry) -> datetime:
        moment = as_moment(own) or as_moment(entry.time)
        return self.arrival if moment is None else min(moment, self.arrival)

    def _add(
        self,
        fact: Fact,
        kind: str,
        source_id: str,
        occurred_at: datetime,
        original: Json,
        *,
        standby: bool = False,
    ) -> None:
        if len(self.events) == MAX_ITEMS:
            raise _TooManyItemsError
        mode = "standby" if standby else ""
        parts = (self.meta_app_id, kind, source_id, mode, fact.type, *fact.unique)
        self.events.append(
            InboundEvent(
                event_id(parts),
                fact.type,
                kind,
                source_id,
                fact.contact_id,
                occurred_at,
                INBOUND_TYPES[fact.type].name,
                fact.data,
                original,
                self.meta_app_id,
                standby,
                self.traceparent,
            )
        )


def _count(counts: dict[str, int], what: str) -> None:
    counts[what] = counts.get(what, 0) + 1


def _unknown_object(_change: Change) -> Fact:
    raise UnusableItemError("unknown-object")


def _source_id(
    entry: _Entry, fields: dict[str, Json], sender_id: str | None, recipient_id: str | None
) -> str:
    if entry.id is not None and entry.id != _NO_ENTRY_ID:
        return entry.id
    message = fields.get("message")
    is_echo = isinstance(message, dict) and message.get("is_echo") is True
    named = sender_id if is_echo else recipient_id
    return entry.source_id if named is None else named


def _change(entry: _Entry, fields: dict[str, Json], original: Json) -> Change:
    name = fields.get("field")
    user_id = entry.user_id if entry.user_id != _NO_ENTRY_ID else None
    return Change(
        fields=fields,
        original=original,
        field=(as_id(name) or "") if isinstance(name, str) else "",
        entry_time_text=entry.time_text,
        user_id=user_id,
    )
