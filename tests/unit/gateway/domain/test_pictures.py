"""Which bytes are taken for a picture."""

import struct

import pytest
from tests.support.pictures import FRAME, chunk, jpeg, png, segment

from gateway.domain.pictures import is_picture


def header(width=1, height=1, depth=8, colour=2, compression=0, filtering=0, interlace=0):
    return struct.pack(">IIBBBBB", width, height, depth, colour, compression, filtering, interlace)


@pytest.mark.parametrize(
    "content",
    [
        png(),
        png(padding=1000),
        png(header=header(depth=16, colour=6, interlace=1)),
        png(header=header(depth=1, colour=3), before=chunk(b"PLTE", b"\0" * 3)),
        png() + b"what follows",
    ],
)
def test_a_png(content):
    assert is_picture("image/png", content)
    assert not is_picture("image/jpeg", content)
    assert not is_picture("image/gif", content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + chunk(b"IEND"),
        b"\x89PNG\r\n\x1a\n" + b"0" * 100,
        png(header=b"\0" * 12),
        png(header=header(width=0)),
        png(header=header(height=2**31)),
        png(header=header(depth=3)),
        png(header=header(colour=5)),
        png(header=header(depth=16, colour=3)),
        png(header=header(compression=1)),
        png(header=header(filtering=1)),
        png(header=header(interlace=2)),
        png(header=header(depth=8, colour=3)),
        png(before=chunk(b"IHDR", header())),
        png().replace(b"IDAT", b"IDAX"),
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header()) + chunk(b"IEND"),
        b"GIF89a" + png(),
    ],
)
def test_what_is_no_png(content):
    assert not is_picture("image/png", content)


@pytest.mark.parametrize(
    "content",
    [
        jpeg(),
        jpeg(scans=5),
        jpeg(frame=segment(0xC2, struct.pack(">BHHB", 12, 9, 9, 3) + b"\x01\x11\0" * 3)),
        jpeg(frame=b"\xff\xff" + segment(0xC0, FRAME)),
        jpeg() + b"what follows",
    ],
)
def test_a_jpeg(content):
    assert is_picture("image/jpeg", content)
    assert not is_picture("image/png", content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff" + b"0" * 100,
        jpeg(scans=0),
        jpeg(frame=b""),
        jpeg(frame=segment(0xC0, FRAME) * 2),
        jpeg(frame=segment(0xC0, FRAME[:5])),
        jpeg(frame=segment(0xC0, FRAME + b"\0")),
        jpeg(frame=segment(0xC0, b"\x09" + FRAME[1:])),
        jpeg(frame=segment(0xC0, struct.pack(">BHHB", 8, 0, 1, 1) + b"\x01\x11\0")),
        jpeg(frame=segment(0xC0, struct.pack(">BHHB", 8, 1, 1, 0))),
        jpeg(frame=b"\xff\x01" + segment(0xC0, FRAME)),
        jpeg(frame=b"\xff\xc0\0\1"),
    ],
)
def test_what_is_no_jpeg(content):
    assert not is_picture("image/jpeg", content)


@pytest.mark.parametrize(("mime_type", "content"), [("image/png", png()), ("image/jpeg", jpeg())])
def test_a_part_of_a_picture_is_none(mime_type, content):
    assert not any(is_picture(mime_type, content[:length]) for length in range(len(content)))
