"""What a third party may post."""

from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
)

from gateway.contracts.inbound import NO_CONTACT
from gateway.contracts.moments import as_moment
from gateway.contracts.resources import Resource
from gateway.domain import ids
from gateway.http.schemas import IS_TEXT, Body, Text

MOST_MESSAGES: Final = 100
_MEDIA_TYPES: Final = ("image", "audio", "video", "file")
_URL: Final = TypeAdapter(AnyHttpUrl)


def _is_somebody(value: str) -> str:
    if value == NO_CONTACT:
        raise ValueError("This is no id of a person")
    return value


def _is_address(value: str) -> str:
    _URL.validate_python(value)
    return value


def _is_media_id(value: str) -> str:
    if not ids.is_id(ids.MEDIA, value):
        raise ValueError("This is no id of media uploaded here")
    return value


def _is_moment(value: str | float) -> str | float:
    if as_moment(value) is None:
        raise ValueError("This is neither RFC 3339 nor seconds or milliseconds since 1970")
    return value


TheirId = Annotated[str, StringConstraints(min_length=1, max_length=512), IS_TEXT]
ContactId = Annotated[TheirId, AfterValidator(_is_somebody)]
Address = Annotated[Text, StringConstraints(max_length=4096), AfterValidator(_is_address)]
When = Annotated[
    Annotated[str, StringConstraints(max_length=40)]
    | Annotated[int, Field(strict=True)]
    | Annotated[float, Field(strict=True)],
    AfterValidator(_is_moment),
]
Name = Annotated[Text, StringConstraints(max_length=255)]


class Profile(Body):
    """What the third party knows of a person; what is left out stays as it is."""

    name: Name | None = None
    first_name: Name | None = None
    last_name: Name | None = None
    email: Name | None = None
    phone: Name | None = None
    avatar_url: Address | None = None
    locale: Annotated[Text, StringConstraints(max_length=35)] | None = None
    attributes: dict[str, Any] | None = Field(
        default=None, description="Whatever else is worth knowing, kept as it is."
    )


class Contact(Profile):
    """Who wrote."""

    id: ContactId = Field(description="Your id of the person.", examples=["customer-42"])


class IncomingMessage(Body):
    """One message of a person."""

    id: TheirId = Field(
        description="Your id of the message; the same one again has no second effect.",
        examples=["5b0c-1"],
    )
    contact: Contact
    type: Literal["text", "image", "audio", "video", "file", "location", "postback"]
    text: Annotated[Text, StringConstraints(min_length=1, max_length=65_536)] | None = Field(
        default=None, description="What was said; of a postback, what stood on the button."
    )
    url: Address | None = Field(default=None, description="Where the media is.")
    media_id: Annotated[str, AfterValidator(_is_media_id)] | None = Field(
        default=None, description="Media uploaded before; instead of `url`."
    )
    mime_type: Annotated[Text, StringConstraints(max_length=255)] | None = None
    name: Name | None = Field(default=None, description="Of the file or the place.")
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    payload: Annotated[Text, StringConstraints(min_length=1, max_length=4096)] | None = Field(
        default=None, description="Of the button that was pressed."
    )
    reply_to: TheirId | None = Field(default=None, description="The message that this answers.")
    timestamp: When | None = Field(
        default=None, description="When it was written: RFC 3339, or seconds or milliseconds."
    )

    def missing(self) -> tuple[str, str] | None:
        """Return which field its type needs and lacks, and a sentence about it."""
        match self.type:
            case "text" if self.text is None:
                return "text", "A text message needs its text."
            case "location" if self.latitude is None or self.longitude is None:
                lacking = "latitude" if self.latitude is None else "longitude"
                return lacking, "A location needs latitude and longitude."
            case "postback" if self.payload is None:
                return "payload", "A postback needs the button's payload."
            case kind if kind in _MEDIA_TYPES and (self.url is None) == (self.media_id is None):
                return "url", "Media needs either a url or a media_id."
            case _:
                return None


class IncomingMessages(Body):
    """Several messages, in the order in which they were written."""

    messages: Annotated[list[IncomingMessage], Field(min_length=1, max_length=MOST_MESSAGES)]


def _one_or_many(value: Any) -> str:  # noqa: ANN401 - not validated yet
    if isinstance(value, IncomingMessages) or (isinstance(value, dict) and "messages" in value):
        return "many"
    return "one"


OneOrMany = Annotated[
    Annotated[IncomingMessage, Tag("one")] | Annotated[IncomingMessages, Tag("many")],
    Discriminator(_one_or_many),
]


class Status(Body):
    """What became of a message that was posted to the outgoing webhook."""

    message_id: TheirId = Field(description="Our id of the message, or yours.")
    status: Literal["delivered", "read", "failed"]
    timestamp: When | None = None
    error: Annotated[Text, StringConstraints(max_length=1000)] | None = Field(
        default=None, description="Of a failure: why, for a person to read."
    )


class Typing(Body):
    """A person began or stopped typing."""

    contact_id: ContactId
    state: Literal["on", "off"] = "on"


class AcceptedItem(Resource):
    """One message that will have its effect."""

    id: str = Field(description="Your id of the message.")
    event_id: str = Field(description="The id of its event.", examples=["evt_2ctr2yfbx2adgbbee5x7"])


class Accepted(Resource):
    """Durable: what was posted has its effect, once, whatever happens now."""

    accepted: list[AcceptedItem]


class AcceptedEvent(Resource):
    """Durable: what was posted has its effect, once, whatever happens now."""

    event_id: str


class UploadedMedia(Resource):
    """A file that messages can name."""

    id: str = Field(examples=["med_01kb9xkzfve8mtr2p7aa0q6k3d"])
    mime_type: str
    size: int = Field(description="In bytes.")
