"""Makes what somebody wants to say into the contents of messages, as one channel can send them."""

from typing import Any, Final

from gateway.contracts.content import MediaContent, TemplateContent, TextContent, stored
from gateway.db.channels import Channel
from gateway.db.media import Media, get_media
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.abilities import inability
from gateway.domain.channel import ChannelKind
from gateway.domain.display_name import before_text
from gateway.domain.media import kind_of
from gateway.domain.media_policy import refuse_media
from gateway.domain.splitting import UnsplittableError, split_text
from gateway.domain.text_limit import TextLimit, check_text, text_limit_of, too_long
from gateway.errors import (
    FieldFault,
    InvalidFieldsError,
    MediaNotSupportedError,
    NotSupportedByChannelError,
)

# More would be sent in one transaction than one conversation should ever get at once.
MOST_PARTS: Final = 100


async def contents_of(
    work: UnitOfWork,
    channel: Channel,
    content: TextContent | MediaContent | TemplateContent,
    *,
    display_name: str | None = None,
    split: bool = False,
    pointer: str = "/content",
) -> list[dict[str, Any]]:
    """Return the contents of the messages that say something: one, or the parts of a text.

    `display_name` stands before a text on the wire, and counts. `pointer` is where a refusal says
    that the content is.

    Raises:
        NotSupportedByChannelError: A channel of this kind cannot say that.
        TextTooLongError: A text is longer than the channel takes, and is not to be split, or
            cannot be.
        InvalidFieldsError: There is no such media.
        MediaNotSupportedError: The media is of another kind than the content says, or of a type or
            size that the channel does not send.
    """
    _refuse_what_channel_cannot(stored(content), channel, pointer)
    if isinstance(content, TextContent):
        return _texts(content, channel, display_name, split=split, pointer=f"{pointer}/text")
    if isinstance(content, MediaContent) and content.media_id is not None:
        media = await require_media(work, channel.account_id, content, pointer=pointer)
        refusal = refuse_media(
            channel.media_policy,
            content.type,
            mime_type=media.mime_type,
            size=media.size,
            instagram=channel.kind is ChannelKind.INSTAGRAM,
        )
        if refusal is not None:
            raise _not_supported(refusal, f"{pointer}/media_id")
        return [stored(content) | describe_media(media)]
    return [stored(content)]


async def require_media(
    work: UnitOfWork, account_id: str, content: MediaContent, *, pointer: str
) -> Media:
    """Return the uploaded media that a content names.

    Raises:
        InvalidFieldsError: There is no such media.
        MediaNotSupportedError: The media is of another kind than the content says.
    """
    media = await get_media(work.connection, account_id, content.media_id or "")
    if media is None:
        detail = "There is no such media."
        raise InvalidFieldsError(
            detail, faults=[FieldFault(f"{pointer}/media_id", "unknown-media", detail)]
        )
    if content.type not in ("file", kind_of(media.mime_type)):
        detail = f"This media is of the type {media.mime_type}."
        raise _not_supported(detail, f"{pointer}/type")
    return media


def _refuse_what_channel_cannot(content: dict[str, Any], channel: Channel, pointer: str) -> None:
    cannot = inability(content, channel.kind)
    if cannot is not None:
        fault = FieldFault(pointer + cannot.pointer, "not-supported", cannot.detail)
        raise NotSupportedByChannelError(cannot.detail, faults=[fault])


def describe_media(media: Media) -> dict[str, Any]:
    """Return what contents and attachments tell of media that lies with us."""
    described = {"media_id": media.id, "mime_type": media.mime_type, "size": media.size}
    return described if media.name is None else described | {"name": media.name}


def _not_supported(detail: str, pointer: str) -> MediaNotSupportedError:
    return MediaNotSupportedError(
        detail, faults=[FieldFault(pointer, "media-not-supported", detail)]
    )


def _texts(
    content: TextContent, channel: Channel, display_name: str | None, *, split: bool, pointer: str
) -> list[dict[str, Any]]:
    limit, before = text_limit_of(channel.kind, channel.text_limit), before_text(display_name)
    if not split:
        check_text(content.text, limit=limit, before=before, pointer=pointer)
        return [stored(content)]
    *first, last = _parts(content.text, limit.beside(before), pointer)
    # Quick replies vanish with the next message, so they go with the last one.
    return [
        *({"type": "text", "text": text} for text in first),
        stored(content) | {"text": last},
    ]


def _parts(text: str, limit: TextLimit, pointer: str) -> list[str]:
    if len(text) > MOST_PARTS * max(limit.characters, 1):
        raise too_long(f"The text would be cut into more than {MOST_PARTS} parts.", pointer)
    try:
        parts = split_text(text, limit)
    except UnsplittableError:
        detail = "The text cannot be cut: a single character of it is longer than a message."
        raise too_long(detail, pointer) from None
    if len(parts) > MOST_PARTS:
        raise too_long(f"The text would be cut into more than {MOST_PARTS} parts.", pointer)
    return parts
