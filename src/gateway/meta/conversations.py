"""What Meta's own conversation shows of a message whose outcome is unknown.

Shape: `GET /{page}/conversations` of the Messenger Platform. It shows neither our metadata nor more
than the newest messages, so a message is recognised by its words, its side and its time.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

# Of a thread, Graph shows no more than its newest messages.
THREAD_MESSAGES: Final = 20
THREAD_FIELDS: Final = f"messages.limit({THREAD_MESSAGES}){{id,message,from,created_time}}"
# Meta's times are whole seconds, and its clock is not ours.
_TOLERANCE: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadMessage:
    """A message as Meta's conversation shows it; `text` None where it shows only that it exists."""

    mid: str
    text: str | None
    by_page: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Shown:
    """Meta's conversation has the message, under this id."""

    mid: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NotShown:
    """Meta's conversation does not have the message."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """What Meta's conversation shows may or may not be the message."""


Lookup: TypeAlias = Shown | NotShown | Unclear


def find_message(
    thread: Sequence[ThreadMessage],
    *,
    text: str | None,
    since: datetime,
    known_mids: Collection[str],
) -> Lookup:
    """Look for a message of ours that was called out at `since` or later.

    `text` None: it has no words to know it by. `known_mids` are of messages that are accounted for.
    """
    since -= _TOLERANCE
    mine = [
        message
        for message in thread
        if message.by_page and message.mid not in known_mids and message.created_at >= since
    ]
    if text is not None:
        same = [each for each in mine if each.text is not None and _words(each) == text.split()]
        if same:
            first = min(same, key=lambda message: message.created_at)
            return Shown(first.mid, first.created_at)
    reaches_back = len(thread) < THREAD_MESSAGES or any(
        message.created_at < since for message in thread
    )
    unreadable = any(message.text is None or text is None for message in mine)
    return NotShown() if reaches_back and not unreadable else Unclear()


def _words(message: ThreadMessage) -> list[str]:
    return (message.text or "").split()


def read_messages(document: dict[str, Any], contact_id: str) -> list[ThreadMessage]:
    """Return the messages of the conversations that an answer lists; what is odd is left out."""
    found = []
    for conversation in as_list(document.get("data")):
        for raw in as_list(as_dict(as_dict(conversation).get("messages")).get("data")):
            message = _thread_message(as_dict(raw), contact_id)
            if message is not None:
                found.append(message)
    return found


def _thread_message(raw: dict[str, Any], contact_id: str) -> ThreadMessage | None:
    mid, created_at = raw.get("id"), moment_of(raw.get("created_time"))
    if not isinstance(mid, str) or created_at is None:
        return None
    author = as_dict(raw.get("from")).get("id")
    text = raw.get("message")
    return ThreadMessage(
        mid=mid,
        text=text if isinstance(text, str) and author is not None else None,
        by_page=author != contact_id,
        created_at=created_at,
    )


def moment_of(value: object) -> datetime | None:
    """Return the moment that Graph writes as text, such as `2026-03-02T12:00:00+0000`."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def as_dict(value: object) -> dict[str, Any]:
    """Return a JSON object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return a JSON array; an empty one for anything else."""
    return value if isinstance(value, list) else []
