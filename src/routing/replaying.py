"""Puts the messages of a time into this release's words: their content, and nothing else.

What the inbound topic has of a time is normalised again where an older release did it. Nobody is
told, no enquiry moves, no timer is set and nothing is said automatically. Doing it twice changes
nothing the second time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.broker.records import Record
from gateway.contracts.inbound import NORMALISER_VERSION, InboundEvent
from gateway.contracts.third_party import THIRD_PARTY, message_event
from gateway.db.conversations import lock_conversations
from gateway.db.messages import Message, change_message, find_by_origin, find_messages_by_id
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.message import EMPTIED_TYPES, AuthorKind, Direction
from gateway.meta.again import normalise_again
from routing.inbound.arrivals import ECHO, SPEAKS, Arrival, read_record
from routing.inbound.effects.speaking import NOT_CONTENT

_POSTBACK: Final = "gateway.postback.received.v1"
# What is gone stays so.
_GONE: Final = EMPTIED_TYPES | {"unsent"}
_EDITED: Final = ("text", "edit_number")


@dataclass(slots=True)
class Tally:
    """What a replay came to.

    Attributes:
        records: How many were read.
        older: Those of messages that an older release had normalised.
        changed: Messages whose content is another now, or would be.
        missing: Messages that are not kept, or never were.
    """

    records: int = 0
    older: int = 0
    changed: int = 0
    missing: int = 0


async def replay_some(
    work: UnitOfWork,
    records: Sequence[Record],
    tally: Tally,
    *,
    dry_run: bool,
    current: str = NORMALISER_VERSION,
) -> None:
    """Normalise records again and change the messages that they became."""
    tally.records += len(records)
    fresh = _by_origin(records, current)
    tally.older += len(fresh)
    if not fresh:
        return
    found = await find_by_origin(work.connection, fresh)
    tally.missing += len(fresh) - len(found)
    stored = {message.id: message for message in found.values()}
    if not dry_run:
        wanted = {message.conversation_id for message in found.values()}
        await lock_conversations(work, wanted, account_id=None)
        # As they stand under the locks.
        stored = await find_messages_by_id(work.connection, stored)
    for origin, message in found.items():
        current_message = stored.get(message.id)
        if current_message is None:
            continue
        content = content_after(current_message, fresh[origin])
        if content is None:
            continue
        tally.changed += 1
        if not dry_run:
            await change_message(work.connection, current_message, content=content)


def content_after(message: Message, fresh: dict[str, Any]) -> dict[str, Any] | None:
    """Return a message's content in new words; None: it stays as it is.

    What was edited keeps its last text, what is gone stays gone, and what we added to attachments
    stays with them.
    """
    stored = message.content
    if stored.get("type") in _GONE or message.unsent_at is not None:
        return None
    if message.direction is Direction.OUTBOUND and message.author_kind is not AuthorKind.PAGE:
        # Ours are as they were sent.
        return None
    content = dict(fresh)
    if message.edited_at is not None:
        content |= {name: stored[name] for name in _EDITED if name in stored}
    attachments = content.get("attachments")
    if isinstance(attachments, list):
        content["attachments"] = _with_ours(attachments, stored.get("attachments"))
    return None if content == stored else content


def _with_ours(fresh: list[Any], stored: object) -> list[Any]:
    kept = stored if isinstance(stored, list) else []
    if len(kept) != len(fresh):
        return fresh
    return [
        {**old, **new} if isinstance(old, dict) and isinstance(new, dict) else new
        for old, new in zip(kept, fresh, strict=True)
    ]


# Kind and id of a source, direction, and the source's id of the message.
_Origin = tuple[str, str, str, str]


def _by_origin(records: Iterable[Record], current: str) -> dict[_Origin, dict[str, Any]]:
    """Return the new content of messages that an older release normalised."""
    fresh: dict[_Origin, dict[str, Any]] = {}
    for record in records:
        item = read_record(record)
        if not isinstance(item, Arrival) or not _is_older(item.event, current):
            continue
        again = _again(item)
        if again is None:
            continue
        direction = Direction.OUTBOUND if again.type == ECHO else Direction.INBOUND
        origin = (again.kind, again.source_id, str(direction), str(again.data["id"]))
        fresh[origin] = _content(again)
    return fresh


def _is_older(event: InboundEvent, current: str) -> bool:
    try:
        older = int(event.normaliser_version) < int(current)
    except ValueError:
        return False
    return older and (event.type in SPEAKS or event.type == ECHO)


def _again(arrival: Arrival) -> InboundEvent | None:
    """Return the same message in new words; None: it is another thing by them."""
    event = arrival.event
    if event.kind == THIRD_PARTY:
        original = event.original
        if not isinstance(original, dict):
            return None
        again: InboundEvent | None = message_event(event.source_id, original, arrival.arrived_at)
    else:
        again = normalise_again(event, arrived_at=arrival.arrived_at)
    mid = event.data.get("id")
    if again is None or mid is None or (again.type, again.data.get("id")) != (event.type, mid):
        return None
    return again


def _content(event: InboundEvent) -> dict[str, Any]:
    content = {name: value for name, value in event.data.items() if name not in NOT_CONTENT}
    return {"type": "postback", **content} if event.type == _POSTBACK else content
