"""Conversations: the lasting thread between a contact and a channel."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from gateway.api.conversation_resources import (
    ConversationResource,
    existing_conversation,
    shown_conversations,
)
from gateway.api.filters import ChannelFilter, ContactFilter
from gateway.api.parts import Parts
from gateway.api.refusals import refuse_channel, refuse_contact
from gateway.api.sending import NewMessage, SentMessage, lock_present_place, send
from gateway.contracts.resources import Message as MessageResource
from gateway.db.channels import get_channel
from gateway.db.contacts import get_contact
from gateway.db.conversation_views import list_conversations
from gateway.db.messages import list_messages
from gateway.http.pagination import Paging
from gateway.http.routes import READ, SEND, AccountId, GatewayRoute, Trace, Work
from gateway.http.schemas import Body, Page
from gateway.messaging.actions import request_action
from gateway.messaging.resources import message_resource

router = APIRouter(prefix="/v1/conversations", tags=["Conversations"], route_class=GatewayRoute)


class NewAction(Body):
    """Something to be shown to the contact."""

    action: Literal["typing_on", "typing_off", "mark_seen"] = Field(
        description="Shown at once or not at all."
    )


@router.get("", dependencies=[READ])
async def list_all_conversations(
    account_id: AccountId,
    parts: Parts,
    work: Work,
    paging: Paging,
    channel_id: ChannelFilter = None,
    contact_id: ContactFilter = None,
) -> Page[ConversationResource]:
    """List conversations, those in which something was said last first."""
    rows = await list_conversations(
        work.connection,
        account_id,
        channel_id=channel_id,
        contact_id=contact_id,
        before=paging.place("conversations", datetime, str),
        limit=paging.limit + 1,
    )
    conversations, cursor = paging.page(
        rows, "conversations", lambda each: [each.active_at.isoformat(), each.id]
    )
    return Page(
        data=await shown_conversations(work, parts, account_id, conversations),
        next_cursor=cursor,
    )


@router.get("/{conversation_id}", dependencies=[READ])
async def read_conversation(
    conversation_id: str, account_id: AccountId, parts: Parts, work: Work
) -> ConversationResource:
    """Read a conversation, with its messaging window and its latest enquiry."""
    conversation = await existing_conversation(work, account_id, conversation_id)
    (shown,) = await shown_conversations(work, parts, account_id, [conversation])
    return shown


@router.get("/{conversation_id}/messages", dependencies=[READ])
async def list_conversation_messages(
    conversation_id: str,
    account_id: AccountId,
    work: Work,
    paging: Paging,
    order: Annotated[Literal["asc", "desc"], Query(description="Oldest or newest first.")] = "asc",
    order_by: Annotated[
        Literal["sequence", "occurred_at"],
        Query(description="As they were accepted, or by when they were written."),
    ] = "sequence",
) -> Page[MessageResource]:
    """List the messages of a conversation."""
    conversation = await existing_conversation(work, account_id, conversation_id)
    channel = await get_channel(work.connection, account_id, conversation.channel_id)
    hold = None if channel is None else channel.hold
    name = f"messages-{order}-{order_by}"
    shape: tuple[type[int], ...] | tuple[type[datetime], type[int]]
    shape = (int,) if order_by == "sequence" else (datetime, int)
    rows = await list_messages(
        work.connection,
        account_id,
        conversation_id,
        order_by=order_by,
        descending=order == "desc",
        after=paging.place(name, *shape),
        limit=paging.limit + 1,
    )
    messages, cursor = paging.page(
        rows,
        name,
        lambda message: (
            [message.sequence]
            if order_by == "sequence"
            else [message.occurred_at.isoformat(), message.sequence]
        ),
    )
    return Page(
        data=[
            MessageResource.model_validate(
                message_resource(message, hold=hold, link=work.media_link)
            )
            for message in messages
        ],
        next_cursor=cursor,
    )


@router.post("/{conversation_id}/messages", status_code=202, dependencies=[SEND])
async def send_message(
    conversation_id: str,
    body: NewMessage,
    account_id: AccountId,
    parts: Parts,
    work: Work,
    trace: Trace,
) -> SentMessage:
    """Send a message.

    Messages of a conversation leave one after the other, in the order in which they are accepted.
    What becomes of this one is told by events, and by reading it.
    """
    place = await lock_present_place(work, account_id, conversation_id)
    return await send(work, parts, place, body, traceparent=trace)


@router.post("/{conversation_id}/actions", dependencies=[SEND])
async def show_action(
    conversation_id: str, body: NewAction, account_id: AccountId, parts: Parts, work: Work
) -> ConversationResource:
    """Show the contact that somebody is typing, or has seen its messages."""
    place = await lock_present_place(work, account_id, conversation_id)
    refuse_channel(place.channel)
    contact = await get_contact(work.connection, account_id, place.conversation.contact_id)
    assert contact is not None
    refuse_contact(contact)
    request_action(
        work, place.conversation, place.channel, {"action": body.action}, pointer="/action"
    )
    conversation = await existing_conversation(work, account_id, conversation_id)
    (shown,) = await shown_conversations(work, parts, account_id, [conversation])
    return shown
