"""What media may be: the types and sizes that the platform takes, and whether content is its type.

Meta, "Send API", attachments: images up to 8 MB, everything else up to 25 MB, as megabytes of 10⁶.
"""

from typing import Final

LARGEST_BYTES: Final = 25_000_000
LARGEST_IMAGE_BYTES: Final = 8_000_000
# What contacts may send: the platform lets them send more than it takes from us.
LARGEST_INBOUND_BYTES: Final = 50_000_000
# So many of a file's first bytes tell what it is.
HEAD_BYTES: Final = 64

_STARTS: Final[dict[str, tuple[bytes, ...]]] = {
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "audio/mpeg": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa"),
    "audio/aac": (b"\xff\xf1", b"\xff\xf9"),
    "audio/amr": (b"#!AMR",),
    "audio/ogg": (b"OggS",),
    "audio/vorbis": (b"OggS",),
    "video/ogg": (b"OggS",),
    "video/mpeg": (b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3"),
    "video/webm": (b"\x1aE\xdf\xa3",),
    "application/pdf": (b"%PDF-",),
    "application/zip": (b"PK\x03\x04", b"PK\x05\x06"),
}
_SAME: Final = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "application/ogg": "audio/ogg",
}
# ISO base media: `ftyp` after four bytes of length.
_FTYP: Final = frozenset({"audio/mp4", "video/mp4", "video/quicktime", "video/3gpp"})
_BRANDS: Final = {b"qt ": "video/quicktime", b"M4A": "audio/mp4", b"3gp": "video/3gpp"}
# What servers say that do not know.
_ANY: Final = "application/octet-stream"
_RIFF: Final = {"image/webp": b"WEBP", "audio/wav": b"WAVE", "video/x-msvideo": b"AVI "}

_KNOWN: Final = _STARTS.keys() | _FTYP | _RIFF.keys()


def plain_type(mime_type: str) -> str:
    """Return the usual name of a type that has several, in lower case and without parameters."""
    plain = mime_type.partition(";")[0].strip().lower()
    return _SAME.get(plain, plain)


def kind_of(mime_type: str) -> str:
    """Return as what media of a type is sent: `image`, `audio`, `video` or `file`."""
    family = mime_type.partition("/")[0]
    return family if family in ("image", "audio", "video") else "file"


def largest_bytes(mime_type: str) -> int:
    """Return how large media of a type may be."""
    return LARGEST_IMAGE_BYTES if kind_of(mime_type) == "image" else LARGEST_BYTES


def is_content_of(mime_type: str, head: bytes) -> bool:
    """Say whether a file that begins like this is what its type says.

    Images, audio and video must be of a type that is known here; other types are told by their
    beginning where that is known, and believed where it is not.
    """
    known = plain_type(mime_type)
    if known in _STARTS:
        return head.startswith(_STARTS[known])
    if known in _FTYP:
        return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free")
    if known in _RIFF:
        return head.startswith(b"RIFF") and head[8:12] == _RIFF[known]
    return kind_of(known) == "file" and "/" in known


def type_of_content(head: bytes, *, said: str) -> str | None:
    """Return of what type a file is that begins like this; None where nobody can tell.

    What its server said counts where the content bears it out; where it does not, the content
    does. A type that no beginning gives away is believed, as long as it is no picture, sound or
    film.
    """
    said = plain_type(said)
    if said in _KNOWN and is_content_of(said, head):
        return said
    for mime_type in (*_STARTS, *_RIFF):
        if is_content_of(mime_type, head):
            return mime_type
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:11], "video/mp4")
    if said in ("", _ANY):
        return _ANY
    return said if is_content_of(said, head) else None
