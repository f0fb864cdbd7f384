"""Whether bytes are a whole picture: PNG (W3C PNG, third edition) or JPEG (ITU-T T.81).

The structure is walked from the first byte to the end mark, so that neither a file with another
ending nor half of one passes. Pixels are not decoded. What follows the end mark is ignored, as
every viewer does.
"""

import re
import zlib
from collections.abc import Iterator
from typing import Final

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
# Bit depths by colour type.
_PNG_DEPTHS: Final[dict[int, frozenset[int]]] = {
    0: frozenset({1, 2, 4, 8, 16}),
    2: frozenset({8, 16}),
    3: frozenset({1, 2, 4, 8}),
    4: frozenset({8, 16}),
    6: frozenset({8, 16}),
}
_PNG_INDEXED: Final = 3
_PNG_LARGEST_SIDE: Final = 2**31 - 1
_PNG_HEADER_BYTES: Final = 13
_PNG_CHECKSUM_BYTES: Final = 4
_JPEG_START: Final = b"\xff\xd8"
_JPEG_END: Final = 0xD9
_JPEG_SCAN: Final = 0xDA
# Of all frames except those marks in their range that begin no frame (DHT, JPG, DAC).
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Those have no length: TEM and the restart marks, which stand inside of scans only.
_JPEG_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
# Precision, two sides, and how many components follow, of three bytes each.
_JPEG_FRAME_BYTES: Final = 6
_JPEG_PRECISIONS: Final = frozenset({8, 12, 16})
_JPEG_MOST_COMPONENTS: Final = 4
_JPEG_AFTER_SCAN: Final = re.compile(rb"\xff(?=[^\x00\xff\xd0-\xd7])", re.DOTALL)


class _CutShortError(Exception):
    """The bytes end before the picture does, or are none."""


def is_picture(mime_type: str, content: bytes) -> bool:
    """Say whether bytes are one whole picture of a type: `image/png` or `image/jpeg`."""
    try:
        match mime_type:
            case "image/png":
                return _is_png(content)
            case "image/jpeg":
                return _is_jpeg(content)
            case _:
                return False
    except _CutShortError:
        return False


def _is_png(content: bytes) -> bool:
    if not content.startswith(_PNG_SIGNATURE):
        return False
    chunks = _png_chunks(content)
    kind, header = next(chunks, (b"", b""))
    if kind != b"IHDR" or not _is_png_header(header):
        return False
    indexed = header[9] == _PNG_INDEXED
    seen: set[bytes] = set()
    for kind, _ in chunks:
        if kind == b"IHDR" or (kind == b"IDAT" and indexed and b"PLTE" not in seen):
            return False
        seen.add(kind)
    return b"IDAT" in seen


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks up to the end mark; each has its length before it, its checksum behind."""
    at = len(_PNG_SIGNATURE)
    while True:
        length, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        body = content[at + 8 : at + 8 + length]
        checksum = content[at + 8 + length : at + 12 + length]
        if len(checksum) < _PNG_CHECKSUM_BYTES or int.from_bytes(checksum) != zlib.crc32(
            kind + body
        ):
            raise _CutShortError
        if kind == b"IEND":
            return
        yield kind, body
        at += 12 + length


def _is_png_header(header: bytes) -> bool:
    if len(header) != _PNG_HEADER_BYTES:
        return False
    sides = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    depth, colour, compression, filtering, interlace = header[8:]
    return (
        all(1 <= side <= _PNG_LARGEST_SIDE for side in sides)
        and depth in _PNG_DEPTHS.get(colour, ())
        and (compression, filtering) == (0, 0)
        and interlace in (0, 1)
    )


def _is_jpeg(content: bytes) -> bool:
    if not content.startswith(_JPEG_START):
        return False
    framed = scanned = False
    for mark, segment in _jpeg_segments(content):
        if mark in _JPEG_FRAMES:
            if framed or not _is_jpeg_frame(segment):
                return False
            framed = True
        elif mark == _JPEG_SCAN:
            if not framed:
                return False
            scanned = True
    return scanned


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the segments up to the end mark, each with its mark; scans are passed over."""
    at = len(_JPEG_START)
    while True:
        if content[at : at + 1] != b"\xff":
            raise _CutShortError
        # A mark may have any number of fill bytes before it.
        while content[at : at + 1] == b"\xff":
            at += 1
        mark = int.from_bytes(content[at : at + 1])
        if mark == _JPEG_END:
            return
        length = int.from_bytes(content[at + 1 : at + 3])
        segment = content[at + 3 : at + 1 + length]
        if mark in _JPEG_BARE or len(segment) != length - 2:
            raise _CutShortError
        yield mark, segment
        at += 1 + length
        if mark == _JPEG_SCAN:
            found = _JPEG_AFTER_SCAN.search(content, at)
            if found is None:
                raise _CutShortError
            at = found.start()


def _is_jpeg_frame(segment: bytes) -> bool:
    if len(segment) < _JPEG_FRAME_BYTES:
        return False
    precision, components = segment[0], segment[5]
    sides = int.from_bytes(segment[1:3]), int.from_bytes(segment[3:5])
    return (
        precision in _JPEG_PRECISIONS
        and all(sides)
        and 1 <= components <= _JPEG_MOST_COMPONENTS
        and len(segment) == _JPEG_FRAME_BYTES + 3 * components
    )
