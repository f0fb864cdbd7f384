"""What can be said in a message that leaves: text, media and templates, within Meta's limits.

Shapes and limits: "Send API" of the Messenger Platform. What only one channel's settings know, such
as its own text limit, is `gateway.domain.content`'s.
"""

from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from gateway.contracts.strict import IS_TEXT, Body, Reference, Text


def _is_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        reachable = parts.scheme in ("https", "http") and bool(parts.hostname)
    except ValueError:
        reachable = False
    if not reachable or not value.isprintable() or " " in value:
        raise ValueError("It has to be a web address")
    return value


def _is_said(value: str) -> str:
    if not value.strip():
        raise ValueError("It has to say something")
    return value


WebAddress = Annotated[
    str, StringConstraints(min_length=1, max_length=2048), AfterValidator(_is_address), IS_TEXT
]
ButtonTitle = Annotated[
    str, StringConstraints(min_length=1, max_length=20), AfterValidator(_is_said), IS_TEXT
]
Payload = Annotated[str, StringConstraints(min_length=1, max_length=1000), IS_TEXT]
CardLine = Annotated[
    str, StringConstraints(min_length=1, max_length=80), AfterValidator(_is_said), IS_TEXT
]


class QuickReply(Body):
    """An answer that the contact can tap; it vanishes after the next message."""

    content_type: Literal["text", "user_phone_number", "user_email"] = "text"
    title: ButtonTitle | None = Field(default=None, examples=["Yes, please"])
    payload: Payload | None = None
    image_url: WebAddress | None = None

    @model_validator(mode="after")
    def _has_a_title(self) -> "QuickReply":
        if self.content_type == "text" and self.title is None:
            raise ValueError("A quick reply of text needs a title")
        return self


class TextContent(Body):
    """Words."""

    type: Literal["text"]
    text: Annotated[Text, AfterValidator(_is_said)] = Field(
        description="As long as the channel's `text_limit` at most.",
        examples=["Your parcel is on its way."],
    )
    quick_replies: Annotated[list[QuickReply], Field(min_length=1, max_length=13)] | None = None


class MediaContent(Body):
    """A picture, a sound, a film or a file: by its address, or uploaded before."""

    type: Literal["image", "audio", "video", "file"]
    url: WebAddress | None = Field(default=None, examples=["https://acme.example/menu.pdf"])
    media_id: Reference | None = Field(default=None, examples=["med_01kb2x5h8ve0xrn1y2z3a4b5c6"])

    @model_validator(mode="after")
    def _has_one_source(self) -> "MediaContent":
        if (self.url is None) == (self.media_id is None):
            raise ValueError("Give either `url` or `media_id`")
        return self


class WebButton(Body):
    """Opens a page."""

    type: Literal["web_url"]
    title: ButtonTitle
    url: WebAddress
    webview_height_ratio: Literal["compact", "tall", "full"] | None = None
    messenger_extensions: bool | None = None
    fallback_url: WebAddress | None = None


class PostbackButton(Body):
    """Sends a postback."""

    type: Literal["postback"]
    title: ButtonTitle
    payload: Payload


class PhoneButton(Body):
    """Calls a number."""

    type: Literal["phone_number"]
    title: ButtonTitle
    payload: Annotated[str, StringConstraints(pattern=r"^\+[0-9]{3,20}$")] = Field(
        examples=["+44123456789"]
    )


class LinkAccountButton(Body):
    """Begins account linking."""

    type: Literal["account_link"]
    url: WebAddress


class UnlinkAccountButton(Body):
    """Ends account linking."""

    type: Literal["account_unlink"]


Button: TypeAlias = Annotated[
    WebButton | PostbackButton | PhoneButton | LinkAccountButton | UnlinkAccountButton,
    Field(discriminator="type"),
]
Buttons = Annotated[list[Button], Field(min_length=1, max_length=3)]


class DefaultAction(Body):
    """What a tap on a card does."""

    type: Literal["web_url"]
    url: WebAddress
    webview_height_ratio: Literal["compact", "tall", "full"] | None = None
    messenger_extensions: bool | None = None
    fallback_url: WebAddress | None = None


class Card(Body):
    """One card of a generic template."""

    title: CardLine
    subtitle: CardLine | None = None
    image_url: WebAddress | None = None
    default_action: DefaultAction | None = None
    buttons: Buttons | None = None


class ButtonTemplate(Body):
    """A text with buttons."""

    template_type: Literal["button"]
    text: Annotated[
        str, StringConstraints(min_length=1, max_length=640), AfterValidator(_is_said), IS_TEXT
    ]
    buttons: Buttons


class GenericTemplate(Body):
    """Cards beside one another."""

    template_type: Literal["generic"]
    elements: Annotated[list[Card], Field(min_length=1, max_length=10)]
    image_aspect_ratio: Literal["horizontal", "square"] | None = None


class TemplateContent(Body):
    """Cards or buttons."""

    type: Literal["template"]
    template: ButtonTemplate | GenericTemplate = Field(discriminator="template_type")


Content: TypeAlias = Annotated[
    TextContent | MediaContent | TemplateContent, Field(discriminator="type")
]


def stored(content: TextContent | MediaContent | TemplateContent) -> dict[str, Any]:
    """Return a content as messages hold it."""
    return content.model_dump(mode="json", exclude_none=True)
