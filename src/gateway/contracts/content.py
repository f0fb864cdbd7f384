"""What can be said in a message that leaves: text, media and templates, within Meta's limits.

Shapes and limits: "Send API" of the Messenger Platform. What depends on the channel is said
elsewhere: its text limit by `gateway.domain.text_limit`, what its kind cannot do by
`gateway.domain.abilities`.
"""

from collections import Counter
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from gateway.contracts.buttons import ButtonTitle, Payload
from gateway.contracts.strict import IS_SAID, Body, Reference, Text, WebAddress, required
from gateway.contracts.templates import Template


class QuickReply(Body):
    """An answer that the contact can tap; it vanishes after the next message."""

    content_type: Literal["text", "user_phone_number", "user_email"] = "text"
    title: ButtonTitle | None = Field(default=None, validate_default=True, examples=["Yes, please"])
    payload: Payload | None = Field(
        default=None, description="Comes back when it is tapped; the title, unless it is given."
    )
    image_url: WebAddress | None = None

    @field_validator("title")
    @classmethod
    def _is_there_for_text(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("content_type") == "text":
            raise required()
        return value


def _ask_once(replies: list[QuickReply]) -> list[QuickReply]:
    asked = Counter(reply.content_type for reply in replies)
    for kind in ("user_phone_number", "user_email"):
        if asked[kind] > 1:
            raise ValueError(f"Only one of them may be a `{kind}`")
    return replies


QuickReplies = Annotated[
    list[QuickReply], Field(min_length=1, max_length=13), AfterValidator(_ask_once)
]


class TextContent(Body):
    """Words."""

    type: Literal["text"]
    text: Annotated[Text, IS_SAID] = Field(
        description="As long as the channel's `text_limit` at most.",
        examples=["Your parcel is on its way."],
    )
    quick_replies: QuickReplies | None = None


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


class TemplateContent(Body):
    """Cards or buttons."""

    type: Literal["template"]
    template: Template


Content: TypeAlias = Annotated[
    TextContent | MediaContent | TemplateContent, Field(discriminator="type")
]


def stored(content: TextContent | MediaContent | TemplateContent) -> dict[str, Any]:
    """Return a content as messages hold it."""
    return content.model_dump(mode="json", exclude_none=True)
