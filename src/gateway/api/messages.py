"""Messages: what became of them, and what can still be done."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import AfterValidator, Field, StringConstraints

from gateway.api.deliveries import AttemptResource, attempt_resource
from gateway.api.parts import Parts
from gateway.api.private_replies import existing_comment, refuse_comment, reply_closes_at
from gateway.api.refusals import refuse_channel, refuse_contact
from gateway.api.resending import check_resendable, look_up, note_shown
from gateway.api.sending import lock_place, refuse_place
from gateway.contracts.resources import Message as MessageResource
from gateway.db.channels import Channel, get_channel
from gateway.db.comments import note_reply
from gateway.db.contacts import get_contact
from gateway.db.delivery_views import find_attempts_of_message
from gateway.db.messages import Message, get_message
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.message import Direction
from gateway.domain.reactions import is_reaction
from gateway.errors import ConflictError, NotFoundError, RecallNotSupportedError
from gateway.http.routes import READ, SEND, AccountId, GatewayRoute, Outside, Work
from gateway.http.schemas import IS_TEXT, Body
from gateway.messaging.actions import request_action
from gateway.messaging.resources import message_resource
from gateway.messaging.settlement import resend_message
from gateway.meta.conversations import Shown

router = APIRouter(prefix="/v1/messages", tags=["Messages"], route_class=GatewayRoute)


def _is_reaction(value: str) -> str:
    if not is_reaction(value):
        raise ValueError("It is neither one of Meta's reactions nor one emoji")
    return value


Reaction = Annotated[
    str, StringConstraints(min_length=1, max_length=50), AfterValidator(_is_reaction), IS_TEXT
]


class MessageWithAttempts(MessageResource):
    """A message and each attempt to send it."""

    attempts: list[AttemptResource]


class NewReaction(Body):
    """A reaction to a contact's message; null takes it back."""

    reaction: Reaction | None = Field(
        description="`smile`, `angry`, `sad`, `wow`, `love`, `like`, `dislike`, or one emoji.",
        examples=["love", None],
    )


@router.get("/{message_id}", dependencies=[READ])
async def read_message(message_id: str, account_id: AccountId, work: Work) -> MessageWithAttempts:
    """Read a message with the attempts to send it."""
    message, channel = await _existing(work, account_id, message_id)
    attempts = await find_attempts_of_message(work.connection, account_id, message_id)
    resource = message_resource(message, hold=channel.hold, link=work.media_link)
    resource["attempts"] = [attempt_resource(attempt) for attempt in attempts]
    return MessageWithAttempts.model_validate(resource)


@router.delete("/{message_id}", status_code=405, dependencies=[SEND])
async def recall_message(message_id: str, account_id: AccountId, work: Work) -> None:
    """Messages cannot be taken back: this is refused for every one."""
    await _existing(work, account_id, message_id)
    raise RecallNotSupportedError(
        "No channel can take a message back. Send another one that corrects it."
    )


@router.post("/{message_id}/reactions", status_code=202, dependencies=[SEND])
async def react(
    message_id: str, body: NewReaction, account_id: AccountId, work: Work
) -> MessageResource:
    """React to a contact's message, or take a reaction back; tried once."""
    message, _ = await _existing(work, account_id, message_id)
    place = await lock_place(work, account_id, message.conversation_id)
    refuse_channel(place.channel)
    contact = await get_contact(work.connection, account_id, place.conversation.contact_id)
    assert contact is not None
    refuse_contact(contact)
    if message.direction is not Direction.INBOUND or message.source_message_id is None:
        raise ConflictError("Only messages of contacts can be reacted to.")
    payload = {
        "action": "unreact" if body.reaction is None else "react",
        "source_message_id": message.source_message_id,
    }
    if body.reaction is not None:
        payload["reaction"] = body.reaction
    request_action(work, place.conversation, place.channel, payload, pointer="/reaction")
    return _shown(work, message, place.channel)


@router.post(
    "/{message_id}/resend",
    status_code=202,
    dependencies=[SEND],
    responses={200: {"model": MessageResource, "description": "It had been sent after all."}},
)
async def resend(
    message_id: str, account_id: AccountId, parts: Parts, outside: Outside, response: Response
) -> MessageResource:
    """Send a message again that failed, or of which nobody knows whether it was sent.

    Meta's own conversation is asked first: if it shows the message, nothing is sent, and the
    message is `sent` (200). Otherwise it takes a new place at the end of its conversation (202).
    """
    async with outside.glance() as work:
        message, channel = await _existing(work, account_id, message_id)
        check_resendable(message)
        refuse_channel(channel)
    found = await look_up(outside, parts, channel, message)
    work = await outside.effect()
    comment = None
    if message.comment_id is not None:
        comment = await existing_comment(work, channel, message.comment_id)
    place = await lock_place(work, account_id, message.conversation_id)
    message, _ = await _existing(work, account_id, message_id)
    check_resendable(message)
    if isinstance(found, Shown):
        await note_shown(work, place.conversation, message, found)
        response.status_code = 200
        return _shown(work, message, place.channel)
    await refuse_place(
        work,
        place,
        author_kind=message.author_kind,
        take_thread=message.take_thread,
        tag=message.tag,
        windowless=comment is not None,
    )
    if comment is not None:
        await refuse_comment(work, comment, again=message)
        await note_reply(work.connection, comment, message.id)
    closes_at = None if comment is None else reply_closes_at(comment)
    await resend_message(work, place.conversation, place.channel, message, closes_at=closes_at)
    return _shown(work, message, place.channel)


async def _existing(work: UnitOfWork, account_id: str, message_id: str) -> tuple[Message, Channel]:
    message = await get_message(work.connection, account_id, message_id)
    if message is None:
        raise NotFoundError("There is no such message.")
    channel = await get_channel(work.connection, account_id, message.channel_id)
    assert channel is not None
    return message, channel


def _shown(work: UnitOfWork, message: Message, channel: Channel) -> MessageResource:
    resource = message_resource(message, hold=channel.hold, link=work.media_link)
    return MessageResource.model_validate(resource)
