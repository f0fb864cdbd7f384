"""Templates: what is said in cards, within Meta's limits.

Shapes and limits: "Message templates" of the Messenger Platform, each template's own page.
"""

from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gateway.contracts.buttons import (
    Buttons,
    ButtonTitle,
    DefaultAction,
    Payload,
    PlainButtons,
)
from gateway.contracts.strict import IS_SAID, IS_TEXT, Body, WebAddress, Whole, required


def _is_facebooks(value: str) -> str:
    host = urlsplit(value).hostname or ""
    if host != "facebook.com" and not host.endswith(".facebook.com"):
        raise ValueError("It has to be the address of a picture or video on facebook.com")
    return value


CardLine = Annotated[str, StringConstraints(min_length=1, max_length=80), IS_SAID, IS_TEXT]
GridTitle = Annotated[str, StringConstraints(min_length=1, max_length=45), IS_SAID, IS_TEXT]
ButtonText = Annotated[str, StringConstraints(min_length=1, max_length=640), IS_SAID, IS_TEXT]
# Of what Meta tells no limit.
Line = Annotated[str, StringConstraints(min_length=1, max_length=1000), IS_SAID, IS_TEXT]
PlatformId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,30}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Amount = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class ButtonTemplate(Body):
    """A text with buttons."""

    template_type: Literal["button"]
    text: ButtonText
    buttons: Buttons


class Card(Body):
    """One card of a generic template: a title, and something besides."""

    title: CardLine
    subtitle: CardLine | None = None
    image_url: WebAddress | None = None
    default_action: DefaultAction | None = None
    buttons: Buttons | None = None

    @model_validator(mode="after")
    def _has_more_than_a_title(self) -> "Card":
        if not (self.subtitle or self.image_url or self.default_action or self.buttons):
            raise ValueError(
                "Give `subtitle`, `image_url`, `default_action` or `buttons` beside the title"
            )
        return self


class GenericTemplate(Body):
    """Cards beside one another."""

    template_type: Literal["generic"]
    elements: Annotated[list[Card], Field(min_length=1, max_length=10)]
    image_aspect_ratio: Literal["horizontal", "square"] | None = None
    sharable: bool | None = None


class MediaCard(Body):
    """A picture or a video: by Meta's id of an attachment, or by its address on Facebook."""

    media_type: Literal["image", "video"]
    attachment_id: PlatformId | None = None
    url: Annotated[WebAddress, AfterValidator(_is_facebooks)] | None = None
    buttons: Buttons | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> "MediaCard":
        if (self.attachment_id is None) == (self.url is None):
            raise ValueError("Give either `attachment_id` or `url`")
        return self


class MediaTemplate(Body):
    """A picture or a video with buttons."""

    template_type: Literal["media"]
    elements: Annotated[list[MediaCard], Field(min_length=1, max_length=1)]
    sharable: bool | None = None


class ReceiptAddress(Body):
    """Where an order goes."""

    street_1: Line
    street_2: Annotated[str, StringConstraints(max_length=1000), IS_TEXT] | None = None
    city: Line
    postal_code: Line
    state: Line
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class ReceiptSummary(Body):
    """What an order costs."""

    subtotal: Amount | None = None
    shipping_cost: Amount | None = None
    total_tax: Amount | None = None
    total_cost: Amount


class ReceiptAdjustment(Body):
    """What is taken off, such as a discount."""

    name: Line
    amount: Amount


class ReceiptItem(Body):
    """One item of an order."""

    title: Line
    subtitle: Line | None = None
    quantity: Annotated[Whole, Field(ge=0)] | None = None
    price: Amount
    currency: Currency | None = None
    image_url: WebAddress | None = None


class ReceiptTemplate(Body):
    """The confirmation of an order."""

    template_type: Literal["receipt"]
    recipient_name: Line
    merchant_name: Line | None = None
    order_number: Line
    currency: Currency
    payment_method: Line
    order_url: WebAddress | None = None
    timestamp: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}$")] | None = Field(
        default=None, description="Of the order, in seconds."
    )
    elements: Annotated[list[ReceiptItem], Field(max_length=100)] | None = None
    address: ReceiptAddress | None = None
    summary: ReceiptSummary
    adjustments: list[ReceiptAdjustment] | None = None
    sharable: bool | None = None


class Product(Body):
    """A product of the Page's catalogue, by Meta's id."""

    id: PlatformId


class ProductTemplate(Body):
    """Products of the Page's catalogue, beside one another."""

    template_type: Literal["product"]
    elements: Annotated[list[Product], Field(min_length=1, max_length=10)]


class CouponTemplate(Body):
    """A code that takes something off a price, or a page where that is got."""

    template_type: Literal["coupon"]
    title: Line
    subtitle: Line | None = None
    coupon_code: Line | None = None
    coupon_url: WebAddress | None = None
    coupon_url_button_title: ButtonTitle | None = None
    coupon_pre_message: Line | None = None
    image_url: WebAddress | None = None
    payload: Payload | None = None

    @field_validator("coupon_url_button_title")
    @classmethod
    def _goes_somewhere(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("coupon_url") is None:
            raise ValueError("It goes with `coupon_url` only")
        return value

    @model_validator(mode="after")
    def _gives_something(self) -> "CouponTemplate":
        if self.coupon_code is None and self.coupon_url is None:
            raise ValueError("Give `coupon_code`, `coupon_url` or both")
        return self


class GridAction(Body):
    """What a tap on a picture does: it opens a page or sends a postback."""

    type: Literal["web_url", "postback"]
    url: WebAddress | None = Field(default=None, validate_default=True)
    payload: Payload | None = Field(default=None, validate_default=True)

    @field_validator("url", "payload")
    @classmethod
    def _belongs_to_type(cls, value: str | None, info: ValidationInfo) -> str | None:
        type_ = info.data.get("type")
        wanted = info.field_name == ("url" if type_ == "web_url" else "payload")
        if type_ is None or (value is not None) == wanted:
            return value
        if wanted:
            raise required()
        raise ValueError(f"An action of the type `{type_}` has none")


class GridImage(Body):
    """One picture of a grid."""

    url: WebAddress
    is_hero_image: bool | None = None
    action: GridAction | None = None


class Grid(Body):
    """Pictures side by side, with words and buttons below."""

    images: Annotated[list[GridImage], Field(min_length=2, max_length=6)]
    title: GridTitle | None = None
    subtitle: CardLine | None = None
    buttons: PlainButtons | None = None

    @field_validator("images")
    @classmethod
    def _have_one_hero(cls, value: list[GridImage]) -> list[GridImage]:
        if sum(bool(image.is_hero_image) for image in value) > 1:
            raise ValueError("Only one picture may have `is_hero_image`")
        return value


class ImageGridTemplate(Body):
    """Two to six pictures in one message."""

    template_type: Literal["image_grid"]
    elements: Annotated[list[Grid], Field(min_length=1, max_length=1)]


Template: TypeAlias = Annotated[
    ButtonTemplate
    | GenericTemplate
    | MediaTemplate
    | ReceiptTemplate
    | ProductTemplate
    | CouponTemplate
    | ImageGridTemplate,
    Field(discriminator="template_type"),
]
