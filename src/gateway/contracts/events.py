"""The public events: every type of `gateway.conversations.v1`, and the model of its value.

Webhooks and the events feed carry the same types. Events of a conversation are in the order of its
numbers; the others are in the order of their account's.
"""

from typing import Any, Final

from pydantic import create_model

from gateway.contracts import account_events as account
from gateway.contracts import conversation_events as conversation
from gateway.contracts.event_values import (
    ChannelEvent,
    ConversationEvent,
    EnquiryEvent,
    Fact,
    PublicEvent,
)
from gateway.contracts.inbound_types import INBOUND_TYPES


def _as_it_came(*types: str) -> dict[str, type[Fact]]:
    """Return, by type, a model of what is told on in the words of the inbound event."""
    models = {}
    for type_ in types:
        known = INBOUND_TYPES[type_]
        described: dict[str, Any] = {known.name: (known.described(), ...)}
        name, told = known.model.__name__, known.model.__doc__
        models[type_] = create_model(name, __base__=Fact, __doc__=told, **described)
    return models


_OF_ENQUIRIES: Final[dict[str, type[Fact]]] = {
    "gateway.enquiry.opened.v1": conversation.EnquiryOpened,
    "gateway.enquiry.queued.v1": conversation.EnquiryQueued,
    "gateway.enquiry.offered.v1": conversation.EnquiryOffered,
    "gateway.enquiry.offer_withdrawn.v1": conversation.EnquiryOfferWithdrawn,
    "gateway.enquiry.accepted.v1": conversation.EnquiryAccepted,
    "gateway.enquiry.rejected.v1": conversation.EnquiryRejected,
    "gateway.enquiry.transferred.v1": conversation.EnquiryTransferred,
    "gateway.enquiry.missed.v1": conversation.EnquiryMissed,
    "gateway.enquiry.followed_up.v1": conversation.EnquiryFollowedUp,
    "gateway.enquiry.closed.v1": conversation.EnquiryClosed,
    "gateway.enquiry.reopened.v1": conversation.EnquiryReopened,
}
_OF_CONVERSATIONS: Final[dict[str, type[Fact]]] = {
    "gateway.message.received.v1": conversation.MessageReceived,
    "gateway.message.accepted.v1": conversation.MessageAccepted,
    "gateway.message.sent.v1": conversation.MessageSent,
    "gateway.message.delivered.v1": conversation.MessageDelivered,
    "gateway.message.read.v1": conversation.MessageRead,
    "gateway.message.failed.v1": conversation.MessageFailed,
    "gateway.message.uncertain.v1": conversation.MessageUncertain,
    "gateway.message.resolved.v1": conversation.MessageResolved,
    "gateway.message.edited.v1": conversation.MessageEdited,
    "gateway.message.unsent.v1": conversation.MessageUnsent,
    "gateway.message.reacted.v1": conversation.MessageReacted,
    "gateway.message.media_ready.v1": conversation.MessageMediaReady,
    "gateway.postback.received.v1": conversation.PostbackReceived,
    "gateway.conversation.window_closing.v1": conversation.ConversationWindowClosing,
    "gateway.conversation.thread_changed.v1": conversation.ConversationThreadChanged,
    "gateway.conversation.automation_paused.v1": conversation.ConversationAutomationPaused,
    **_as_it_came(
        "gateway.referral.received.v1",
        "gateway.optin.received.v1",
        "gateway.optout.received.v1",
        "gateway.thread_control.passed.v1",
        "gateway.thread_control.taken.v1",
        "gateway.thread_control.requested.v1",
        "gateway.account.linked.v1",
        "gateway.account.unlinked.v1",
        "gateway.feedback.received.v1",
        "gateway.order.received.v1",
        "gateway.appointment.received.v1",
        "gateway.label.changed.v1",
        "gateway.typing.changed.v1",
    ),
}
_OF_CHANNELS: Final[dict[str, type[Fact]]] = {
    "gateway.contact.created.v1": account.ContactCreated,
    "gateway.contact.updated.v1": account.ContactUpdated,
    "gateway.contact.blocked.v1": account.ContactBlocked,
    "gateway.contact.unblocked.v1": account.ContactUnblocked,
    "gateway.contact.erased.v1": account.ContactErased,
    "gateway.channel.created.v1": account.ChannelCreated,
    "gateway.channel.updated.v1": account.ChannelUpdated,
    "gateway.channel.activated.v1": account.ChannelActivated,
    "gateway.channel.degraded.v1": account.ChannelDegraded,
    "gateway.channel.disconnected.v1": account.ChannelDisconnected,
    "gateway.channel.suspended.v1": account.ChannelSuspended,
    "gateway.channel.deleted.v1": account.ChannelDeleted,
    "gateway.channel.token_expiring.v1": account.ChannelTokenExpiring,
    **_as_it_came(
        "gateway.app_roles.changed.v1",
        "gateway.policy.enforced.v1",
        "gateway.comment.received.v1",
        "gateway.page.changed.v1",
        "gateway.item.unrecognised.v1",
    ),
}
_OF_ACCOUNTS: Final[dict[str, type[Fact]]] = {
    "gateway.endpoint.tested.v1": account.EndpointTested,
    "gateway.endpoint.paused.v1": account.EndpointPaused,
    "gateway.endpoint.resumed.v1": account.EndpointResumed,
    "gateway.endpoint.failing.v1": account.EndpointFailing,
    "gateway.endpoint.disabled.v1": account.EndpointDisabled,
}


def _values(
    event: Any,  # noqa: ANN401 - a generic class without its argument has no type of its own
    facts: dict[str, type[Fact]],
) -> dict[str, type[PublicEvent[Any]]]:
    return {type_: event[fact] for type_, fact in facts.items()}


PUBLIC_TYPES: Final[dict[str, type[PublicEvent[Any]]]] = {
    **_values(ConversationEvent, _OF_CONVERSATIONS),
    **_values(EnquiryEvent, _OF_ENQUIRIES),
    **_values(ChannelEvent, _OF_CHANNELS),
    **_values(PublicEvent, _OF_ACCOUNTS),
}


def told_by(type_: str) -> type[Fact]:
    """Return the model of a public event's `data`."""
    annotation = PUBLIC_TYPES[type_].model_fields["data"].annotation
    if isinstance(annotation, type) and issubclass(annotation, Fact):
        return annotation
    raise TypeError(type_)
