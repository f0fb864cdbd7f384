"""Messages to somebody on a channel, whether or not there is a conversation yet."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field, StringConstraints, model_validator

from gateway.api.channel_resources import existing_channel
from gateway.api.contacts import existing_contact
from gateway.api.parts import ApiParts, Parts
from gateway.api.private_replies import conversation_of_comment, existing_comment
from gateway.api.refusals import refuse_channel
from gateway.api.sending import NewMessage, Place, SentMessage, lock_present_place, send
from gateway.contracts.inbound import inbound_key
from gateway.contracts.strict import IS_SAID
from gateway.db.channels import Channel
from gateway.db.conversation_views import find_conversation
from gateway.db.first_contact import find_known, meet
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind
from gateway.domain.text_limit import too_long
from gateway.errors import FieldFault, InvalidFieldsError, TextTooLongError
from gateway.http.routes import SEND, AccountId, GatewayRoute, Trace, Work
from gateway.http.schemas import IS_TEXT, Body, Reference, Text

router = APIRouter(prefix="/v1/channels", tags=["Channels"], route_class=GatewayRoute)

SourceContactId = Annotated[
    str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]+$"), IS_TEXT
]


class Recipient(Body):
    """Whom a message is for: one of the three."""

    contact_id: Reference | None = None
    source_contact_id: SourceContactId | None = Field(
        default=None, description="Meta's or the third party's id of the person."
    )
    comment_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,200}$")] | None = (
        Field(
            default=None,
            description="A comment on one of the Page's posts, which gets one private reply, "
            "within seven days.",
        )
    )

    @model_validator(mode="after")
    def _names_one(self) -> "Recipient":
        given = (self.contact_id, self.source_contact_id, self.comment_id)
        if sum(each is not None for each in given) != 1:
            raise ValueError("Name one recipient in one way")
        return self


class NewChannelMessage(NewMessage):
    """A message to somebody on a channel."""

    recipient: Recipient


class TestMessage(Body):
    """A message that shows whether a channel works."""

    contact_id: Reference = Field(
        description="Who gets it: somebody who has written on this channel.",
        examples=["con_01kb2x5h8ve0xrn1y2z3a4b5c6"],
    )
    text: Annotated[Text, IS_SAID] = Field(default="This is a test message.")


@router.post("/{channel_id}/messages", status_code=202, dependencies=[SEND])
async def send_on_channel(
    channel_id: str,
    body: NewChannelMessage,
    account_id: AccountId,
    parts: Parts,
    work: Work,
    trace: Trace,
) -> SentMessage:
    """Send a message to a contact, to somebody by the source's id, or in reply to a comment.

    On a third-party channel this may be somebody who was never heard of.
    """
    channel = await existing_channel(work, account_id, channel_id)
    refuse_channel(channel)
    if body.recipient.comment_id is not None:
        comment = await existing_comment(work, channel, body.recipient.comment_id)
        conversation = await conversation_of_comment(work, parts, channel, comment)
        place = Place(conversation, channel)
        return await send(work, parts, place, body, comment=comment, traceparent=trace)
    place = await _place(work, parts, channel, body.recipient)
    return await send(work, parts, place, body, traceparent=trace)


@router.post("/{channel_id}/test-message", status_code=202, dependencies=[SEND])
async def send_test_message(
    channel_id: str,
    body: TestMessage,
    account_id: AccountId,
    parts: Parts,
    work: Work,
    trace: Trace,
) -> SentMessage:
    """Send a message that shows whether a channel works, to a contact of your choice.

    It goes the way of every other message, and is refused where they are. Read the message, or
    follow its events, until it is `delivered`; `hold` and `error` say what is in its way.
    """
    channel = await existing_channel(work, account_id, channel_id)
    refuse_channel(channel)
    place = await _place_of_contact(work, channel, body.contact_id, pointer="/contact_id")
    message = NewMessage.model_validate({"content": {"type": "text", "text": body.text}})
    try:
        return await send(work, parts, place, message, traceparent=trace)
    except TextTooLongError as error:
        raise too_long(str(error), "/text") from error


async def _place(
    work: UnitOfWork, parts: ApiParts, channel: Channel, recipient: Recipient
) -> Place:
    if recipient.contact_id is not None:
        return await _place_of_contact(
            work, channel, recipient.contact_id, pointer="/recipient/contact_id"
        )
    assert recipient.source_contact_id is not None
    pair = (channel.id, recipient.source_contact_id)
    if channel.kind is not ChannelKind.THIRD_PARTY and not await find_known(work, [pair]):
        raise _unknown("/recipient/source_contact_id")
    return await _meet(work, parts, channel, recipient.source_contact_id)


async def _place_of_contact(
    work: UnitOfWork, channel: Channel, contact_id: str, *, pointer: str
) -> Place:
    conversation_id = await find_conversation(
        work.connection, channel.account_id, channel_id=channel.id, contact_id=contact_id
    )
    if conversation_id is None:
        raise _unknown(pointer)
    await existing_contact(work, channel.account_id, contact_id)
    return await lock_present_place(work, channel.account_id, conversation_id)


async def _meet(
    work: UnitOfWork, parts: ApiParts, channel: Channel, source_contact_id: str
) -> Place:
    key = inbound_key(channel.kind.value, channel.source_id, source_contact_id)
    partition = await parts.inbound_partition(key)
    _, conversation = await meet(work, channel, source_contact_id, partition=partition)
    return Place(conversation, channel)


def _unknown(pointer: str) -> InvalidFieldsError:
    detail = "There is no such contact on this channel."
    return InvalidFieldsError(detail, faults=[FieldFault(pointer, "unknown-contact", detail)])
