from typing import Any

import pytest

from gateway.domain.abilities import inability
from gateway.domain.channel import ChannelKind

WEB = {"type": "web_url", "title": "Go", "url": "https://acme.example"}
CALL = {"type": "phone_number", "title": "Call", "payload": "+44123456789"}
TEXT = {"type": "text", "text": "Hi", "quick_replies": [{"content_type": "text", "title": "Yes"}]}
IMAGE = {"type": "image", "url": "https://acme.example/a.png"}


def template(template_type: str, **fields: Any) -> dict[str, Any]:
    return {"type": "template", "template": {"template_type": template_type, **fields}}


@pytest.mark.parametrize(
    ("content", "instagram", "third_party"),
    [
        (TEXT, None, None),
        (IMAGE, None, None),
        (template("button", buttons=[WEB]), None, "/type"),
        (template("button", buttons=[WEB, CALL]), "/template/buttons/1/type", "/type"),
        (template("generic", elements=[{"title": "A", "buttons": [WEB]}]), None, "/type"),
        (
            template("generic", elements=[{"title": "A"}, {"title": "B", "buttons": [CALL]}]),
            "/template/elements/1/buttons/0/type",
            "/type",
        ),
        (template("product", elements=[{"id": "1"}]), None, "/type"),
        (template("media", elements=[{}]), "/template/template_type", "/type"),
        (template("receipt"), "/template/template_type", "/type"),
        (template("coupon"), "/template/template_type", "/type"),
        (template("image_grid", elements=[{}]), "/template/template_type", "/type"),
    ],
)
def test_what_a_kind_of_channel_cannot_say(
    content: dict[str, Any], instagram: str | None, third_party: str | None
) -> None:
    for kind, pointer in [
        (ChannelKind.MESSENGER, None),
        (ChannelKind.INSTAGRAM, instagram),
        (ChannelKind.THIRD_PARTY, third_party),
    ]:
        found = inability(content, kind)
        assert (found and found.pointer) == pointer
