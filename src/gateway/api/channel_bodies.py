"""What can be said of a channel: when it is made, and when it is changed."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

import regex
from pydantic import AfterValidator, Field, SecretStr, StringConstraints, field_serializer

from gateway.contracts.routings import RoutingAsSent
from gateway.domain.automatic_texts import DEFAULT_AWAY, DEFAULT_WELCOME
from gateway.http.schemas import IS_TEXT, Body, Flag, Line, Reference, Whole

MAX_NAME: Final = 40
MAX_CUSTOM_INFO: Final = 10_000
_CHARACTERS: Final = regex.compile(r"\X")

MediaType = Literal["image", "audio", "video", "file"]


def _is_short(name: str) -> str:
    if len(_CHARACTERS.findall(name)) > MAX_NAME:
        raise ValueError(f"A name has at most {MAX_NAME} characters")
    return name


def _each_once(types: Sequence[MediaType]) -> list[MediaType]:
    return list(dict.fromkeys(types))


ChannelName = Annotated[
    str,
    # What a person sees as one character may be many code points.
    StringConstraints(strip_whitespace=True, min_length=1, max_length=40 * MAX_NAME),
    IS_TEXT,
    AfterValidator(_is_short),
    Field(json_schema_extra={"maxLength": MAX_NAME}),
]
SourceId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,100}$"), Field(examples=["1029384756"])
]
Address = Annotated[str, StringConstraints(min_length=1, max_length=2048), IS_TEXT]
AutomaticWords = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2000),
    IS_TEXT,
    Field(
        description=(
            "`{contact_name}` and `{channel_name}` are filled in; without a name, the text reads "
            "as if it had none. What is longer than the channel's `text_limit` is cut."
        )
    ),
]
PageToken = Annotated[SecretStr, Field(min_length=1, max_length=1000)]


class LinkSettings(Body):
    """What answers on a channel."""

    mode: Literal["chat", "bot", "external_endpoint"] = "chat"
    bot_id: Reference | None = None
    endpoint_id: Reference | None = None


class LinkChanges(LinkSettings):
    """What shall answer on a channel from now on."""

    move_open: Flag = Field(
        default=False,
        description="Move open, offered and ongoing enquiries, too, to what answers now. Without "
        "it, they stay where they are. Not kept.",
    )


class WelcomeSettings(Body):
    """What is said to a contact's very first message on the channel, in every link mode."""

    enabled: Flag = True
    text: AutomaticWords = DEFAULT_WELCOME


class AwaySettings(Body):
    """What is said when nobody took an enquiry, once an enquiry."""

    enabled: Flag = True
    text: AutomaticWords = DEFAULT_AWAY


class MessagesSettings(Body):
    """How messages of a channel are dressed, and what it says by itself."""

    display_name_format: Literal["none", "first_name", "first_and_last_name", "display_name"] = (
        Field(
            default="none",
            description=(
                "How an agent's name stands before their texts: `Ada: Hello` on the wire, while "
                "`content.text` stays as sent. It counts in the text limit. An agent without a "
                "display name is shown by first and last name."
            ),
        )
    )
    welcome: WelcomeSettings = WelcomeSettings()
    away: AwaySettings = AwaySettings()


class CustomInfoSettings(Body):
    """What goes with every event of an enquiry."""

    enabled: Flag = False
    text: Annotated[str, StringConstraints(max_length=MAX_CUSTOM_INFO), IS_TEXT] = ""


class ChannelSettings(Body):
    """What can be set of every channel."""

    name: ChannelName = Field(examples=["Acme on Messenger"])
    department_id: Reference | None = None
    link: LinkSettings = LinkSettings()
    routing: RoutingAsSent | None = Field(
        default=None, description="Null: enquiries stay open until somebody accepts them."
    )
    messages: MessagesSettings = MessagesSettings()
    custom_info: CustomInfoSettings = CustomInfoSettings()
    intermission_minutes: Annotated[Whole, Field(ge=1, le=1440)] = Field(
        default=60,
        description="For how long after our last message an answer continues the enquiry.",
    )
    closed_enquiry_policy: Literal["intermission", "never", "always"] = Field(
        default="intermission",
        description="`never`: a closed enquiry is continued always; `always`: never.",
    )
    text_limit: Annotated[Whole, Field(ge=1, le=2000)] | None = Field(
        default=None, description="Never above Meta's own: 2,000, on Instagram 1,000."
    )
    human_agent: Flag = Field(
        default=False, description="The Page has Meta's feature Human Agent: seven days to answer."
    )
    media_policy: Literal["platform", "strict"] = "platform"
    inbound_media_types: Annotated[list[MediaType], AfterValidator(_each_once)] = Field(
        default=["image", "audio", "video", "file"]
    )
    send_deadline_seconds: Annotated[Whole, Field(ge=1, le=86_400)] = 3600
    on_unknown_outcome: Literal["ask", "resend"] = Field(
        default="ask", description="What follows when nobody can say whether a message was sent."
    )
    on_suspend: Literal["keep", "discard"] = Field(
        default="keep", description="What becomes of messages not yet sent when it is suspended."
    )


class NewMessengerSource(Body):
    """A Facebook Page."""

    page_id: SourceId
    page_access_token: PageToken = Field(description="Never shown.")
    page_name: Line | None = Field(default=None, description="Used where Meta tells none.")


class NewInstagramSource(Body):
    """An Instagram account and the Page that it is linked to."""

    instagram_id: SourceId
    page_id: SourceId
    page_access_token: PageToken = Field(description="Never shown.")
    page_name: Line | None = Field(default=None, description="Used where Meta tells none.")


class NewThirdPartySource(Body):
    """A system that speaks the third-party interface."""

    source_name: Line = Field(examples=["Acme app"])
    outgoing_webhook_url: Address = Field(
        description="Where we POST messages; it is challenged before the channel is made.",
        examples=["https://chat.acme.example/gateway"],
    )


class NewMessengerChannel(ChannelSettings):
    """A channel on a Facebook Page, with a Page token."""

    kind: Literal["messenger"]
    meta_app_id: SourceId
    source: NewMessengerSource


class NewInstagramChannel(ChannelSettings):
    """A channel on an Instagram account, with the token of its Page."""

    kind: Literal["instagram"]
    meta_app_id: SourceId
    source: NewInstagramSource


class NewThirdPartyChannel(ChannelSettings):
    """A channel on a system of a third party."""

    kind: Literal["third_party"]
    source: NewThirdPartySource


NewMetaChannel: TypeAlias = NewMessengerChannel | NewInstagramChannel
NewChannel = Annotated[
    NewMessengerChannel | NewInstagramChannel | NewThirdPartyChannel, Field(discriminator="kind")
]


class SourceChanges(Body):
    """What can be changed of a source: a Page's token, or a third party's name and address."""

    page_access_token: PageToken | None = Field(
        default=None, description="Tried at once; the channel is active again if it holds."
    )
    source_name: Line | None = None
    outgoing_webhook_url: Address | None = Field(
        default=None, description="Challenged before it is used."
    )

    @field_serializer("page_access_token")
    def _unshown(self, _value: SecretStr | None) -> None:
        return None


class ChannelChanges(ChannelSettings):
    """What can be changed of a channel."""

    link: LinkChanges = LinkChanges()
    source: SourceChanges = SourceChanges()
