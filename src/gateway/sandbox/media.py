"""Files that passed through the sandbox: uploads of Pages and what visitors attach."""

import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

MediaType = Literal["image", "audio", "video", "file"]

IMAGE_LIMIT: Final = 8 * 1024 * 1024
OTHER_LIMIT: Final = 25 * 1024 * 1024
ATTACHMENT_LIFE: Final = timedelta(days=90)

_INERT: Final = re.compile(r"(image/(png|jpeg|gif|webp)|audio/[\w.+-]+|video/[\w.+-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One file part of a form."""

    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """A stored file, or the address of one that stays where it is.

    `page_id` is the Page that may send it by its id; None for what a visitor attached.
    """

    medium_id: str
    type: MediaType
    page_id: str | None
    stored_at: datetime
    url: str = ""
    upload: Upload | None = None


class MediaShelf:
    """Keeps files in memory; the oldest go when there are too many bytes."""

    def __init__(self, *, max_bytes: int) -> None:
        self._media: OrderedDict[str, Medium] = OrderedDict()
        self._max_bytes = max_bytes
        self._bytes = 0

    def put(
        self,
        media_type: MediaType,
        *,
        page_id: str | None,
        now: datetime,
        upload: Upload | None = None,
        url: str = "",
    ) -> Medium:
        """Store a file or an address and return it with its new id, a number as Meta's."""
        medium = Medium(
            medium_id=str(10**15 + secrets.randbelow(9 * 10**15)),
            type=media_type,
            page_id=page_id,
            stored_at=now,
            url=url,
            upload=upload,
        )
        self._media[medium.medium_id] = medium
        self._bytes += _weight(medium)
        while self._bytes > self._max_bytes and len(self._media) > 1:
            _, gone = self._media.popitem(last=False)
            self._bytes -= _weight(gone)
        return medium

    def get(self, medium_id: str) -> Medium | None:
        """Return a file by its id."""
        return self._media.get(medium_id)

    def sendable(self, medium_id: str, *, page_id: str, now: datetime) -> Medium | None:
        """Return a file that a Page may send by its id, which Meta allows for 90 days."""
        medium = self._media.get(medium_id)
        if medium is None or medium.page_id != page_id or now - medium.stored_at > ATTACHMENT_LIFE:
            return None
        return medium


def type_of(content_type: str) -> MediaType:
    """Return what Messenger would call a file of this content type."""
    match content_type.partition("/")[0].lower():
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
        case _:
            return "file"


def is_inert(content_type: str) -> bool:
    """Say whether a browser may show such a file in place, as it cannot run anything."""
    return _INERT.fullmatch(content_type.lower()) is not None


def size_limit(media_type: MediaType) -> int:
    """Return the most bytes Meta takes of a kind of file."""
    return IMAGE_LIMIT if media_type == "image" else OTHER_LIMIT


def _weight(medium: Medium) -> int:
    return 512 + (len(medium.upload.content) if medium.upload else 0)
