"""Conversations as the REST API shows them."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from gateway.api.parts import ApiParts
from gateway.contracts.resources import Enquiry
from gateway.db.conversation_views import ConversationView, get_conversation
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.conversation import ThreadOwner, thread_owner_at, window_at
from gateway.errors import NotFoundError
from gateway.http.schemas import Moment, Resource


class ContactOfConversation(Resource):
    """Who it is with."""

    id: str
    source_contact_id: str
    name: str | None
    first_name: str | None
    last_name: str | None
    avatar_url: str | None
    blocked: bool


class WindowResource(Resource):
    """What may be sent now, and until when; third-party channels have no window."""

    state: Literal["open", "human_agent", "closed"]
    open_until: Moment | None
    human_agent_until: Moment | None


class ConversationResource(Resource):
    """The lasting thread between one contact and one channel."""

    id: str = Field(examples=["cnv_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    channel_id: str
    contact: ContactOfConversation
    window: WindowResource
    enquiry: Enquiry | None = Field(description="The latest one, if there ever was one.")
    thread_owner: Literal["us", "other_app", "page_inbox", "idle"]
    last_message_at: Moment | None
    continued_in: str | None = Field(
        None,
        description=(
            "Its contact turned out to be another one, with whom this conversation goes on there: "
            "what is sent to this one goes there. Its messages stay here."
        ),
    )
    created_at: Moment


async def existing_conversation(
    work: UnitOfWork, account_id: str, conversation_id: str
) -> ConversationView:
    """Return a conversation of an account.

    Raises:
        NotFoundError: There is none.
    """
    conversation = await get_conversation(work.connection, account_id, conversation_id)
    if conversation is None:
        raise NotFoundError("There is no such conversation.")
    return conversation


async def shown_conversations(
    work: UnitOfWork, parts: ApiParts, account_id: str, conversations: Sequence[ConversationView]
) -> list[ConversationResource]:
    """Return the public form of conversations, each with its latest enquiry."""
    wanted = [each.enquiry_id for each in conversations if each.enquiry_id is not None]
    enquiries = await parts.engagement.enquiry_resources(work, account_id, wanted)
    shown = []
    for each in conversations:
        window = window_at(
            work.now,
            kind=each.channel_kind,
            last_action_at=each.last_action_at,
            human_agent=each.human_agent,
        )
        owner = thread_owner_at(work.now, ThreadOwner(each.thread_owner), each.thread_owner_since)
        shown.append(
            ConversationResource.model_validate(
                {
                    "id": each.id,
                    "channel_id": each.channel_id,
                    "contact": {
                        "id": each.contact_id,
                        "source_contact_id": each.source_contact_id,
                        "name": each.contact_name,
                        "first_name": each.contact_first_name,
                        "last_name": each.contact_last_name,
                        "avatar_url": each.contact_avatar_url,
                        "blocked": each.contact_blocked,
                    },
                    "window": {
                        "state": window.state.value,
                        "open_until": window.open_until,
                        "human_agent_until": window.human_agent_until,
                    },
                    "enquiry": enquiries.get(each.enquiry_id or ""),
                    "thread_owner": owner.value,
                    "last_message_at": each.last_message_at,
                    "continued_in": each.continued_in,
                    "created_at": each.created_at,
                }
            )
        )
    return shown
