"""Makes what somebody wants to say into the contents of messages, as one channel can send them."""

from typing import Any

from gateway.contracts.content import MediaContent, TemplateContent, TextContent, stored
from gateway.db.channels import Channel
from gateway.db.media import Media, get_media
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.content import check_text, split_text
from gateway.domain.display_name import length_of_name
from gateway.domain.media import kind_of
from gateway.errors import FieldFault, InvalidFieldsError, MediaNotSupportedError


def media_link(public_url: str, media: Media) -> str:
    """Return the address under which platforms fetch uploaded media."""
    return f"{public_url.rstrip('/')}/media/{media.id}/{media.sha256}"


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
        TextTooLongError: A text is longer than the channel takes, and is not to be split.
        InvalidFieldsError: There is no such media.
        MediaNotSupportedError: The media is of another kind than the content says.
    """
    if isinstance(content, TextContent):
        return _texts(content, channel, display_name, split=split, pointer=f"{pointer}/text")
    if isinstance(content, MediaContent) and content.media_id is not None:
        media = await require_media(work, channel.account_id, content, pointer=pointer)
        link = {"url": media_link(work.public_url, media), "mime_type": media.mime_type}
        return [stored(content) | link]
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
        raise MediaNotSupportedError(
            detail, faults=[FieldFault(f"{pointer}/type", "media-not-supported", detail)]
        )
    return media


def _texts(
    content: TextContent, channel: Channel, display_name: str | None, *, split: bool, pointer: str
) -> list[dict[str, Any]]:
    taken = length_of_name(display_name)
    if not split or channel.text_limit <= taken:
        check_text(content.text, limit=channel.text_limit, taken=taken, pointer=pointer)
        return [stored(content)]
    *first, last = split_text(content.text, limit=channel.text_limit - taken)
    # Quick replies vanish with the next message, so they go with the last one.
    return [
        *({"type": "text", "text": text} for text in first),
        stored(content) | {"text": last},
    ]
