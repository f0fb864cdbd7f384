"""Examples of what the gateway publishes, made by the code that publishes it.

Inbound events are payloads of the catalogue as the normaliser reads them; public events that only
pass something on have the same.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from scripts.published import cast, story

from gateway.contracts import third_party
from gateway.contracts.envelope import Attributes, account_source, to_headers
from gateway.contracts.event_values import ChannelEvent, ConversationEvent
from gateway.contracts.events import PUBLIC_TYPES
from gateway.contracts.inbound import InboundEvent
from gateway.contracts.webhooks import MESSAGE_SEND, webhook_body
from gateway.db.publishing import CommittedEvent
from gateway.domain.ids import event_id
from gateway.meta.normalise import normalise

Example = dict[str, Any]

EVENT_ID: Final = "evt_01kb2x7c3yd4w8z1a2b3c4d5e6"

_PAYLOADS: Final = Path(__file__).resolve().parents[2] / "tests" / "support" / "payloads"
_OF_META: Final = {
    "gateway.message.received.v1": "messenger/text",
    "gateway.message.echoed.v1": "messenger/echo_ours",
    "gateway.message.edited.v1": "messenger/edit",
    "gateway.message.unsent.v1": "instagram/unsent",
    "gateway.message.delivered.v1": "messenger/delivery",
    "gateway.message.read.v1": "messenger/read",
    "gateway.message.reacted.v1": "messenger/reaction",
    "gateway.postback.received.v1": "messenger/postback",
    "gateway.referral.received.v1": "messenger/referral_link",
    "gateway.optin.received.v1": "messenger/optin_one_time",
    "gateway.optout.received.v1": "messenger/optout",
    "gateway.thread_control.passed.v1": "messenger/pass_thread_control",
    "gateway.thread_control.taken.v1": "messenger/take_thread_control",
    "gateway.thread_control.requested.v1": "messenger/request_thread_control",
    "gateway.app_roles.changed.v1": "messenger/app_roles",
    "gateway.policy.enforced.v1": "messenger/policy_warning",
    "gateway.account.linked.v1": "messenger/account_linked",
    "gateway.account.unlinked.v1": "messenger/account_unlinked",
    "gateway.feedback.received.v1": "messenger/feedback_form",
    "gateway.order.received.v1": "messenger/cart",
    "gateway.appointment.received.v1": "messenger/appointment",
    "gateway.label.changed.v1": "messenger/label",
    "gateway.comment.received.v1": "messenger/comment",
    "gateway.page.changed.v1": "messenger/rating",
    "gateway.permission.changed.v1": "messenger/permission_granted",
    "gateway.item.unrecognised.v1": "messenger/payment",
}
_Reader = Callable[[str, dict[str, Any], datetime], InboundEvent]
_OF_THIRD_PARTIES: Final[dict[str, tuple[str, _Reader]]] = {
    "gateway.typing.changed.v1": ("third_party/typing", third_party.typing_event),
    "gateway.status.reported.v1": ("third_party/status_read", third_party.status_event),
    "gateway.contact.updated.v1": ("third_party/contact", third_party.contact_event),
}


def inbound_example(type_: str) -> Example:
    """Return a record of the inbound topic."""
    event = _inbound(type_)
    return _record(event.headers(), event.value())


def public_example(type_: str) -> Example:
    """Return a record of the public topic."""
    event = _public(type_)
    headers = to_headers(
        Attributes(
            id=event.id,
            source=event.source,
            type=event.type,
            time=event.occurred_at,
            subject=event.subject,
            partitionkey=event.key,
            sequence=str(event.sequence),
        )
    )
    return _record(headers, json.dumps(event.body()).encode())


def dead_letter_example() -> Example:
    """Return a record of the topic of dead letters: an inbound one whose Page had no owner."""
    event = _inbound("gateway.message.received.v1")
    about = {
        "dead_letter_id": "dlt_01kb2x7c3yd4w8z1a2b3c4d5e6",
        "reason": "foreign-app",
        "stage": "routing",
        "attempts": "1",
    }
    headers = [*event.headers(), *((name, value.encode()) for name, value in about.items())]
    return _record(headers, event.value())


def webhook_example(type_: str) -> Example:
    """Return the body of a webhook."""
    if type_ == MESSAGE_SEND:
        event = replace(
            _public("gateway.message.accepted.v1"),
            data=story.TO_THIRD_PARTY,
            occurred_at=cast.ANSWER.accepted_at,
            sequence=cast.ANSWER.sequence,
        )
    else:
        event = _public(type_)
    body: Example = json.loads(
        webhook_body(
            type_,
            timestamp=event.occurred_at,
            sequence=event.sequence,
            data=event.data,
            account_id=event.account_id,
            channel_id=event.channel_id,
            conversation_id=event.conversation_id,
            enquiry_id=event.enquiry_id,
        )
    )
    return body


@cache
def _inbound(type_: str) -> InboundEvent:
    if type_ in _OF_META:
        body = (_PAYLOADS / f"{_OF_META[type_]}.json").read_bytes()
        found = normalise(body, meta_app_id=cast.META_APP_ID, received_at=cast.ARRIVED).events
        [event] = [each for each in found if each.type == type_]
        return event
    name, read = _OF_THIRD_PARTIES[type_]
    item = json.loads((_PAYLOADS / f"{name}.json").read_bytes())
    # Typing and profiles have random ids.
    return replace(read(cast.CHANNEL_ID, item, cast.ARRIVED), id=event_id(["example", type_]))


def _public(type_: str) -> CommittedEvent:
    model = PUBLIC_TYPES[type_]
    of_conversation = issubclass(model, ConversationEvent)
    key = cast.CONVERSATION_ID if of_conversation else cast.ACCOUNT_ID
    told = story.TOLD.get(type_)
    if told is None:
        passed_on = _inbound(type_)
        told = {passed_on.name: passed_on.data}
    return CommittedEvent(
        created_at=cast.at(41),
        id=EVENT_ID,
        account_id=cast.ACCOUNT_ID,
        channel_id=cast.CHANNEL_ID if issubclass(model, ChannelEvent) else None,
        conversation_id=cast.CONVERSATION_ID if of_conversation else None,
        enquiry_id=cast.ENQUIRY_ID if of_conversation else None,
        type=type_,
        key=key,
        sequence=7,
        source=account_source(cast.ACCOUNT_ID),
        subject=key,
        occurred_at=cast.at(41),
        traceparent=None,
        data=told,
        position=None,
    )


def _record(headers: Sequence[tuple[str, bytes]], value: bytes) -> Example:
    return {
        "headers": {name: text.decode() for name, text in headers},
        "payload": json.loads(value),
    }
