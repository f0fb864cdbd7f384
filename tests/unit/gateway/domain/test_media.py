"""What media is by its content, and what a channel sends of it."""

import pytest

from gateway.domain.media import is_content_of, plain_type, type_of_content
from gateway.domain.media_policy import refuse_media

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff\xe0"
MP4 = b"\0\0\0\x18ftypisom"
MOV = b"\0\0\0\x14ftypqt  "
PDF = b"%PDF-1.7"
MB = 1_000_000


@pytest.mark.parametrize(
    ("head", "said", "kind"),
    [
        (PNG, "image/png", "image/png"),
        (JPEG, "image/jpg", "image/jpeg"),
        (JPEG, "IMAGE/JPEG; charset=x", "image/jpeg"),
        # The server is wrong about it, or does not know.
        (JPEG, "image/png", "image/jpeg"),
        (PNG, "application/octet-stream", "image/png"),
        (PDF, "", "application/pdf"),
        (MP4, "binary/unknown", "video/mp4"),
        (MP4, "application/octet-stream", "video/mp4"),
        (MOV, "", "video/quicktime"),
        (b"\0\0\0\x18ftypM4A ", "", "audio/mp4"),
        (b"RIFF\x24\0\0\0WAVE", "", "audio/wav"),
        (b"#!AMR\n", "audio/amr", "audio/amr"),
        # Nothing tells; what is no picture, sound or film is believed.
        (b"a,b,c", "text/csv", "text/csv"),
        (b"a,b,c", "application/octet-stream", "application/octet-stream"),
        (b"a,b,c", "", "application/octet-stream"),
        (b"<html>", "image/png", None),
        (b"<html>", "video/mp4", None),
        (b"", "audio/mpeg", None),
    ],
)
def test_the_content_decides_of_what_type_a_file_is(head, said, kind):
    assert type_of_content(head, said=said) == kind


@pytest.mark.parametrize(
    ("mime_type", "head"),
    [("image/png", JPEG), ("application/pdf", PNG), ("video/mp4", PNG), ("image/tiff", b"II*\0")],
)
def test_content_of_another_type(mime_type, head):
    assert not is_content_of(mime_type, head)


def test_a_type_has_one_name():
    assert plain_type(" Audio/MP3; q=1") == "audio/mpeg"


@pytest.mark.parametrize(
    ("kind", "mime_type", "platform", "strict"),
    [
        # As what it is sent, its type, and how large it may be under each policy (0: not at all).
        ("image", "image/jpeg", 8 * MB, 8 * MB),
        ("image", "image/jpg", 8 * MB, 8 * MB),
        ("image", "image/png", 8 * MB, 8 * MB),
        ("image", "image/gif", 8 * MB, 0),
        ("image", "image/webp", 8 * MB, 0),
        ("file", "image/png", 25 * MB, 8 * MB),
        ("file", "application/pdf", 25 * MB, 20 * MB),
        ("file", "application/zip", 25 * MB, 0),
        ("file", "text/csv", 25 * MB, 0),
        ("video", "video/mp4", 25 * MB, 20 * MB),
        ("video", "video/mpeg", 25 * MB, 20 * MB),
        ("video", "video/quicktime", 25 * MB, 20 * MB),
        ("video", "video/webm", 25 * MB, 0),
        ("audio", "audio/mp3", 25 * MB, 20 * MB),
        ("audio", "audio/mpeg", 25 * MB, 20 * MB),
        ("audio", "audio/ogg", 25 * MB, 20 * MB),
        ("audio", "audio/vorbis", 25 * MB, 20 * MB),
        ("audio", "audio/amr", 25 * MB, 20 * MB),
        ("audio", "audio/wav", 25 * MB, 0),
    ],
)
def test_what_a_channel_sends(kind, mime_type, platform, strict):
    for policy, largest in (("platform", platform), ("strict", strict)):

        def refused(size, policy=policy):
            refusal = refuse_media(policy, kind, mime_type=mime_type, size=size, instagram=False)
            return refusal is not None

        assert refused(1) is (largest == 0)
        assert refused(largest) is (largest == 0)
        assert refused(largest + 1)


@pytest.mark.parametrize(
    ("kind", "mime_type", "taken"),
    [
        ("image", "image/gif", True),
        ("image", "image/webp", False),
        ("audio", "audio/x-m4a", True),
        ("audio", "audio/mpeg", False),
        ("video", "video/quicktime", True),
        ("file", "application/pdf", True),
        ("file", "text/csv", False),
    ],
)
def test_instagram_takes_fewer_types(kind, mime_type, taken):
    refusal = refuse_media("platform", kind, mime_type=mime_type, size=1, instagram=True)
    assert (refusal is None) is taken
