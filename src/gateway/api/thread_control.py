"""Thread control: which app, or the Page's inbox, has a conversation at Meta."""

from datetime import timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter
from pydantic import Field, StringConstraints

from gateway.api.conversation_resources import (
    ConversationResource,
    existing_conversation,
    shown_conversations,
)
from gateway.api.parts import ApiParts, Parts
from gateway.api.refusals import refuse_channel
from gateway.api.sending import lock_place
from gateway.db.channels import Channel, get_channel
from gateway.domain.channel import has_window
from gateway.domain.conversation import ThreadOwner, inbox_of, owner_named
from gateway.domain.delivery import Accepted, Outcome, Reauthenticate, Refused, WindowRefused
from gateway.errors import (
    ConflictError,
    FieldFault,
    GatewayError,
    InvalidFieldsError,
    NotSupportedByChannelError,
    ThreadOwnedElsewhereError,
    UpstreamFailedError,
)
from gateway.http.exchange import Exchange
from gateway.http.routes import SEND, AccountId, GatewayRoute, Outside, Trace
from gateway.http.schemas import IS_TEXT, Body
from gateway.messaging.channel_health import mark_channel
from gateway.messaging.page_access import get_page_access
from gateway.messaging.thread_ownership import set_thread_owner
from gateway.meta.graph import PageAccess
from gateway.meta.thread_control import ThreadControl, says_owned_elsewhere, says_wrong_target

router = APIRouter(prefix="/v1/conversations", tags=["Conversations"], route_class=GatewayRoute)

_CALL_BUDGET: Final = timedelta(seconds=10)


class NewThreadControl(Body):
    """What is to happen to the thread at Meta."""

    action: Literal["take", "pass", "request", "release"] = Field(
        description=(
            "`take` it from whoever has it, `pass` it on, ask its owner for it, or let it go."
        )
    )
    target_app_id: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,40}$")] | None = Field(
        default=None,
        description="`pass` alone: the app that gets it; without one, the Page's inbox.",
        examples=["263902037430900"],
    )
    metadata: Annotated[str, StringConstraints(max_length=1000), IS_TEXT] | None = Field(
        default=None, description="Told to the other app; Meta hands it on as it is."
    )


@router.post("/{conversation_id}/thread-control", dependencies=[SEND])
async def control_thread(
    conversation_id: str,
    body: NewThreadControl,
    account_id: AccountId,
    parts: Parts,
    outside: Outside,
    trace: Trace,
) -> ConversationResource:
    """Take, pass, request or release the conversation's thread at Meta.

    Meta is asked at once, and what it agrees to is what `thread_owner` says from then on; a request
    changes nothing before the owner grants it. Ownership ends by itself after 24 hours in which
    nothing is said.
    """
    async with outside.glance() as work:
        conversation = await existing_conversation(work, account_id, conversation_id)
        channel = await get_channel(work.connection, account_id, conversation.channel_id)
        assert channel is not None
        refuse_channel(channel)
        control = _control(channel, body)
        access = await get_page_access(work, channel)
    await _ask_meta(outside, parts, channel, access, conversation.source_contact_id, control)
    work = await outside.effect()
    place = await lock_place(work, account_id, conversation_id)
    owner = _owner_after(place.channel, control)
    if owner is not None:
        set_thread_owner(work, place.conversation, owner, at=work.now, traceparent=trace)
        await work.flush()
    conversation = await existing_conversation(work, account_id, conversation_id)
    (shown,) = await shown_conversations(work, parts, account_id, [conversation])
    return shown


def _control(channel: Channel, body: NewThreadControl) -> ThreadControl:
    if not has_window(channel.kind):
        raise NotSupportedByChannelError(
            "Only Meta's channels have threads that apps pass to each other.",
            faults=[FieldFault("/action", "not-supported", "This kind of channel cannot do that.")],
        )
    target = body.target_app_id
    if body.action == "pass":
        target = target or inbox_of(channel.kind)
    elif target is not None:
        raise InvalidFieldsError(
            "Only `pass` has a target.",
            faults=[FieldFault("/target_app_id", "not-applicable", "Only `pass` has a target.")],
        )
    return ThreadControl(body.action, target, body.metadata)


async def _ask_meta(
    outside: Exchange,
    parts: ApiParts,
    channel: Channel,
    access: PageAccess,
    contact_id: str,
    control: ThreadControl,
) -> None:
    """Let Meta do it.

    Raises:
        ThreadOwnedElsewhereError: The thread is not ours to move.
        InvalidFieldsError: There is no such app to pass it to.
        ConflictError: Meta refused for another reason that stays.
        UpstreamFailedError: Meta did not answer, or cannot do it now.
    """
    answer = await parts.graph.control_thread(access, contact_id, control, budget=_CALL_BUDGET)
    if isinstance(answer.outcome, Accepted):
        return
    if isinstance(answer.outcome, Reauthenticate):
        fault = answer.outcome
        async with outside.glance() as work:
            await mark_channel(
                work,
                channel,
                fault.status,
                fault.reason,
                detail=fault.error.detail,
                remedy=fault.error.remedy,
            )
    raise _refusal(answer.outcome)


def _refusal(outcome: Outcome) -> GatewayError:
    if not isinstance(outcome, Refused | WindowRefused | Reauthenticate):
        return UpstreamFailedError("Meta did not say that it was done; try again.")
    error = outcome.error
    said = {"meta_code": error.code}
    if says_owned_elsewhere(error.code):
        return ThreadOwnedElsewhereError("Another app has the thread at Meta.", extra=said)
    if says_wrong_target(error.code):
        return InvalidFieldsError(
            error.detail,
            faults=[FieldFault("/target_app_id", "unknown-app", error.detail)],
            extra=said,
        )
    if isinstance(outcome, Reauthenticate):
        return UpstreamFailedError(error.detail, extra=said)
    return ConflictError(error.detail, extra=said)


def _owner_after(channel: Channel, control: ThreadControl) -> ThreadOwner | None:
    match control.action:
        case "take":
            return ThreadOwner.US
        case "release":
            return ThreadOwner.IDLE
        case "pass":
            return owner_named(control.target_app_id or "", ours=channel.meta_app_id)
        case "request":
            return None
