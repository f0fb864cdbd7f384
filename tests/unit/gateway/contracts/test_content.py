"""What Meta would refuse is refused before, with the place; what it takes passes."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from gateway.contracts.content import Content, stored
from gateway.errors import InvalidFieldsError
from gateway.http.patches import validated_type

CONTENT: TypeAdapter[Any] = TypeAdapter(Content)
WEB = {"type": "web_url", "title": "Look", "url": "https://acme.example/look"}
POSTBACK = {"type": "postback", "title": "Buy", "payload": "BUY"}
CALL = {"type": "phone_number", "title": "Call us", "payload": "+44123456789"}
CARD = {"title": "Shoes", "subtitle": "Blue"}
PICTURE = {"url": "https://acme.example/a.png"}
ADDRESS = {
    "street_1": "1 Quay",
    "city": "Cork",
    "postal_code": "T12",
    "state": "C",
    "country": "IE",
}
RECEIPT = {
    "template_type": "receipt",
    "recipient_name": "Vera",
    "order_number": "17",
    "currency": "EUR",
    "payment_method": "Visa 1234",
    "summary": {"total_cost": 12.5},
}


def template(template_type: str, **fields: Any) -> dict[str, Any]:
    return {"type": "template", "template": {"template_type": template_type, **fields}}


def asked(*replies: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": "Well?", "quick_replies": list(replies)}


def receipt(**fields: Any) -> dict[str, Any]:
    return {"type": "template", "template": RECEIPT | fields}


def coupon(**fields: Any) -> dict[str, Any]:
    return template("coupon", title="10 % off", **fields)


def grid(*images: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return template("image_grid", elements=[{"images": list(images), **fields}])


def media(**fields: Any) -> dict[str, Any]:
    return template("media", elements=[{"media_type": "image", **fields}])


def refused(content: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidFieldsError) as caught:
        validated_type(CONTENT, content, prefix="/content")
    return [fault.pointer for fault in caught.value.faults]


@pytest.mark.parametrize(
    "content",
    [
        asked(*({"title": "x" * 20, "payload": "p" * 1000} for _ in range(13))),
        asked({"content_type": "user_phone_number"}, {"content_type": "user_email"}),
        asked({"title": "Red", "image_url": "https://acme.example/red.png"}),
        template("button", text="x" * 640, buttons=[WEB, POSTBACK, CALL]),
        template("button", text="In", buttons=[{"type": "account_unlink"}]),
        template(
            "button",
            text="In",
            buttons=[
                {"type": "account_link", "url": "https://acme.example/in"},
                WEB | {"messenger_extensions": True, "fallback_url": "http://acme.example"},
            ],
        ),
        template("generic", elements=[CARD | {"title": "x" * 80, "subtitle": "y" * 80}] * 10),
        template("generic", elements=[{"title": "A", "buttons": [WEB] * 3}]),
        template(
            "generic",
            elements=[{"title": "A", "default_action": {"type": "web_url", "url": WEB["url"]}}],
            image_aspect_ratio="square",
            sharable=True,
        ),
        media(attachment_id="1745504518999123", buttons=[WEB] * 3),
        media(url="https://business.facebook.com/acme/photos/1"),
        receipt(
            elements=[{"title": "Shoe", "price": 50, "quantity": 2, "currency": "EUR"}] * 100,
            address=ADDRESS | {"street_2": ""},
            adjustments=[{"name": "New here", "amount": 5}],
            timestamp="1428444852",
        ),
        template("product", elements=[{"id": "17"}] * 10),
        coupon(coupon_code="TEN", coupon_url="https://acme.example", coupon_url_button_title="Go"),
        coupon(coupon_url="https://acme.example"),
        grid(PICTURE, PICTURE | {"is_hero_image": True}, title="x" * 45, buttons=[WEB, POSTBACK]),
        grid(
            *[PICTURE | {"action": {"type": "web_url", "url": WEB["url"]}}] * 3,
            *[PICTURE | {"action": {"type": "postback", "payload": "P"}}] * 3,
        ),
    ],
)
def test_what_meta_takes_passes_as_it_is(content: dict[str, Any]) -> None:
    kept = stored(validated_type(CONTENT, content))
    for reply in kept.get("quick_replies", []):
        if reply not in content["quick_replies"]:
            del reply["content_type"]
    assert kept == content


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        (asked(), "/quick_replies"),
        (asked(*[{"title": "x"}] * 14), "/quick_replies"),
        (asked({"title": "x" * 21}), "/quick_replies/0/title"),
        (asked({"title": " "}), "/quick_replies/0/title"),
        (asked({"payload": "P"}), "/quick_replies/0/title"),
        (asked({"title": "x", "payload": "p" * 1001}), "/quick_replies/0/payload"),
        (asked({"title": "x", "payload": ""}), "/quick_replies/0/payload"),
        (asked({"title": "x", "image_url": "x.png"}), "/quick_replies/0/image_url"),
        (asked({"content_type": "location"}), "/quick_replies/0/content_type"),
        (asked(*[{"content_type": "user_email"}] * 2), "/quick_replies"),
        (asked(*[{"content_type": "user_phone_number"}] * 2), "/quick_replies"),
        (template("button", text="x" * 641, buttons=[WEB]), "/template/text"),
        (template("button", text=" ", buttons=[WEB]), "/template/text"),
        (template("button", text="Go"), "/template/buttons"),
        (template("button", text="Go", buttons=[]), "/template/buttons"),
        (template("button", text="Go", buttons=[WEB] * 4), "/template/buttons"),
        (
            template("button", text="Go", buttons=[WEB | {"title": "x" * 21}]),
            "/template/buttons/0/title",
        ),
        (
            template("button", text="Go", buttons=[WEB, WEB | {"url": "nowhere"}]),
            "/template/buttons/1/url",
        ),
        (
            template(
                "button",
                text="Go",
                buttons=[WEB | {"url": "http://acme.example", "messenger_extensions": True}],
            ),
            "/template/buttons/0/url",
        ),
        (
            template("button", text="Go", buttons=[WEB | {"fallback_url": WEB["url"]}]),
            "/template/buttons/0/fallback_url",
        ),
        (
            template("button", text="Go", buttons=[POSTBACK | {"payload": "p" * 1001}]),
            "/template/buttons/0/payload",
        ),
        (
            template("button", text="Go", buttons=[CALL | {"payload": "0123"}]),
            "/template/buttons/0/payload",
        ),
        (
            template("button", text="Go", buttons=[{"type": "account_link", "url": "http://a.b"}]),
            "/template/buttons/0/url",
        ),
        (template("button", text="Go", buttons=[{"type": "share"}]), "/template/buttons/0/type"),
        (template("generic", elements=[]), "/template/elements"),
        (template("generic", elements=[CARD] * 11), "/template/elements"),
        (template("generic", elements=[CARD, {"title": "A"}]), "/template/elements/1"),
        (
            template("generic", elements=[CARD | {"title": "x" * 81}]),
            "/template/elements/0/title",
        ),
        (
            template("generic", elements=[CARD | {"subtitle": "x" * 81}]),
            "/template/elements/0/subtitle",
        ),
        (
            template("generic", elements=[CARD | {"buttons": [WEB] * 4}]),
            "/template/elements/0/buttons",
        ),
        (
            template("generic", elements=[CARD | {"default_action": WEB}]),
            "/template/elements/0/default_action/title",
        ),
        (template("media"), "/template/elements"),
        (media(), "/template/elements/0"),
        (media(attachment_id="1", url="https://facebook.com/a"), "/template/elements/0"),
        (media(url="https://acme.example/a.png"), "/template/elements/0/url"),
        (media(url="https://facebook.com.acme.example/a"), "/template/elements/0/url"),
        (media(media_type="audio", attachment_id="1"), "/template/elements/0/media_type"),
        (template("media", elements=[{"media_type": "image"}] * 2), "/template/elements"),
        (receipt(currency="euro"), "/template/currency"),
        (receipt(summary={}), "/template/summary/total_cost"),
        (receipt(summary={"total_cost": "12"}), "/template/summary/total_cost"),
        (receipt(elements=[{"title": "A", "price": 1}] * 101), "/template/elements"),
        (receipt(elements=[{"title": "A"}]), "/template/elements/0/price"),
        (receipt(address=ADDRESS | {"country": "Eire"}), "/template/address/country"),
        (receipt(timestamp="yesterday"), "/template/timestamp"),
        (template("product", elements=[{"id": "17"}] * 11), "/template/elements"),
        (template("product", elements=[{"id": "shoe"}]), "/template/elements/0/id"),
        (coupon(), "/template"),
        (
            coupon(coupon_code="TEN", coupon_url_button_title="Go"),
            "/template/coupon_url_button_title",
        ),
        (grid(PICTURE), "/template/elements/0/images"),
        (grid(*[PICTURE] * 7), "/template/elements/0/images"),
        (grid(*[PICTURE | {"is_hero_image": True}] * 2), "/template/elements/0/images"),
        (grid(PICTURE, PICTURE, title="x" * 46), "/template/elements/0/title"),
        (grid(PICTURE, PICTURE, buttons=[CALL]), "/template/elements/0/buttons/0/type"),
        (
            grid(PICTURE, PICTURE | {"action": {"type": "postback"}}),
            "/template/elements/0/images/1/action/payload",
        ),
        (
            grid(PICTURE, PICTURE | {"action": {"type": "web_url", "payload": "P"}}),
            "/template/elements/0/images/1/action/url",
        ),
        (template("list"), "/template/template_type"),
    ],
)
def test_what_meta_would_refuse_is_pointed_at(content: dict[str, Any], pointer: str) -> None:
    assert refused(content)[0] == f"/content{pointer}"
