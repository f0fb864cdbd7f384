"""Buttons of templates, within Meta's limits: "Buttons" of the Messenger Platform."""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from gateway.contracts.strict import IS_SAID, IS_TEXT, Body, WebAddress


def _is_encrypted(value: str) -> str:
    if not value.lower().startswith("https:"):
        raise ValueError("It has to be an https address")
    return value


ButtonTitle = Annotated[str, StringConstraints(min_length=1, max_length=20), IS_SAID, IS_TEXT]
Payload = Annotated[str, StringConstraints(min_length=1, max_length=1000), IS_TEXT]


class _Webview(Body):
    """A page, and how it opens."""

    type: Literal["web_url"]
    webview_height_ratio: Literal["compact", "tall", "full"] | None = None
    messenger_extensions: bool | None = None
    url: WebAddress
    fallback_url: WebAddress | None = None

    @field_validator("url")
    @classmethod
    def _is_encrypted_with_extensions(cls, value: str, info: ValidationInfo) -> str:
        return _is_encrypted(value) if info.data.get("messenger_extensions") else value

    @field_validator("fallback_url")
    @classmethod
    def _is_for_extensions(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and not info.data.get("messenger_extensions"):
            raise ValueError("It goes with `messenger_extensions` only")
        return value


class WebButton(_Webview):
    """Opens a page."""

    title: ButtonTitle


class DefaultAction(_Webview):
    """What a tap on a card does."""


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
    url: Annotated[WebAddress, AfterValidator(_is_encrypted)]


class UnlinkAccountButton(Body):
    """Ends account linking."""

    type: Literal["account_unlink"]


Button: TypeAlias = Annotated[
    WebButton | PostbackButton | PhoneButton | LinkAccountButton | UnlinkAccountButton,
    Field(discriminator="type"),
]
Buttons = Annotated[list[Button], Field(min_length=1, max_length=3)]
# What an image grid takes.
PlainButtons = Annotated[
    list[Annotated[WebButton | PostbackButton, Field(discriminator="type")]],
    Field(min_length=1, max_length=3),
]
