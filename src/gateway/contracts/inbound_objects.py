"""The objects that describe an item in an inbound event's value, one model for each.

What an item lacks is left out of its object, save where a model says otherwise. Readers must accept
fields they do not know: the contract grows by adding. Ids are strings as the source gave them;
another message is always named by `message_id`.
"""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Author = Annotated[
    Literal["contact", "page"], Field(description="Who did it: the contact, or somebody for us.")
]


class Described(BaseModel):
    """An object of the contract: immutable, and open to fields that are added later."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Appointment(Described):
    """A booking made or changed in the thread."""

    id: str | None = None
    status: str | None = Field(None, examples=["requested", "confirmed", "declined", "cancelled"])
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    time_zone: str | None = None


class Unavailable(Described):
    """Why an attachment has no file."""

    reason: str = Field(
        examples=[
            *("type-not-accepted", "too-large", "type-not-supported"),
            *("gone", "address-not-allowed", "failed"),
        ]
    )
    detail: str


class Attachment(Described):
    """One attachment; which fields it has depends on its type.

    An address may be relative, and one of Meta's dies within days.
    """

    type: str = Field(
        description=(
            "image, audio, video, file, sticker, fallback (a shared link), template, location, "
            "reel, post, share, appointment, story_mention, ephemeral, like_heart, unsupported; "
            "other words of the source are passed on."
        )
    )
    url: str | None = None
    title: str | None = None
    name: str | None = None
    mime_type: str | None = None
    media_id: str | None = Field(None, description="Set where the media lies with us.")
    size: int | None = Field(None, description="In bytes, where the media lies with us.")
    status: Literal["pending", "ready", "unavailable"] | None = Field(
        None,
        description=(
            "Of image, audio, video and file, in public events: `pending` while we fetch the file "
            "from the source's `url`; `ready` once `url` is ours; `unavailable` says why."
        ),
    )
    unavailable: Unavailable | None = None
    sticker_id: str | None = None
    post_id: str | None = None
    video_id: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    appointment: Appointment | None = None
    payload: Any = Field(None, description="Of templates and unknown types: as the source sent it.")


class Story(Described):
    """An Instagram story."""

    id: str | None = None
    url: str | None = None


class ReplyTo(Described):
    """What a message answers: another message, or a story."""

    message_id: str | None = None
    is_self_reply: bool = False
    story: Story | None = None


class Answer(Described):
    """One question of a lead form, and its answer."""

    question: str
    answer: str | None = None


class Referral(Described):
    """Where a person came from: a link, an advertisement, a plug-in or a product."""

    ref: str | None = None
    source: str | None = Field(None, examples=["SHORTLINK", "ADS"])
    type: str | None = Field(None, examples=["OPEN_THREAD", "LEAD_COMPLETE"])
    ad_id: str | None = None
    referer_uri: str | None = None
    is_guest_user: bool | None = None
    product_id: str | None = None
    ad: dict[str, Any] | None = Field(None, description="What Meta tells about the advertisement.")
    lead: list[Answer] | None = None


class ContactProfile(Described):
    """What the source tells about a contact."""

    id: str
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    avatar_url: str | None = None
    locale: str | None = None
    attributes: dict[str, Any] | None = None


class Message(Described):
    """What a contact said. `id`, `type` and `attachments` are always there."""

    id: str | None = Field(description="Null where the source gave the message no id.")
    type: str = Field(
        description="text, or the type of the first attachment, or unsupported where neither is."
    )
    text: str | None = None
    attachments: list[Attachment]
    quick_reply_payload: str | None = None
    reply_to: ReplyTo | None = None
    referral: Referral | None = None
    commands: list[str] | None = None
    is_story_mention: bool = False
    prior_contact_id: str | None = Field(
        None, description="The contact id under which this person was known before (`ref.…`)."
    )
    contact: ContactProfile | None = Field(None, description="Of third-party channels.")
    backfilled: bool = Field(
        default=False,
        description="No webhook told of it: it was found in Meta's conversation afterwards.",
    )
    answered: bool = Field(
        default=False, description="Of a back-filled one: somebody for us had answered it already."
    )


class Echo(Message):
    """Something sent from our side, by us or by other hands."""

    app_id: str | None = None
    metadata: str | None = None


class Edit(Described):
    """A message has another text now."""

    message_id: str
    text: str | None = None
    edit_number: int | None = None
    by: Author


class Unsent(Described):
    """A message was taken back; its content has to be deleted."""

    message_id: str
    by: Author


class Delivery(Described):
    """Messages reached the contact: those named, and all sent before the watermark."""

    message_ids: list[str]
    watermark: AwareDatetime | None = None


class Read(Described):
    """The contact read one message, or all sent at or before the watermark."""

    message_id: str | None = None
    watermark: AwareDatetime | None = None


class Reaction(Described):
    """A reaction was put on a message, or taken off it."""

    message_id: str
    action: Literal["react", "unreact"]
    reaction: str | None = None
    emoji: str | None = None
    by: Author


class Postback(Described):
    """A button was pressed. The payload is absent where another app sent the button."""

    id: str | None = None
    title: str | None = None
    payload: str | None = None
    referral: Referral | None = None
    contact: ContactProfile | None = Field(None, description="Of third-party channels.")


class OptIn(Described):
    """A person agreed to be written to, or took that back."""

    type: str | None = None
    ref: str | None = None
    user_ref: str | None = None
    payload: str | None = None
    title: str | None = None
    token: str | None = None
    token_expires_at: AwareDatetime | None = None
    token_status: str | None = None
    frequency: str | None = None
    time_zone: str | None = None
    topic: str | None = None
    source: str | None = None
    status: str | None = None


class ThreadControl(Described):
    """The thread passed, was taken, or is asked for; null: no app, or not told."""

    previous_owner_app_id: str | None = None
    new_owner_app_id: str | None = None
    requested_owner_app_id: str | None = None
    metadata: str | None = None


class AppRole(Described):
    """The roles of one app."""

    app_id: str
    roles: list[str]


class AppRoles(Described):
    """The roles of the apps that share the Page's threads."""

    apps: list[AppRole]


class Policy(Described):
    """Meta warned, blocked or unblocked the Page."""

    action: str = Field(examples=["warning", "block", "unblock"])
    reason: str | None = None


class Linking(Described):
    """The contact linked an account of the business to the thread, or unlinked it."""

    status: Literal["linked", "unlinked"]
    authorization_code: str | None = None


class FollowUp(Described):
    """What was added to an answer."""

    type: str | None = None
    payload: str | None = None


class FeedbackAnswer(Described):
    """One answered question of a feedback form."""

    id: str
    type: str | None = None
    payload: str | None = None
    follow_up: FollowUp | None = None


class FeedbackScreen(Described):
    """One screen of a feedback form."""

    id: str | None = None
    answers: list[FeedbackAnswer]


class Feedback(Described):
    """A feedback form (`screens`), or a verdict on one message (`message_id`, `verdict`)."""

    kind: Literal["form", "response"]
    screens: list[FeedbackScreen] | None = None
    message_id: str | None = None
    verdict: str | None = Field(None, examples=["Good response", "Bad response"])


class Product(Described):
    """One line of an order; the price is a decimal number as text."""

    id: str | None = None
    retailer_id: str | None = None
    name: str | None = None
    unit_price: str | None = None
    currency: str | None = None
    quantity: int | None = None


class Order(Described):
    """A cart was sent."""

    products: list[Product]
    note: str | None = None


class Label(Described):
    """A label was put on a contact or taken off."""

    id: str | None = None
    name: str | None = None
    action: str | None = None


class Commenter(Described):
    """Who wrote a comment."""

    id: str | None = None
    name: str | None = None


class Comment(Described):
    """A comment on a post of the Page or a medium of the Instagram account."""

    id: str
    field: str = Field(examples=["feed", "comments", "live_comments"])
    verb: str | None = Field(None, examples=["add", "edited", "remove", "hide", "unhide"])
    text: str | None = None
    post_id: str | None = None
    parent_id: str | None = None
    author: Commenter | None = None
    created_at: AwareDatetime | None = None


class PageChange(Described):
    """Something else about the Page or account changed; `value` is as the source sent it."""

    field: str
    item: str | None = None
    verb: str | None = None
    value: Any = None


class Permission(Described):
    """A person granted or revoked a permission of the Meta app."""

    permission: str
    verb: str = Field(examples=["granted", "revoked"])
    user_id: str | None = None
    target_ids: list[str]


class Typing(Described):
    """The contact began or stopped typing."""

    state: Literal["on", "off"]


class Status(Described):
    """What became of a message that we sent to a third party."""

    message_id: str
    status: Literal["delivered", "read", "failed"]
    error: str | None = None


class Unrecognised(Described):
    """An item that has no type here; the original holds all of it."""

    reason: str
    detail: str | None = Field(None, description="Which field is at fault, where one is.")
    encoding: Literal["base64"] | None = Field(
        None, description="How `original` holds a body that is no JSON object."
    )
