"""Takes messages that callers want to send."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from gateway.api.parts import ApiParts
from gateway.api.private_replies import refuse_comment, reply_closes_at
from gateway.api.refusals import (
    HUMAN_AGENT_TAG,
    refuse_channel,
    refuse_contact,
    refuse_thread,
    refuse_window,
)
from gateway.contracts.content import Content
from gateway.contracts.resources import Message as MessageResource
from gateway.db.agents import AGENTS
from gateway.db.channels import Channel, get_channel
from gateway.db.comments import Comment, note_reply
from gateway.db.contacts import get_contact
from gateway.db.conversations import Conversation, lock_conversations
from gateway.db.endpoints import get_endpoint
from gateway.db.messages import Message, get_message
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.domain.channel import ChannelKind
from gateway.domain.conversation import ThreadOwner
from gateway.domain.display_name import display_name_of
from gateway.domain.message import AuthorKind, MessageStatus
from gateway.domain.text_limit import too_long
from gateway.errors import (
    FieldFault,
    InvalidFieldsError,
    NotFoundError,
    NotSupportedByChannelError,
)
from gateway.http.deferred import Deferred
from gateway.http.patches import validated_type
from gateway.http.schemas import IS_TEXT, Body, Flag, Reference
from gateway.messaging.acceptance import Outgoing, accept_message
from gateway.messaging.contents import contents_of
from gateway.messaging.resources import message_resource
from gateway.messaging.thread_ownership import owner_at, set_thread_owner

_CONTENT: TypeAdapter[Content] = TypeAdapter(Content)


class AuthorSettings(Body):
    """Who writes; `system` unless said."""

    kind: Literal["agent", "bot", "system"]
    id: Reference | None = None


class NewMessage(Body):
    """A message to be sent."""

    content: Deferred[Content]
    author: AuthorSettings = Field(
        default=AuthorSettings(kind="system"),
        description="An agent's message accepts an enquiry that is open or offered.",
    )
    tag: Annotated[str, StringConstraints(max_length=100), IS_TEXT] | None = Field(
        default=None,
        description="`HUMAN_AGENT`: an agent answers within seven days, where the Page may.",
        examples=["HUMAN_AGENT"],
    )
    reply_to: Reference | None = Field(
        default=None, description="The message that this one answers."
    )
    persona_id: Reference | None = Field(default=None, description="Meta's id of a persona.")
    client_reference: (
        Annotated[str, StringConstraints(min_length=1, max_length=255), IS_TEXT] | None
    ) = Field(default=None, description="Comes back in every event of the message.")
    take_thread: Flag = Field(
        default=False, description="Send although another app has the thread, and take it."
    )
    takeover: Flag = Field(
        default=False, description="Take the enquiry although another agent has it."
    )
    split: Flag = Field(default=False, description="Send a text that is too long in parts.")


class SentMessage(MessageResource):
    """A message that was accepted; `hold` says why it waits, if it does."""

    parts: list[str] | None = Field(
        default=None, description="The ids of all parts, where a text was split."
    )


@dataclass(frozen=True, slots=True)
class _Author:
    """Whose message it is, and the name that stands before the words on the wire."""

    name: str | None = None
    display_name: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message goes: a locked conversation, and what it belongs to."""

    conversation: Conversation
    channel: Channel


async def lock_place(work: UnitOfWork, account_id: str, conversation_id: str) -> Place:
    """Lock a conversation of an account.

    Raises:
        NotFoundError: There is none.
    """
    locked = await lock_conversations(work, [conversation_id], account_id=account_id)
    if conversation_id not in locked:
        raise NotFoundError("There is no such conversation.")
    conversation = locked[conversation_id]
    channel = await get_channel(work.connection, account_id, conversation.channel_id)
    assert channel is not None
    return Place(conversation, channel)


async def lock_present_place(work: UnitOfWork, account_id: str, conversation_id: str) -> Place:
    """Lock where something new is said to a conversation's contact: it may go on elsewhere.

    Raises:
        NotFoundError: There is no such conversation.
    """
    place = await lock_place(work, account_id, conversation_id)
    if place.conversation.continued_in is None:
        return place
    return await lock_place(work, account_id, place.conversation.continued_in)


async def refuse_place(
    work: UnitOfWork,
    place: Place,
    *,
    author_kind: AuthorKind,
    take_thread: bool,
    tag: str | None,
    windowless: bool = False,
) -> None:
    """Pass where a message may go to a place, whatever it says.

    Raises: as `gateway.api.refusals` does, in that order.
    """
    conversation, channel = place.conversation, place.channel
    refuse_channel(channel)
    contact = await get_contact(work.connection, conversation.account_id, conversation.contact_id)
    assert contact is not None
    refuse_contact(contact)
    refuse_thread(work, conversation, channel, author_kind=author_kind, take_thread=take_thread)
    if not windowless:
        refuse_window(work, conversation, channel, tag=tag)


async def send(
    work: UnitOfWork,
    parts: ApiParts,
    place: Place,
    body: NewMessage,
    *,
    comment: Comment | None = None,
    traceparent: str | None = None,
) -> SentMessage:
    """Accept a message into its conversation; with a comment, as the private reply to it.

    Raises:
        ConflictError: The state of the channel, contact, thread, window or enquiry forbids it.
        InvalidFieldsError: It says what cannot be said.
    """
    author_kind = AuthorKind(body.author.kind)
    await refuse_place(
        work,
        place,
        author_kind=author_kind,
        take_thread=body.take_thread,
        tag=body.tag,
        windowless=comment is not None,
    )
    if comment is not None:
        await refuse_comment(work, comment)
    content = validated_type(_CONTENT, body.content.raw, prefix="/content")
    author = await _author(work, place.channel, body.author)
    contents = await contents_of(
        work, place.channel, content, display_name=author.display_name, split=body.split
    )
    outgoing = await _outgoing(work, place, body, author)
    if comment is not None:
        _check_reply_to_comment(body, contents)
        outgoing = replace(
            outgoing, comment_id=comment.comment_id, closes_at=reply_closes_at(comment)
        )
    enquiry_id = await parts.engagement.before_send(
        work,
        place.conversation,
        place.channel,
        author_kind=author_kind,
        author_id=body.author.id,
        takeover=body.takeover,
    )
    takes = _take_thread(
        work, place, author_kind, take_thread=body.take_thread, traceparent=traceparent
    )
    messages = [
        await accept_message(
            work,
            place.conversation,
            place.channel,
            replace(
                outgoing,
                content=content,
                # One of them answers; the others go on from there.
                reply_to=outgoing.reply_to if number == 0 else None,
                enquiry_id=enquiry_id,
                take_thread=body.take_thread or takes,
                traceparent=traceparent,
            ),
        )
        for number, content in enumerate(contents)
    ]
    if comment is not None:
        await note_reply(work.connection, comment, messages[0].id)
    return _shown(work, place.channel, messages)


def _check_reply_to_comment(body: NewMessage, contents: list[dict[str, Any]]) -> None:
    if body.tag is not None:
        raise _invalid("/tag", "not-for-comments", "A private reply needs no tag.")
    if len(contents) > 1:
        detail = "A private reply is one message, so its text cannot be split."
        raise too_long(detail, "/content/text")


async def _outgoing(work: UnitOfWork, place: Place, body: NewMessage, author: _Author) -> Outgoing:
    kind = place.channel.kind
    _check_tag(body, kind)
    if body.persona_id is not None and kind is not ChannelKind.MESSENGER:
        raise _unsupported("/persona_id", "Personas are Messenger's.")
    if body.take_thread and kind is ChannelKind.THIRD_PARTY:
        raise _unsupported("/take_thread", "Third-party channels have no threads to take.")
    if body.reply_to is not None:
        await _check_reply(work, place.conversation, body.reply_to)
    return Outgoing(
        content={},
        author_kind=AuthorKind(body.author.kind),
        author_id=body.author.id,
        author_name=author.name,
        display_name=author.display_name,
        client_reference=body.client_reference,
        tag=body.tag,
        reply_to=body.reply_to,
        persona_id=body.persona_id,
    )


def _check_tag(body: NewMessage, kind: ChannelKind) -> None:
    if body.tag is None:
        return
    if kind is ChannelKind.THIRD_PARTY:
        raise _unsupported("/tag", "Tags are Meta's.")
    if body.tag != HUMAN_AGENT_TAG:
        raise _invalid("/tag", "unknown-tag", f"The only tag is {HUMAN_AGENT_TAG}.")
    if body.author.kind != "agent":
        raise _invalid("/tag", "not-an-agent", "Only an agent may use this tag.")


async def _check_reply(work: UnitOfWork, conversation: Conversation, message_id: str) -> None:
    answered = await get_message(work.connection, conversation.account_id, message_id)
    if answered is None or answered.conversation_id != conversation.id:
        raise _invalid(
            "/reply_to", "unknown-message", "There is no such message in this conversation."
        )
    if answered.status is MessageStatus.FAILED or answered.unsent_at is not None:
        raise _invalid("/reply_to", "message-not-there", "The contact does not have that message.")


async def _author(work: UnitOfWork, channel: Channel, author: AuthorSettings) -> _Author:
    if author.id is None:
        return _Author()
    account_id = channel.account_id
    if author.kind == "agent" and ids.is_id(ids.AGENT, author.id):
        agent = await AGENTS.get(work.connection, account_id, author.id)
        if agent is not None:
            shown = display_name_of(
                channel.messages.get("display_name_format"),
                first_name=agent.first_name,
                last_name=agent.last_name,
                display_name=agent.display_name,
            )
            return _Author(agent.name, shown)
    if author.kind == "bot" and ids.is_id(ids.ENDPOINT, author.id):
        endpoint = await get_endpoint(work.connection, account_id, author.id)
        if endpoint is not None:
            return _Author(endpoint.name)
    raise _invalid("/author/id", "unknown-author", f"There is no such {author.kind}.")


def _take_thread(
    work: UnitOfWork,
    place: Place,
    author_kind: AuthorKind,
    *,
    take_thread: bool,
    traceparent: str | None,
) -> bool:
    """Note that the thread is ours from now on, and say whether it has to be taken for that."""
    conversation = place.conversation
    owner = owner_at(conversation, work.now)
    by_agent = author_kind is AuthorKind.AGENT and owner is ThreadOwner.PAGE_INBOX
    by_wish = take_thread and owner in (ThreadOwner.PAGE_INBOX, ThreadOwner.OTHER_APP)
    if not by_agent and not by_wish:
        return False
    set_thread_owner(work, conversation, ThreadOwner.US, at=work.now, traceparent=traceparent)
    return True


def _shown(work: UnitOfWork, channel: Channel, messages: list[Message]) -> SentMessage:
    resource = message_resource(messages[0], hold=channel.hold, link=work.media_link)
    if len(messages) > 1:
        resource["parts"] = [message.id for message in messages]
    return SentMessage.model_validate(resource)


def _invalid(pointer: str, code: str, detail: str) -> InvalidFieldsError:
    return InvalidFieldsError(detail, faults=[FieldFault(pointer, code, detail)])


def _unsupported(pointer: str, detail: str) -> NotSupportedByChannelError:
    return NotSupportedByChannelError(detail, faults=[FieldFault(pointer, "not-supported", detail)])
