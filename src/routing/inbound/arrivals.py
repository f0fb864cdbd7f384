"""A record of the inbound topic on its way to its effect."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from gateway.broker.records import Record
from gateway.contracts.envelope import UndecodableRecordError
from gateway.contracts.inbound import NO_CONTACT, InboundEvent
from gateway.contracts.moments import from_rfc3339
from gateway.db.dead_letters import SetAside
from gateway.db.parking import Key
from gateway.domain import ids

# What a contact says or does in a conversation: worth waiting for an owner.
MESSAGE_LIKE: Final = frozenset(
    {
        "gateway.message.received.v1",
        "gateway.message.edited.v1",
        "gateway.message.unsent.v1",
        "gateway.message.reacted.v1",
        "gateway.postback.received.v1",
        "gateway.referral.received.v1",
        "gateway.optin.received.v1",
        "gateway.optout.received.v1",
        "gateway.account.linked.v1",
        "gateway.account.unlinked.v1",
        "gateway.feedback.received.v1",
        "gateway.order.received.v1",
        "gateway.appointment.received.v1",
    }
)
# What becomes of our own messages: never waits, as it may be what tells that one was sent.
ECHOES_AND_MARKS: Final = frozenset(
    {
        "gateway.message.echoed.v1",
        "gateway.message.delivered.v1",
        "gateway.message.read.v1",
        "gateway.status.reported.v1",
    }
)
STATUS: Final = "gateway.status.reported.v1"
# Of messages that no webhook told of: found at Meta afterwards, and answered by then.
BACKFILLED: Final = "backfilled"
ANSWERED: Final = "answered"
# What the sender puts into a call as metadata: our id of the message, and which attempt it is.
_METADATA: Final = re.compile(r"(msg_[0-9a-z]{26})\.([0-9]{1,9})")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MARKS: Final = frozenset({"gateway.message.delivered.v1", "gateway.message.read.v1"})
ECHO: Final = "gateway.message.echoed.v1"
CONTACT: Final = "gateway.contact.updated.v1"
COMMENT: Final = "gateway.comment.received.v1"
PAGE_CHANGE: Final = "gateway.page.changed.v1"
# What opens or continues an enquiry.
SPEAKS: Final = frozenset({"gateway.message.received.v1", "gateway.postback.received.v1"})


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record that could be read. `parked` says that it had to wait for its source."""

    record: Record
    event: InboundEvent
    original_hash: bytes
    arrived_at: datetime
    parked: bool = False

    @property
    def key(self) -> Key:
        """What its order hangs on: kind, source and contact."""
        return self.event.kind, self.event.source_id, self.event.contact_id

    @property
    def has_contact(self) -> bool:
        """False for events of a source as a whole."""
        return self.event.contact_id != NO_CONTACT

    @property
    def prior_contact_id(self) -> str | None:
        """What the source called the contact before it knew who that is."""
        return self.event.data.get("prior_contact_id")

    def names_of_contact(self) -> list[str]:
        """Return what the source calls the contact, and called it before; none without one."""
        names = [self.event.contact_id if self.has_contact else None, self.prior_contact_id]
        return [name for name in names if name is not None]

    def writer_id(self) -> str | None:
        """Return who wrote what a source tells without a contact: a comment, a post, a review."""
        data = self.event.data
        if self.event.type == COMMENT:
            return (data.get("author") or {}).get("id")
        value = data.get("value") if self.event.type == PAGE_CHANGE else None
        if not isinstance(value, dict):
            return None
        by = value.get("from")
        found = by.get("id") if isinstance(by, dict) else value.get("reviewer_id")
        return None if found is None else str(found)

    def named_messages(self) -> set[str]:
        """Return the source's ids of the messages that the event is, or speaks of."""
        data = self.event.data
        reply_to = data.get("reply_to") or {}
        named = [data.get("message_id"), reply_to.get("message_id"), *data.get("message_ids", ())]
        if self.event.type in SPEAKS or self.event.type in ECHOES_AND_MARKS:
            named.append(data.get("id"))
        return {message_id for message_id in named if message_id}

    def named_messages_of_ours(self) -> set[str]:
        """Return our own ids of the messages that the event speaks of."""
        own = self.own_attempt()
        if own is not None:
            return {own[0]}
        message_id = self.event.data.get("message_id") if self.event.type == STATUS else None
        return {message_id} if message_id and ids.is_id(ids.MESSAGE, message_id) else set()

    def own_attempt(self) -> tuple[str, int] | None:
        """Return which message and attempt of ours an echo's metadata names."""
        metadata = self.event.data.get("metadata")
        found = _METADATA.fullmatch(metadata) if isinstance(metadata, str) else None
        return None if found is None else (found[1], int(found[2]))

    def watermark(self) -> datetime | None:
        """Return up to when a mark marks everything, if it says so."""
        value = self.event.data.get("watermark")
        return None if value is None else from_rfc3339(value)

    def set_aside(self, reason: str, *, account_id: str | None, attempts: int = 1) -> SetAside:
        """Return the dead letter that this record makes."""
        return letter_of(self.record, reason, account_id=account_id, attempts=attempts)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is not an event of ours."""

    record: Record
    reason: str


Item: TypeAlias = Arrival | Unreadable


def read_record(record: Record) -> Item:
    """Return what a record holds."""
    try:
        event = InboundEvent.from_record(record.headers, record.value)
        arrived_at = _EPOCH + timedelta(milliseconds=record.timestamp)
    except UndecodableRecordError as error:
        return Unreadable(record, error.reason)
    except OverflowError:
        # Whoever wrote it set a time outside the calendar.
        return Unreadable(record, "time-malformed")
    return Arrival(
        record=record,
        event=event,
        original_hash=event.original_hash(),
        arrived_at=arrived_at,
    )


def letter_of(
    record: Record, reason: str, *, account_id: str | None, attempts: int = 1
) -> SetAside:
    """Return the dead letter that a record makes."""
    return SetAside(
        reason=reason,
        stage="routing",
        account_id=account_id,
        attempts=attempts,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        headers=record.headers,
        value=record.value,
    )
