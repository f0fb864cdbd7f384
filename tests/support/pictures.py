"""Small pictures, whole and otherwise."""

import struct
import zlib


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """Return a chunk of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def png(*, header: bytes | None = None, before: bytes = b"", padding: int = 0) -> bytes:
    """Return a PNG of one red dot; `padding` makes it larger."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0) if header is None else header
    parts = [chunk(b"IHDR", header), before, chunk(b"IDAT", zlib.compress(b"\0\xff\0\0"))]
    if padding:
        parts.insert(1, chunk(b"teXt", b"p" * (padding - 12)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND")


def segment(mark: int, body: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return bytes((0xFF, mark)) + struct.pack(">H", len(body) + 2) + body


FRAME = struct.pack(">BHHB", 8, 1, 1, 1) + b"\x01\x11\0"
SCAN = b"\x01\x01\0\0\x3f\0"


def jpeg(*, frame: bytes = segment(0xC0, FRAME), scans: int = 1) -> bytes:
    """Return a JPEG of one dot; what would be mistaken for marks stands within its scans."""
    pixels = b"\xa0\xff\0\x13\xff\xd0\x42\xff\xff\0"
    scan = segment(0xDA, SCAN) + pixels + segment(0xC4, b"\0" * 17)
    tables = segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0") + segment(0xDB, b"\0" + b"\1" * 64)
    return b"\xff\xd8" + tables + frame + scan * scans + b"\xff\xd9"
