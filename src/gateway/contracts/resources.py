"""The things that the product speaks of, as outside sees them: in answers, events and webhooks.

Readers must accept fields they do not know: the contract grows by adding.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.json_schema import WithJsonSchema

from gateway.contracts.moments import rfc3339

Moment = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339, UTC, milliseconds.",
            "examples": ["2026-11-21T09:30:00.000Z"],
        }
    ),
]
ChannelStatusName = Literal["active", "degraded", "disconnected", "suspended", "deleted"]
MessageStatusName = Literal[
    "received", "accepted", "sending", "sent", "delivered", "read", "failed", "uncertain"
]
EnquiryStatusName = Literal["open", "offered", "ongoing", "closed", "missed", "followed_up"]


class Resource(BaseModel):
    """A thing as we show it."""

    model_config = ConfigDict(extra="allow", json_schema_serialization_defaults_required=True)


class Author(Resource):
    """Who wrote a message."""

    # Events leave `id` and `name` out where there is none.
    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    kind: Literal["contact", "agent", "bot", "system", "page"] = Field(
        description="`page`: a person in the Page's own inbox, or another app."
    )
    id: str | None = None
    name: str | None = None


class Hold(Resource):
    """Why a message waits unsent."""

    reason: str = Field(
        description="`suspended`, or a `status_reason` of the channel.", examples=["token_expired"]
    )


class MessageError(Resource):
    """Why a message failed, or why nobody knows."""

    code: str = Field(
        description="A problem's slug, or `meta-<code>[-<subcode>]`.", examples=["meta-551-1545041"]
    )
    detail: str
    retryable: bool
    remedy: str | None = None


class Message(Resource):
    """One utterance in a conversation."""

    id: str = Field(examples=["msg_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    channel_id: str
    conversation_id: str
    enquiry_id: str | None = None
    direction: Literal["inbound", "outbound"]
    author: Author
    content: dict[str, Any] = Field(
        description="`type` says what else there is.",
        examples=[{"type": "text", "text": "Hello, is this still available?"}],
    )
    status: MessageStatusName
    hold: Hold | None = Field(None, description="Why it waits; null where it does not.")
    client_reference: str | None = Field(None, description="The sender's own name for it.")
    tag: str | None = None
    reply_to: str | None = Field(None, description="The message that this one answers.")
    reactions: dict[str, Any] = Field(default_factory=dict)
    possibly_duplicate: bool = Field(
        default=False, description="It was sent again although the first try may have arrived."
    )
    late: bool = Field(default=False, description="It came after newer ones, or had been parked.")
    sequence: int = Field(description="Its place in the conversation.")
    error: MessageError | None = None
    source_message_id: str | None = Field(None, description="Meta's or the third party's id of it.")
    occurred_at: Moment
    accepted_at: Moment
    sent_at: Moment | None = None
    delivered_at: Moment | None = None
    read_at: Moment | None = None
    edited_at: Moment | None = None
    unsent_at: Moment | None = None


class Party(Resource):
    """A destination or an agent, as it was called at that time."""

    id: str
    kind: Literal["agent", "team", "bot", "endpoint"]
    name: str | None = None


class Offer(Resource):
    """An enquiry offered to an agent."""

    agent_id: str
    destination_id: str = Field(description="The agent, or the team that the agent belongs to.")
    status: Literal["pending", "accepted", "rejected", "expired", "withdrawn"]
    expires_at: Moment | None = None


class Considered(Resource):
    """A destination that the routing looked at."""

    destination_id: str
    taken: bool
    reason: str | None = None


class Assignment(Resource):
    """How the routing came to its choice."""

    rule: str | None = None
    routing_version: int | None = None
    inputs: dict[str, Any] = Field(default_factory=dict)
    considered: list[Considered] = Field(default_factory=list)


class Enquiry(Resource):
    """One matter in a conversation: opened by a message, assigned, closed."""

    id: str = Field(examples=["enq_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    channel_id: str
    conversation_id: str
    contact_id: str
    status: EnquiryStatusName
    destination: Party | None = None
    agent: Party | None = Field(None, description="Null until somebody accepted.")
    handled_by: Literal["agent", "bot", "endpoint", "page_inbox"] | None = None
    offers: list[Offer] = Field(default_factory=list)
    queued_at: Moment | None = None
    assignment: Assignment | None = None
    custom_info: str | None = None
    close_reason: str | None = Field(None, examples=["requested", "intermission", None])
    opened_at: Moment
    offered_at: Moment | None = None
    accepted_at: Moment | None = None
    first_response_at: Moment | None = None
    closed_at: Moment | None = None
    missed_at: Moment | None = None
    followed_up_at: Moment | None = None


class Contact(Resource):
    """The person behind an id of a source."""

    id: str = Field(examples=["con_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    channel_id: str
    source_contact_id: str = Field(description="Meta's or the third party's id of the person.")
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    avatar_url: str | None = None
    locale: str | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)
    blocked: bool = False
    merged_into: str | None = Field(
        None,
        description="The contact that it turned out to be, told once; its own id leads there.",
    )
    created_at: Moment


class MessengerSource(Resource):
    """A Facebook Page."""

    page_id: str
    page_name: str | None = None


class InstagramSource(Resource):
    """An Instagram account and the Page that it is linked to."""

    instagram_id: str
    page_id: str
    page_name: str | None = None


class ThirdPartySource(Resource):
    """A system that speaks the third-party interface."""

    # Events leave `incoming_url` out.
    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    source_name: str
    outgoing_webhook_url: str = Field(description="Where we POST messages to the third party.")
    incoming_url: str | None = Field(
        None, description="Where the third party posts messages to us; in answers, not in events."
    )


class Link(Resource):
    """What answers on a channel: people, a bot, or one endpoint that gets everything."""

    # Events leave out what is not of the mode.
    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    mode: Literal["chat", "bot", "external_endpoint"]
    bot_id: str | None = None
    endpoint_id: str | None = None


class AutomaticText(Resource):
    """A message that the gateway sends by itself."""

    enabled: bool
    text: str


class ChannelMessages(Resource):
    """How messages of a channel are dressed, and what it says by itself."""

    display_name_format: Literal["none", "first_name", "first_and_last_name", "display_name"]
    welcome: AutomaticText
    away: AutomaticText


class CustomInfo(Resource):
    """What goes with every event of an enquiry."""

    enabled: bool
    text: str


class ChannelIcon(Resource):
    """The picture by which people know a channel; `GET …/icon` gives it."""

    mime_type: Literal["image/png", "image/jpeg"]
    size: int = Field(description="In bytes.")
    sha256: str = Field(description="Of the picture, in hexadecimal.")


class Channel(Resource):
    """One connected source with its settings and routing."""

    id: str = Field(examples=["chn_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    kind: Literal["messenger", "instagram", "third_party"]
    name: str
    status: ChannelStatusName
    status_reason: str | None = Field(None, examples=["token_expired", None])
    source: InstagramSource | MessengerSource | ThirdPartySource = Field(union_mode="left_to_right")
    meta_app_id: str | None = None
    department_id: str | None = None
    link: Link
    routing: dict[str, Any] | None = Field(
        None, description="Null: enquiries stay open until somebody accepts them."
    )
    messages: ChannelMessages
    custom_info: CustomInfo
    icon: ChannelIcon | None = None
    intermission_minutes: int
    closed_enquiry_policy: Literal["intermission", "never", "always"]
    text_limit: int
    human_agent: bool
    media_policy: Literal["platform", "strict"]
    inbound_media_types: list[str]
    send_deadline_seconds: int
    on_unknown_outcome: Literal["ask", "resend"]
    on_suspend: Literal["keep", "discard"]
    created_at: Moment
    version: int


class Endpoint(Resource):
    """An address of the customer's that we POST events to."""

    id: str = Field(examples=["ept_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    name: str
    url: str
    event_types: list[str]
    channel_ids: list[str]
    authentication: dict[str, Any] = Field(
        description="Its secrets are never shown.", examples=[{"kind": "bearer"}]
    )
    header_names: list[str] = Field(
        [],
        description="Headers of its own in each call; their values are never shown.",
        examples=[["X-Tenant"]],
    )
    ordering: Literal["conversation", "endpoint", "none"]
    lane_hold_seconds: int
    max_concurrency: int
    rate_limit: int | None = Field(None, description="Deliveries a second; null for no limit.")
    status: Literal["active", "paused", "disabled"]
    status_reason: str | None = None
    failing_since: Moment | None = Field(
        None, description="Since when every attempt failed; null where the last one went well."
    )
    throttled_until: Moment | None = Field(
        None, description="It asked by `Retry-After` not to be called before; may be past."
    )
    created_at: Moment
    version: int
