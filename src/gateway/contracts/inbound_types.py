"""The types of `gateway.inbound.v1`: for each, the object in the value and the value's model."""

from typing import Any, Final, NamedTuple

from pydantic import AwareDatetime, Field

from gateway.contracts import inbound_objects as objects
from gateway.contracts.inbound_objects import Described

UNRECOGNISED: Final = "unrecognised"


class InboundValue(Described):
    """What every inbound value has."""

    kind: str = Field(
        description="messenger, instagram or third_party; meta where no channel is concerned."
    )
    source_id: str = Field(description="Page id, Instagram id or channel id; `-` where unknown.")
    contact_id: str = Field(description="`-` where the item concerns the source as a whole.")
    meta_app_id: str | None = Field(None, description="The Meta app whose secret signed the item.")
    standby: bool = Field(description="Another app owns the thread; we only listen.")
    occurred_at: AwareDatetime = Field(description="Never later than the arrival.")
    original: Any = Field(
        description=(
            "The item as it came. If the source escaped lone surrogates or NULs, it escapes them "
            "too, which some parsers refuse; everywhere else in the value they are U+FFFD."
        )
    )


class MessageReceived(InboundValue):
    """A contact wrote."""

    message: objects.Message


class MessageEchoed(InboundValue):
    """Something was sent from our side of the thread."""

    message: objects.Echo


class MessageEdited(InboundValue):
    """A message was edited."""

    edit: objects.Edit


class MessageUnsent(InboundValue):
    """A message was taken back."""

    unsent: objects.Unsent


class MessageDelivered(InboundValue):
    """Messages reached the contact's device."""

    delivery: objects.Delivery


class MessageRead(InboundValue):
    """The contact read messages."""

    read: objects.Read


class MessageReacted(InboundValue):
    """A reaction changed."""

    reaction: objects.Reaction


class PostbackReceived(InboundValue):
    """The contact pressed a button."""

    postback: objects.Postback


class ReferralReceived(InboundValue):
    """The contact came into an existing thread from elsewhere."""

    referral: objects.Referral


class OptInReceived(InboundValue):
    """The contact agreed to be written to."""

    optin: objects.OptIn


class OptOutReceived(InboundValue):
    """The contact does not want to be written to any more."""

    optout: objects.OptIn


class ThreadControlPassed(InboundValue):
    """An app passed the thread to another."""

    thread_control: objects.ThreadControl


class ThreadControlTaken(InboundValue):
    """An app took the thread."""

    thread_control: objects.ThreadControl


class ThreadControlRequested(InboundValue):
    """An app asks for the thread."""

    thread_control: objects.ThreadControl


class AppRolesChanged(InboundValue):
    """The roles of apps on the Page changed."""

    app_roles: objects.AppRoles


class PolicyEnforced(InboundValue):
    """Meta enforced a policy against the Page, or lifted that."""

    policy: objects.Policy


class AccountLinked(InboundValue):
    """The contact linked an account."""

    linking: objects.Linking


class AccountUnlinked(InboundValue):
    """The contact unlinked an account."""

    linking: objects.Linking


class FeedbackReceived(InboundValue):
    """The contact gave feedback."""

    feedback: objects.Feedback


class OrderReceived(InboundValue):
    """The contact sent a cart."""

    order: objects.Order


class AppointmentReceived(InboundValue):
    """An appointment was asked for or changed."""

    appointment: objects.Appointment


class LabelChanged(InboundValue):
    """A label of the contact changed."""

    label: objects.Label


class CommentReceived(InboundValue):
    """A comment was written, changed or removed."""

    comment: objects.Comment


class PageChanged(InboundValue):
    """Something else about the Page changed."""

    page_change: objects.PageChange


class PermissionChanged(InboundValue):
    """A person changed what the Meta app may do."""

    permission: objects.Permission


class TypingChanged(InboundValue):
    """The contact began or stopped typing."""

    typing: objects.Typing


class StatusReported(InboundValue):
    """A third party tells what became of a message."""

    status: objects.Status


class ContactUpdated(InboundValue):
    """A third party tells about a contact."""

    contact: objects.ContactProfile


class ItemUnrecognised(InboundValue):
    """Something that has no type here; nothing of it is lost."""

    unrecognised: objects.Unrecognised
    reason: str = Field(description="The same word as in `unrecognised`.")


class InboundType(NamedTuple):
    """The object that a type's value has beside the fields of all, and the model of the value."""

    name: str
    model: type[InboundValue]

    def described(self) -> type[Described]:
        """Return the model of the object."""
        annotation = self.model.model_fields[self.name].annotation
        if isinstance(annotation, type) and issubclass(annotation, Described):
            return annotation
        raise TypeError(self.name)


INBOUND_TYPES: Final[dict[str, InboundType]] = {
    "gateway.message.received.v1": InboundType("message", MessageReceived),
    "gateway.message.echoed.v1": InboundType("message", MessageEchoed),
    "gateway.message.edited.v1": InboundType("edit", MessageEdited),
    "gateway.message.unsent.v1": InboundType("unsent", MessageUnsent),
    "gateway.message.delivered.v1": InboundType("delivery", MessageDelivered),
    "gateway.message.read.v1": InboundType("read", MessageRead),
    "gateway.message.reacted.v1": InboundType("reaction", MessageReacted),
    "gateway.postback.received.v1": InboundType("postback", PostbackReceived),
    "gateway.referral.received.v1": InboundType("referral", ReferralReceived),
    "gateway.optin.received.v1": InboundType("optin", OptInReceived),
    "gateway.optout.received.v1": InboundType("optout", OptOutReceived),
    "gateway.thread_control.passed.v1": InboundType("thread_control", ThreadControlPassed),
    "gateway.thread_control.taken.v1": InboundType("thread_control", ThreadControlTaken),
    "gateway.thread_control.requested.v1": InboundType("thread_control", ThreadControlRequested),
    "gateway.app_roles.changed.v1": InboundType("app_roles", AppRolesChanged),
    "gateway.policy.enforced.v1": InboundType("policy", PolicyEnforced),
    "gateway.account.linked.v1": InboundType("linking", AccountLinked),
    "gateway.account.unlinked.v1": InboundType("linking", AccountUnlinked),
    "gateway.feedback.received.v1": InboundType("feedback", FeedbackReceived),
    "gateway.order.received.v1": InboundType("order", OrderReceived),
    "gateway.appointment.received.v1": InboundType("appointment", AppointmentReceived),
    "gateway.label.changed.v1": InboundType("label", LabelChanged),
    "gateway.comment.received.v1": InboundType("comment", CommentReceived),
    "gateway.page.changed.v1": InboundType("page_change", PageChanged),
    "gateway.permission.changed.v1": InboundType("permission", PermissionChanged),
    "gateway.typing.changed.v1": InboundType("typing", TypingChanged),
    "gateway.status.reported.v1": InboundType("status", StatusReported),
    "gateway.contact.updated.v1": InboundType("contact", ContactUpdated),
    "gateway.item.unrecognised.v1": InboundType(UNRECOGNISED, ItemUnrecognised),
}
