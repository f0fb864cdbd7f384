"""What was said in a Page's threads, read from Meta to find what no webhook told.

Shape: `GET /{page}/conversations` of the Messenger Platform, the latest thread first. Of a thread
it shows no more than the newest 20 messages in words; times are whole seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.contracts.canonical import Json
from gateway.contracts.inbound import InboundEvent
from gateway.domain import ids
from gateway.domain.channel import ChannelKind
from gateway.meta.conversations import THREAD_MESSAGES, as_dict, as_list, moment_of

# So many threads at a time: the longest texts of all of them make 1.6 MB.
THREADS: Final = 20
HISTORY_FIELDS: Final = (
    f"updated_time,participants,messages.limit({THREAD_MESSAGES})"
    "{id,message,from,created_time,attachments,reply_to}"
)
_DATA: Final = (("image_data", "image"), ("video_data", "video"))


@dataclass(frozen=True, slots=True)
class PastMessage:
    """A message as Meta's conversation shows it; `content` None where it shows only that it is."""

    mid: str
    by_page: bool
    at: datetime
    content: dict[str, Json] | None


@dataclass(frozen=True, slots=True)
class PastThread:
    """A contact's thread with its newest messages, the oldest of them first."""

    contact_id: str
    updated_at: datetime
    messages: tuple[PastMessage, ...]


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Some threads, the latest first, and where the next ones begin; None: there are no more."""

    threads: tuple[PastThread, ...]
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Whose threads they are."""

    kind: ChannelKind
    source_id: str
    page_id: str
    meta_app_id: str


def read_history(document: dict[str, Any], source: Source) -> HistoryPage:
    """Return the threads that an answer lists; what is odd is left out."""
    listed = as_list(document.get("data"))
    threads = (_thread(as_dict(each), {source.page_id, source.source_id}) for each in listed)
    after = as_dict(as_dict(document.get("paging")).get("cursors")).get("after")
    return HistoryPage(
        tuple(thread for thread in threads if thread is not None),
        after if listed and isinstance(after, str) and after else None,
    )


def missed_events(
    thread: PastThread, source: Source, *, since: datetime, now: datetime
) -> Iterator[tuple[str, InboundEvent]]:
    """Return, by their mids, the events that a thread's messages since a moment would have been.

    A contact's message after which the Page's side wrote is marked as answered.
    """
    last_answer = max((n for n, each in enumerate(thread.messages) if each.by_page), default=-1)
    for place, message in enumerate(thread.messages):
        if message.at < since or message.content is None:
            continue
        data: dict[str, Json] = {"id": message.mid, **message.content, "backfilled": True}
        if not message.by_page and place < last_answer:
            data["answered"] = True
        yield (
            message.mid,
            InboundEvent(
                id=_event_id(source, message.mid),
                type=f"gateway.message.{'echoed' if message.by_page else 'received'}.v1",
                kind=source.kind.value,
                source_id=source.source_id,
                contact_id=thread.contact_id,
                occurred_at=min(message.at, now),
                name="message",
                data=data,
                # The same whenever it is read: the addresses of files are not.
                original={"id": message.mid, "created_time": message.at.isoformat()},
                meta_app_id=source.meta_app_id,
            ),
        )


def _event_id(source: Source, mid: str) -> str:
    return ids.event_id((source.meta_app_id, source.kind.value, source.source_id, "backfill", mid))


def _thread(raw: dict[str, Any], ours: set[str]) -> PastThread | None:
    people = [
        as_dict(each).get("id") for each in as_list(as_dict(raw.get("participants")).get("data"))
    ]
    contact_id = next((each for each in people if isinstance(each, str) and each not in ours), None)
    updated_at = moment_of(raw.get("updated_time"))
    if contact_id is None or updated_at is None:
        return None
    listed = as_list(as_dict(raw.get("messages")).get("data"))
    # Newest first; of those in the same second, only that tells the order.
    messages = [_message(as_dict(each), contact_id) for each in reversed(listed)]
    found = sorted((each for each in messages if each is not None), key=lambda each: each.at)
    return PastThread(contact_id, updated_at, tuple(found))


def _message(raw: dict[str, Any], contact_id: str) -> PastMessage | None:
    mid, at = raw.get("id"), moment_of(raw.get("created_time"))
    if not isinstance(mid, str) or at is None:
        return None
    author = as_dict(raw.get("from")).get("id")
    return PastMessage(
        mid=mid,
        by_page=author != contact_id,
        at=at,
        content=None if author is None else _content(raw),
    )


def _content(raw: dict[str, Any]) -> dict[str, Json]:
    listed = as_list(as_dict(raw.get("attachments")).get("data"))
    attachments: list[Json] = [_attachment(as_dict(each)) for each in listed]
    text = raw.get("message")
    content: dict[str, Json] = {"type": "text", "attachments": attachments}
    if isinstance(text, str) and text:
        content["text"] = text
    elif attachments:
        content["type"] = as_dict(attachments[0])["type"]
    else:
        content["type"] = "unsupported"
    answered = as_dict(raw.get("reply_to")).get("mid")
    if isinstance(answered, str):
        content["reply_to"] = {"message_id": answered}
    return content


def _attachment(raw: dict[str, Any]) -> dict[str, Json]:
    for member, type_ in _DATA:
        url = as_dict(raw.get(member)).get("url")
        if isinstance(url, str):
            return {"type": type_, "url": url}
    mime_type, url = raw.get("mime_type"), raw.get("file_url")
    audio = isinstance(mime_type, str) and mime_type.startswith("audio/")
    if not isinstance(url, str):
        return {"type": "unsupported"}
    found: dict[str, Json] = {"type": "audio" if audio else "file", "url": url}
    if isinstance(mime_type, str):
        found["mime_type"] = mime_type
    return found
