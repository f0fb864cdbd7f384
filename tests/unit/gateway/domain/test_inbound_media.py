"""What becomes of attachments: fetched, here already, or left out with the reason."""

import pytest

from gateway.domain.inbound_media import (
    any_pending,
    fits,
    is_pending,
    make_ready,
    make_unavailable,
    take_in,
)

CDN = "https://cdn.example/1.png"


@pytest.mark.parametrize(
    ("attachment", "status", "reason"),
    [
        ({"type": "image", "url": CDN}, "pending", None),
        ({"type": "audio", "url": CDN}, "pending", None),
        ({"type": "image", "media_id": "med_1"}, "ready", None),
        ({"type": "image"}, "unavailable", "gone"),
        ({"type": "video", "url": CDN}, "unavailable", "type-not-accepted"),
        ({"type": "file", "media_id": "med_1"}, "unavailable", "type-not-accepted"),
        # What is no file stays as it came.
        ({"type": "fallback", "url": CDN}, None, None),
        ({"type": "sticker", "url": CDN, "sticker_id": "1"}, None, None),
        ({"type": "location", "latitude": 1.0}, None, None),
    ],
)
def test_each_by_its_type(attachment, status, reason):
    arrived = take_in([attachment], accepted={"image", "audio"})
    (shown,) = arrived.attachments
    assert shown.get("status") == status
    assert arrived.wanted == ([0] if status == "pending" else [])
    assert shown.get("unavailable", {}).get("reason") == reason
    if reason == "type-not-accepted":
        assert not shown.keys() & {"url", "media_id"}
    elif status is None:
        assert shown == attachment


def test_each_by_its_place():
    described = [{"type": "text"}, {"type": "image", "url": CDN}, {"type": "file", "url": CDN}]
    arrived = take_in(described)
    assert arrived.wanted == [1, 2]
    assert [is_pending(arrived.attachments, place) for place in range(4)] == [
        *(False, True, True, False),
    ]
    assert any_pending(arrived.attachments)
    assert not is_pending(None, 0)
    assert not is_pending(["x"], 0)


def test_what_is_ready_has_no_address_of_its_source():
    attachment = {"type": "file", "url": CDN, "status": "pending", "name": "menu.pdf"}
    tells = {"media_id": "med_1", "mime_type": "application/pdf", "size": 3, "name": "1.png"}
    assert make_ready(attachment, tells) == {
        "type": "file",
        "status": "ready",
        "media_id": "med_1",
        "mime_type": "application/pdf",
        "size": 3,
        "name": "menu.pdf",
    }


def test_what_is_unavailable_says_why_in_known_words():
    attachment = {"type": "file", "url": CDN, "status": "pending"}
    told = make_unavailable(attachment, "too-large")
    assert (told["status"], told["unavailable"]["reason"]) == ("unavailable", "too-large")
    assert make_unavailable(attachment, "timed-out")["unavailable"]["reason"] == "failed"


@pytest.mark.parametrize(
    ("kind", "mime_type", "fit"),
    [
        ("image", "image/webp", True),
        ("image", "text/html", False),
        ("audio", "video/mp4", True),
        ("video", "image/png", False),
        ("file", "text/html", True),
    ],
)
def test_what_may_be_an_attachment_of_a_kind(kind, mime_type, fit):
    assert fits(kind, mime_type) is fit
