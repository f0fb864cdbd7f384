"""What a message to a person may be, and Meta's complaint about what it may not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.sandbox.errors import GraphError, invalid_parameter

TEXT_LIMIT: Final = 2000
# Of bytes, where Messenger counts characters.
INSTAGRAM_TEXT_LIMIT: Final = 1000
METADATA_LIMIT: Final = 1000
QUICK_REPLIES_LIMIT: Final = 13
QUICK_REPLY_TITLE_LIMIT: Final = 20
PAYLOAD_LIMIT: Final = 1000
BUTTON_TITLE_LIMIT: Final = 20
BUTTON_TEXT_LIMIT: Final = 640
BUTTONS_LIMIT: Final = 3
ELEMENTS_LIMIT: Final = 10
ELEMENT_TEXT_LIMIT: Final = 80
IMAGES_LIMIT: Final = 30

MEDIA_TYPES: Final = frozenset({"image", "audio", "video", "file"})
_QUICK_REPLY_TYPES: Final = frozenset({"text", "user_phone_number", "user_email"})
_BUTTON_TYPES: Final = frozenset(
    {
        "web_url",
        "postback",
        "phone_number",
        "account_link",
        "account_unlink",
        "game_play",
        "audio_call",
    }
)
_OTHER_TEMPLATES: Final = frozenset(
    {
        "receipt",
        "product",
        "coupon",
        "customer_feedback",
        "notification_messages",
        "customer_information",
        "image_grid",
        "airline_boardingpass",
        "airline_checkin",
        "airline_itinerary",
        "airline_update",
    }
)


@dataclass(slots=True, kw_only=True)
class Content:
    """A message that passed the checks. Media by id are still ids in `attachments`."""

    text: str | None = None
    attachments: list[dict[str, Any]] = field(default_factory=list)
    quick_replies: list[dict[str, Any]] = field(default_factory=list)
    metadata: str | None = None


def read_content(
    message: Mapping[str, Any], *, instagram: bool = False, uploaded: bool = False
) -> Content:
    """Check a `message` object and return it; raises GraphError as Meta would.

    With `uploaded`, the file came beside the message, and its payload need not name one.
    """
    text = message.get("text")
    attachments = _attachments(message)
    if text is not None and not isinstance(text, str):
        raise invalid_parameter("message[text]", "must be a string")
    if not text and not attachments and "sticker_id" not in message:
        raise GraphError(100, 2018034)
    if text and attachments:
        raise invalid_parameter("message", "cannot have both text and an attachment")
    if instagram:
        _bounded((text or "").encode(), "message[text]", INSTAGRAM_TEXT_LIMIT)
    else:
        _bounded(text or "", "message[text]", TEXT_LIMIT)
    for attachment in attachments:
        _check_attachment(attachment, uploaded=uploaded)
    metadata = message.get("metadata")
    if metadata is not None and not isinstance(metadata, str):
        raise invalid_parameter("message[metadata]", "must be a string")
    _bounded(metadata or "", "message[metadata]", METADATA_LIMIT)
    return Content(
        text=text or None,
        attachments=[*attachments, *_sticker(message)],
        quick_replies=_quick_replies(message.get("quick_replies")),
        metadata=metadata,
    )


def _attachments(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    one, many = message.get("attachment"), message.get("attachments")
    if one is not None and many is not None:
        raise invalid_parameter("message", "cannot have both attachment and attachments")
    if one is not None:
        return [_mapping(one, "message[attachment]")]
    if many is None:
        return []
    found = _sequence(many, "message[attachments]", IMAGES_LIMIT)
    if any(not isinstance(each, dict) or each.get("type") != "image" for each in found):
        raise invalid_parameter("message[attachments]", "may only hold images")
    return found


def _sticker(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "sticker_id" not in message:
        return []
    return [{"type": "sticker", "payload": {"sticker_id": message["sticker_id"]}}]


def _check_attachment(attachment: Mapping[str, Any], *, uploaded: bool) -> None:
    kind = attachment.get("type")
    payload = attachment.get("payload")
    if kind == "template":
        _check_template(_mapping(payload, "message[attachment][payload]"))
        return
    if kind not in MEDIA_TYPES:
        raise invalid_parameter("message[attachment][type]", "must be a type of attachment")
    if uploaded:
        return
    source = _mapping(payload, "message[attachment][payload]")
    medium_id, url = source.get("attachment_id"), source.get("url")
    if medium_id is not None:
        if not isinstance(medium_id, str):
            raise invalid_parameter("attachment_id", "must be a string")
    elif not is_web_address(url):
        raise invalid_parameter("message[attachment][payload][url]", "must be a valid URL")


def _check_template(template: Mapping[str, Any]) -> None:
    kind = template.get("template_type")
    match kind:
        case "button":
            text = template.get("text")
            if not isinstance(text, str) or not text:
                raise invalid_parameter("text", "must be a non-empty string")
            _bounded(text, "text", BUTTON_TEXT_LIMIT)
            _check_buttons(template.get("buttons"), required=True)
        case "generic":
            for element in _elements(template, ELEMENTS_LIMIT):
                _check_element(element)
        case "media":
            for element in _elements(template, 1):
                _check_media_element(element)
        case _:
            if kind not in _OTHER_TEMPLATES:
                raise invalid_parameter("template_type", "must be a type of template")


def _check_media_element(element: Mapping[str, Any]) -> None:
    if element.get("media_type") not in ("image", "video"):
        raise invalid_parameter("media_type", "must be image or video")
    if not element.get("attachment_id") and not is_web_address(element.get("url")):
        raise invalid_parameter("elements", "needs an attachment_id or a url")
    _check_buttons(element.get("buttons"))


def _elements(template: Mapping[str, Any], limit: int) -> list[Mapping[str, Any]]:
    found = _sequence(template.get("elements"), "elements", limit)
    return [_mapping(element, "elements") for element in found]


def _check_element(element: Mapping[str, Any]) -> None:
    title, subtitle = element.get("title"), element.get("subtitle")
    if not isinstance(title, str) or not title:
        raise invalid_parameter("elements[title]", "must be a non-empty string")
    if subtitle is not None and not isinstance(subtitle, str):
        raise invalid_parameter("elements[subtitle]", "must be a string")
    _bounded(title, "elements[title]", ELEMENT_TEXT_LIMIT)
    _bounded(subtitle or "", "elements[subtitle]", ELEMENT_TEXT_LIMIT)
    for name in ("image_url", "item_url"):
        if element.get(name) is not None and not is_web_address(element[name]):
            raise invalid_parameter(f"elements[{name}]", "must be a valid URL")
    _check_buttons(element.get("buttons"))


def _check_buttons(buttons: object, *, required: bool = False) -> None:
    if buttons is None and not required:
        return
    for button in _sequence(buttons, "buttons", BUTTONS_LIMIT):
        _check_button(_mapping(button, "buttons"))


def _check_button(button: Mapping[str, Any]) -> None:
    kind, title = button.get("type"), button.get("title")
    if kind not in _BUTTON_TYPES:
        raise invalid_parameter("buttons[type]", "must be a type of button")
    if kind in ("web_url", "postback", "phone_number"):
        if not isinstance(title, str) or not title:
            raise GraphError(100, 2018053)
        _bounded(title, "buttons[title]", BUTTON_TITLE_LIMIT)
    if kind in ("web_url", "account_link") and not is_web_address(button.get("url")):
        raise GraphError(100, 2018041)
    if kind in ("postback", "phone_number"):
        payload = button.get("payload")
        if not isinstance(payload, str) or not payload:
            raise GraphError(100, 2018040)
        _bounded(payload, "buttons[payload]", PAYLOAD_LIMIT)


def _quick_replies(replies: object) -> list[dict[str, Any]]:
    if replies is None:
        return []
    found = []
    for reply in _sequence(replies, "message[quick_replies]", QUICK_REPLIES_LIMIT):
        choice = _mapping(reply, "message[quick_replies]")
        kind, title, payload = (choice.get(key) for key in ("content_type", "title", "payload"))
        if kind not in _QUICK_REPLY_TYPES:
            raise invalid_parameter("quick_replies[content_type]", "must be a type of quick reply")
        if kind == "text":
            if not isinstance(title, str) or not title:
                raise invalid_parameter("quick_replies[title]", "must be a non-empty string")
            if not isinstance(payload, str):
                raise invalid_parameter("quick_replies[payload]", "must be a string")
            _bounded(title, "quick_replies[title]", QUICK_REPLY_TITLE_LIMIT)
            _bounded(payload, "quick_replies[payload]", PAYLOAD_LIMIT)
        found.append(choice)
    return found


def is_web_address(value: object) -> bool:
    """Say whether a value is an http or https address with a host."""
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _bounded(text: str | bytes, name: str, limit: int) -> None:
    if len(text) > limit:
        raise GraphError(
            100, message=f"(#100) Length of param {name} must be less than or equal to {limit}"
        )


def _mapping(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid_parameter(name, "must be a JSON object")
    return value


def _sequence(value: object, name: str, limit: int) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= limit:
        raise invalid_parameter(name, f"must be an array of 1 to {limit} items")
    return value
