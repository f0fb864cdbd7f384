"""An event as the ingress puts it on Kafka, before any database has seen it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final, Self, TypeVar
from urllib.parse import quote

from gateway.contracts.canonical import (
    RECORD,
    Json,
    canonical_hash,
    compact,
    may_need_scrubbing,
    parse_json,
    scrub,
)
from gateway.contracts.envelope import (
    CONTENT_TYPE_HEADER,
    SPEC_VERSION_HEADER,
    UndecodableRecordError,
    channel_source,
    from_headers,
)
from gateway.contracts.inbound_types import INBOUND_TYPES, UNRECOGNISED
from gateway.contracts.moments import from_rfc3339, utc_text
from gateway.domain.ids import EVENT, KNOWN_SOURCES, is_id
from gateway.errors import MalformedJsonError

# Raised by one whenever the same item would be put in other words than before, so that a range of
# records can be found and normalised again. Ids do not depend on it.
NORMALISER_VERSION: Final = "1"

NO_CONTACT: Final = "-"
MAX_KEY_PART_BYTES: Final = 255

# Percent-encoding never yields it, so a shortened id never equals one that was not shortened.
_SHORTENED: Final = "!"
_DIGEST_CHARACTERS: Final = 64

_Expected = TypeVar("_Expected")
# By type, what validates the object that describes the item.
_OBJECTS: Final = {type_: known.described() for type_, known in INBOUND_TYPES.items()}


# Nothing changes one. It is not frozen because to make a frozen one takes four times as long, and
# there is one for every record.
@dataclass(slots=True)
class InboundEvent:
    """One item that Meta or a third party posted, in our words.

    `name` is the name of the object that describes the item (`message`, `delivery`, …), `data` that
    object, and `original` the item as it came, so that it can be normalised again. `original` may
    hold lone surrogates and NULs; `scrub` it before it goes into a database. `occurred_at` is in
    UTC, in whole milliseconds.
    """

    id: str
    type: str
    kind: str
    source_id: str
    contact_id: str
    occurred_at: datetime
    name: str
    data: dict[str, Json]
    original: Json
    meta_app_id: str | None = None
    standby: bool = False
    traceparent: str | None = field(default=None, compare=False)
    normaliser_version: str = NORMALISER_VERSION

    @property
    def key(self) -> str:
        """The Kafka key: everything of one contact of one source stays in order."""
        return inbound_key(self.kind, self.source_id, self.contact_id)

    def original_hash(self) -> bytes:
        """Return the SHA-256 of the canonical original: a repeat has the same, a conflict not."""
        return canonical_hash(self.original)

    def record(self) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
        """Return the record's key, its JSON value and its headers."""
        key, occurred_at = self.key.encode(), utc_text(self.occurred_at)
        return key, self._value(occurred_at), self._headers(key, occurred_at)

    def value(self) -> bytes:
        """Return the record's JSON value."""
        return self._value(utc_text(self.occurred_at))

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the record's headers: the CloudEvents attributes in binary mode."""
        return self._headers(self.key.encode(), utc_text(self.occurred_at))

    def _value(self, occurred_at: str) -> bytes:
        body: dict[str, Json] = {
            "kind": self.kind,
            "source_id": self.source_id,
            "contact_id": self.contact_id,
            "standby": self.standby,
            "occurred_at": occurred_at,
            self.name: self.data,
            "original": self.original,
        }
        if self.meta_app_id is not None:
            body["meta_app_id"] = self.meta_app_id
        if self.name == UNRECOGNISED:
            # Who only asks why need not look into the object.
            body["reason"] = self.data["reason"]
        return compact(body)

    def _headers(self, key: bytes, occurred_at: str) -> list[tuple[str, bytes]]:
        # As `to_headers` would; but those that are the same for many events are made once.
        type_, version = _type_headers(self.type, self.normaliser_version)
        headers = [
            SPEC_VERSION_HEADER,
            ("ce_id", self.id.encode()),
            _source_header(self.kind, self.source_id),
            type_,
            ("ce_time", occurred_at.encode()),
            CONTENT_TYPE_HEADER,
            ("ce_subject", key),
            ("ce_partitionkey", key),
        ]
        if self.traceparent is not None:
            headers.append(("ce_traceparent", self.traceparent.encode()))
        headers.append(version)
        return headers

    @classmethod
    def from_record(cls, headers: Sequence[tuple[str, bytes | None]], value: bytes | None) -> Self:
        """Return the event of a record.

        Raises:
            UndecodableRecordError: as `from_headers` says, or `value-missing`, `value-not-json`,
                `id-malformed`, `type-unknown`, `value-malformed`.
        """
        attributes = from_headers(headers)
        if not is_id(EVENT, attributes.id):
            raise UndecodableRecordError("id-malformed")
        if attributes.type not in INBOUND_TYPES:
            raise UndecodableRecordError("type-unknown")
        body = _body(value)
        name = INBOUND_TYPES[attributes.type].name
        try:
            return cls(
                id=attributes.id,
                type=attributes.type,
                kind=_expect(str, body["kind"]),
                source_id=_expect(str, body["source_id"]),
                contact_id=_expect(str, body["contact_id"]),
                occurred_at=from_rfc3339(_expect(str, body["occurred_at"])),
                name=name,
                data=_described(attributes.type, body[name]),
                original=body["original"],
                meta_app_id=_expect(str, body["meta_app_id"]) if "meta_app_id" in body else None,
                standby=_expect(bool, body["standby"]),
                traceparent=attributes.traceparent,
                normaliser_version=attributes.normaliserversion or NORMALISER_VERSION,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UndecodableRecordError("value-malformed") from error


def inbound_key(kind: str, source_id: str, contact_id: str) -> str:
    """Return `{kind}:{source id}:{contact id}`, ids percent-encoded and at most 255 bytes each.

    Of an id that is longer when encoded, the key has a beginning and a SHA-256 of the whole.
    """
    return f"{kind}:{_key_part(source_id)}:{_key_part(contact_id)}"


def _key_part(value: str) -> str:
    if value.isascii() and value.isalnum() and len(value) <= MAX_KEY_PART_BYTES:
        return value
    return _encoded_key_part(value)


# Of contacts who write several times.
@lru_cache(maxsize=4096)
def _encoded_key_part(value: str) -> str:
    encoded = quote(value, safe="-._~", errors="surrogatepass")
    if len(encoded) <= MAX_KEY_PART_BYTES:
        return encoded
    beginning = encoded[: MAX_KEY_PART_BYTES - len(_SHORTENED) - _DIGEST_CHARACTERS]
    # An escape is three characters; half of one would make the key unreadable.
    whole_escapes = beginning[:-2] + beginning[-2:].partition("%")[0]
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{whole_escapes}{_SHORTENED}{digest}"


@lru_cache(maxsize=KNOWN_SOURCES)
def _source_header(kind: str, source_id: str) -> tuple[str, bytes]:
    return ("ce_source", channel_source(kind, source_id).encode())


# Types and versions are few.
@lru_cache(maxsize=128)
def _type_headers(type_: str, version: str) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    return ("ce_type", type_.encode()), ("ce_normaliserversion", version.encode())


def _body(value: bytes | None) -> dict[str, Json]:
    if value is None:
        raise UndecodableRecordError("value-missing")
    try:
        body = parse_json(value, limits=RECORD)
    except MalformedJsonError as error:
        raise UndecodableRecordError("value-not-json") from error
    if not isinstance(body, dict):
        raise UndecodableRecordError("value-malformed")
    if may_need_scrubbing(value):
        return {name: each if name == "original" else scrub(each) for name, each in body.items()}
    return body


def _described(type_: str, value: Json) -> dict[str, Json]:
    # A model's errors are ValueErrors. What is kept is the object as it was written: readers find
    # the fields of the contract in it, and fields that are newer than this code.
    _OBJECTS[type_].model_validate(value)
    return _expect(dict, value)


def _expect(kind: type[_Expected], value: object) -> _Expected:
    if not isinstance(value, kind):
        raise TypeError(kind.__name__)
    return value
