"""What media a channel sends: whatever the platform takes, or a stricter table.

Meta, "Send API", attachments: images up to 8 MB, everything else up to 25 MB, as megabytes of 10⁶.
Which types Messenger takes, Meta does not say: those are told by `gateway.domain.media`.
"""

from typing import Final

from gateway.domain.media import LARGEST_BYTES, LARGEST_IMAGE_BYTES, plain_type

_MEGABYTE: Final = 1_000_000
# Types as `plain_type` spells them.
_STRICT: Final = {
    "application/pdf": 20 * _MEGABYTE,
    "image/jpeg": 8 * _MEGABYTE,
    "image/png": 8 * _MEGABYTE,
    "video/mp4": 20 * _MEGABYTE,
    "video/mpeg": 20 * _MEGABYTE,
    "video/quicktime": 20 * _MEGABYTE,
    "audio/mpeg": 20 * _MEGABYTE,
    "audio/ogg": 20 * _MEGABYTE,
    "audio/vorbis": 20 * _MEGABYTE,
    "audio/amr": 20 * _MEGABYTE,
}


# "Upload media for Instagram messaging".
_INSTAGRAM: Final = frozenset(
    {
        *("image/png", "image/jpeg", "image/gif"),
        *("audio/aac", "audio/mp4", "audio/wav"),
        *("video/mp4", "video/ogg", "video/x-msvideo", "video/quicktime", "video/webm"),
        "application/pdf",
    }
)


def refuse_media(
    policy: str, kind: str, *, mime_type: str, size: int, instagram: bool
) -> str | None:
    """Return why a channel does not send media, in a sentence; None: it does.

    Args:
        policy: The channel's: `platform` or `strict`.
        kind: As what the media is sent: `image`, `audio`, `video` or `file`.
        mime_type: What the content is.
        size: In bytes.
        instagram: The channel is one of Instagram, which takes fewer types.
    """
    if instagram and plain_type(mime_type) not in _INSTAGRAM:
        return f"Instagram takes no media of the type {mime_type}."
    largest = LARGEST_IMAGE_BYTES if kind == "image" else LARGEST_BYTES
    if policy == "strict":
        allowed = _STRICT.get(plain_type(mime_type))
        if allowed is None:
            return f"This channel does not send media of the type {mime_type}."
        largest = min(largest, allowed)
    if size > largest:
        return f"This media has {size} bytes; the channel sends {largest} of this type at most."
    return None
