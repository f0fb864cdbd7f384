"""What a message of ours does to the conversation's enquiry."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.db.channels import Channel
from gateway.db.conversations import Conversation
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.message import AuthorKind
from gateway.errors import NotAssigneeError
from routing.assignment import conclude, hold, lock_parties, save
from routing.commands import let_accept, require_agent, take_over
from routing.enquiries import Actor, EnquiryStatus, HandledBy
from routing.hall import Hall
from routing.held import HeldEnquiry
from routing.repository import get_enquiries
from routing.resources import enquiry_resource

_AUTHOR_POINTER = "/author/id"


class Engagement:
    """Knows the enquiries of conversations."""

    async def before_send(
        self,
        work: UnitOfWork,
        conversation: Conversation,
        channel: Channel,
        *,
        author_kind: AuthorKind,
        author_id: str | None,
        takeover: bool,
    ) -> str | None:
        """Let an author answer in a locked conversation and return the enquiry's id, if any.

        An agent's send accepts an open or offered enquiry, follows a missed one up, and takes one
        from the Page's inbox; where none is alive, the contact's answer goes to that agent.
        Whoever writes, the intermission counts from now.

        Raises:
            NotAssigneeError: It is ongoing with another agent, and `takeover` does not say so.
            ConflictError: The agent has no room for it, or does not serve the channel.
            IllegalTransitionError: It waits outside, because the account is full.
            InvalidFieldsError: There is no such agent.
        """
        held = await self._latest(work, conversation, channel)
        if held is None or held.row.status is EnquiryStatus.CLOSED:
            if author_kind is AuthorKind.AGENT:
                conversation.engaged_agent_id = author_id
            return None
        if author_kind is AuthorKind.AGENT and author_id is not None:
            await self._engage(held, author_id, takeover=takeover)
        if held.row.status is EnquiryStatus.ONGOING:
            held.note_our_message()
            held.note_first_response()
            await save(held)
        return held.row.id

    async def enquiry_resources(
        self, work: UnitOfWork, account_id: str, enquiry_ids: Iterable[str]
    ) -> Mapping[str, dict[str, Any]]:
        """Return the public form of those enquiries of an account that exist, by id."""
        found = await get_enquiries(work.connection, account_id, list(enquiry_ids))
        return {enquiry_id: enquiry_resource(row) for enquiry_id, row in found.items()}

    async def _latest(
        self, work: UnitOfWork, conversation: Conversation, channel: Channel
    ) -> HeldEnquiry | None:
        if conversation.enquiry_id is None:
            return None
        return await hold(Hall(work), conversation, channel, conversation.enquiry_id)

    async def _engage(self, held: HeldEnquiry, agent_id: str, *, takeover: bool) -> None:
        actor = Actor("agent", agent_id)
        match held.row.status:
            case EnquiryStatus.OPEN | EnquiryStatus.OFFERED:
                await lock_parties(held, agent_id)
                await let_accept(held, actor, agent_id, pointer=_AUTHOR_POINTER)
                await conclude(held)
            case EnquiryStatus.ONGOING if self._is_elsewhere(held, agent_id, takeover=takeover):
                await lock_parties(held, agent_id)
                await take_over(held, actor, agent_id, pointer=_AUTHOR_POINTER)
                await conclude(held)
            case EnquiryStatus.MISSED:
                await lock_parties(held, agent_id)
                agent = require_agent(held, agent_id, pointer=_AUTHOR_POINTER)
                held.follow_up(actor, agent_id=agent.id, agent_name=agent.name)
                await conclude(held)
            case _:
                pass

    def _is_elsewhere(self, held: HeldEnquiry, agent_id: str, *, takeover: bool) -> bool:
        if held.row.agent_id == agent_id:
            return False
        if held.row.agent_id is not None and not takeover:
            raise NotAssigneeError(
                "Another agent has this enquiry.",
                extra={"state": held.row.status.value, "agent_id": held.row.agent_id},
            )
        # An endpoint may well be the desk at which its agents sit: they write in its name.
        return takeover or held.row.handled_by is not HandledBy.ENDPOINT
