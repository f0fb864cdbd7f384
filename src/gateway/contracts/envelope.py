"""CloudEvents 1.0 in binary mode on Kafka: attributes as `ce_*` headers, JSON in the value.

Serves inbound records and public events alike.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import quote

from gateway.contracts.moments import from_rfc3339, rfc3339

SPEC_VERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/json"
SPEC_VERSION_HEADER: Final = ("ce_specversion", b"1.0")
CONTENT_TYPE_HEADER: Final = ("content-type", b"application/json")
# Far above what we and tracing libraries write; a record with more was written by neither.
MAX_HEADERS: Final = 64


class UndecodableRecordError(Exception):
    """A record that is not one of ours, or was damaged: trying again does not help.

    `reason` is one of a fixed set of words, fit for a metric label and for a dead letter.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Attributes(NamedTuple):
    """The CloudEvents attributes of one event, those without a value left out of the headers.

    `partitionkey` is the Kafka key. `sequence` orders public events of one conversation or account.
    `normaliserversion` says by which rules an item from outside was put in our words.
    """

    id: str
    source: str
    type: str
    time: datetime
    subject: str | None = None
    partitionkey: str | None = None
    sequence: str | None = None
    traceparent: str | None = None
    normaliserversion: str | None = None


def to_headers(attributes: Attributes) -> list[tuple[str, bytes]]:
    """Return the headers of a record whose value is the event's JSON."""
    # One by one: this runs for every record, and a loop over names takes three times as long.
    id_, source, type_, time, subject, key, sequence, traceparent, version = attributes
    headers = [
        SPEC_VERSION_HEADER,
        ("ce_id", id_.encode()),
        ("ce_source", source.encode()),
        ("ce_type", type_.encode()),
        ("ce_time", rfc3339(time).encode()),
        CONTENT_TYPE_HEADER,
    ]
    if subject is not None:
        headers.append(("ce_subject", subject.encode()))
    if key is not None:
        headers.append(("ce_partitionkey", key.encode()))
    if sequence is not None:
        headers.append(("ce_sequence", sequence.encode()))
    if traceparent is not None:
        headers.append(("ce_traceparent", traceparent.encode()))
    if version is not None:
        headers.append(("ce_normaliserversion", version.encode()))
    return headers


def from_headers(headers: Sequence[tuple[str, bytes | None]]) -> Attributes:
    """Return the attributes of a record; headers and extensions that we do not know are ignored.

    Raises:
        UndecodableRecordError: `too-many-headers`, `header-repeated`, `header-not-text`,
            `header-missing`, `specversion-unknown`, `content-type-unknown` or `time-malformed`.
    """
    if len(headers) > MAX_HEADERS:
        raise UndecodableRecordError("too-many-headers")
    texts = _texts(headers)
    if texts.get("ce_specversion", SPEC_VERSION) != SPEC_VERSION:
        raise UndecodableRecordError("specversion-unknown")
    # Structured mode, in which the value holds the attributes, has a media type of its own.
    if texts.get("content-type", CONTENT_TYPE).partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise UndecodableRecordError("content-type-unknown")
    missing = {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"} - texts.keys()
    if missing:
        raise UndecodableRecordError("header-missing")
    try:
        time = from_rfc3339(texts["ce_time"])
    except ValueError as error:
        raise UndecodableRecordError("time-malformed") from error
    return Attributes(
        id=texts["ce_id"],
        source=texts["ce_source"],
        type=texts["ce_type"],
        time=time,
        subject=texts.get("ce_subject"),
        partitionkey=texts.get("ce_partitionkey"),
        sequence=texts.get("ce_sequence"),
        traceparent=texts.get("ce_traceparent"),
        normaliserversion=texts.get("ce_normaliserversion"),
    )


def channel_source(kind: str, source_id: str) -> str:
    """Return the `source` of an event of a channel: `/channels/{kind}/{source id}`."""
    if not (source_id.isascii() and source_id.isalnum()):
        source_id = quote(source_id, safe="", errors="surrogatepass")
    return f"/channels/{kind}/{source_id}"


def account_source(account_id: str) -> str:
    """Return the `source` of an event of an account as a whole."""
    return f"/accounts/{account_id}"


def _texts(headers: Sequence[tuple[str, bytes | None]]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, value in headers:
        if name != "content-type" and not name.startswith("ce_"):
            continue
        if name in texts:
            raise UndecodableRecordError("header-repeated")
        if not value:
            raise UndecodableRecordError("header-missing")
        try:
            texts[name] = value.decode()
        except UnicodeDecodeError as error:
            raise UndecodableRecordError("header-not-text") from error
    return texts
