"""What the public events of a short story tell: Ann asks a shop, Ada answers.

The resources' own functions write it, so that an example has every field that the event has.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from scripts.published import cast

from gateway.contracts.moments import rfc3339
from gateway.db.first_contact import contact_resource
from gateway.db.messages import Message
from gateway.domain.channel import ChannelStatus, StatusReason
from gateway.domain.channel_reasons import REASONS
from gateway.domain.delivery import SendError
from gateway.domain.message import MessageStatus
from gateway.messaging.channel_events import channel_resource
from gateway.messaging.endpoint_events import endpoint_resource
from gateway.messaging.resources import message_resource
from gateway.meta.error_rules import find_rule
from gateway.meta.errors import GraphFault
from routing.enquiries import SYSTEM, Actor, Enquiry, EnquiryStatus
from routing.resources import enquiry_resource

Told = dict[str, Any]

_BY_ADA: Final = Actor("agent", cast.AGENT_ID)
_BY_ANN: Final = Actor("contact", cast.CONTACT_ID)
_HEART: Final = {"reaction": "love", "emoji": "❤️"}


def _link(_account_id: str, media_id: str) -> str:
    query = "expires=1763721000&signature=k1.Kf0…"
    return f"https://gateway.example/v1/media/{media_id}/content?{query}"


def _message(message: Message, **further: Any) -> Told:  # noqa: ANN401 - JSON
    return {"message": message_resource(message, link=_link), **further}


def _refused() -> Message:
    fault = GraphFault(551, 1545041)
    rule = find_rule(fault.code, fault.subcode)
    assert rule is not None
    error = SendError(fault.slug, rule.detail, rule.remedy)
    return replace(cast.ANSWER, status=MessageStatus.FAILED, error=error.as_document())


def _uncertain() -> Message:
    error = SendError(
        "upstream-failed",
        "Meta's answer did not arrive, so nobody can tell yet whether the message was sent.",
        "Look into the Page's inbox, then send the message again if it is not there.",
        retryable=True,
    )
    return replace(cast.ANSWER, status=MessageStatus.UNCERTAIN, error=error.as_document())


def _enquiry(enquiry: Enquiry, actor: Actor, **further: Any) -> Told:  # noqa: ANN401 - JSON
    return {"enquiry": enquiry_resource(enquiry), "actor": actor.as_json(), **further}


def _contact(**changes: Any) -> Told:  # noqa: ANN401 - column values
    return {"contact": contact_resource(cast.ANN | changes)}


def _channel(
    status: ChannelStatus = ChannelStatus.ACTIVE,
    reason: StatusReason | None = None,
    **further: Any,  # noqa: ANN401 - JSON
) -> Told:
    detail, remedy = (None, None) if reason is None else REASONS[reason]
    return {
        "channel": channel_resource(replace(cast.CHANNEL, status=status, status_reason=reason)),
        "reason": None if reason is None else reason.value,
        "detail": detail,
        "remedy": remedy,
        **further,
    }


def _endpoint(
    status: str,
    reason: str | None = None,
    *,
    failing_since: datetime | None = None,
    more: Told | None = None,
) -> Told:
    changed = replace(
        cast.ENDPOINT, status=status, status_reason=reason, failing_since=failing_since
    )
    return {"endpoint": endpoint_resource(changed), **(more or {})}


_OF_MESSAGES: Final[dict[str, Told]] = {
    "gateway.message.received.v1": _message(cast.QUESTION),
    "gateway.message.accepted.v1": _message(cast.ANSWER),
    "gateway.message.sent.v1": _message(cast.SENT),
    "gateway.message.delivered.v1": _message(cast.DELIVERED),
    "gateway.message.read.v1": _message(
        replace(cast.DELIVERED, status=MessageStatus.READ, read_at=cast.at(55))
    ),
    "gateway.message.failed.v1": _message(_refused()),
    "gateway.message.uncertain.v1": _message(_uncertain()),
    "gateway.message.resolved.v1": _message(cast.SENT),
    "gateway.message.edited.v1": _message(
        replace(
            cast.QUESTION,
            content=cast.QUESTION.content | {"text": "hello, when do you close?", "edit_number": 1},
            edited_at=cast.at(15),
        )
    ),
    "gateway.message.unsent.v1": _message(
        replace(cast.QUESTION, content={"type": "unsent"}, unsent_at=cast.at(15))
    ),
    "gateway.message.reacted.v1": _message(
        replace(cast.DELIVERED, reactions={"contact": _HEART}),
        reaction={"message_id": "m_answer", "action": "react", **_HEART, "by": "contact"},
    ),
    "gateway.message.media_ready.v1": _message(
        replace(
            cast.QUESTION,
            content={
                "type": "image",
                "attachments": [
                    {
                        "type": "image",
                        "status": "ready",
                        "media_id": cast.MEDIA_ID,
                        "mime_type": "image/jpeg",
                        "size": 48_213,
                    }
                ],
            },
        )
    ),
    "gateway.postback.received.v1": _message(
        replace(
            cast.QUESTION,
            content={"type": "postback", "title": "Get started", "payload": "GET_STARTED"},
            source_message_id="m_pb",
        ),
        postback={"title": "Get started", "payload": "GET_STARTED"},
    ),
}
_OF_CONVERSATIONS: Final[dict[str, Told]] = {
    "gateway.conversation.window_closing.v1": {
        "window": {
            "state": "open",
            "open_until": rfc3339(cast.at(86_400)),
            "human_agent_until": None,
        }
    },
    "gateway.conversation.thread_changed.v1": {
        "previous_owner": "us",
        "thread_owner": "page_inbox",
        "since": rfc3339(cast.at(30)),
    },
    "gateway.conversation.automation_paused.v1": {"reason": "too_many_automatic_messages"},
}
_OF_ENQUIRIES: Final[dict[str, Told]] = {
    "gateway.enquiry.opened.v1": _enquiry(cast.OPENED, _BY_ANN),
    "gateway.enquiry.queued.v1": _enquiry(
        replace(cast.OPENED, queued_at=cast.ARRIVED), SYSTEM, reason="concurrent_contacts_limit"
    ),
    "gateway.enquiry.offered.v1": _enquiry(cast.OFFERED, SYSTEM),
    "gateway.enquiry.offer_withdrawn.v1": _enquiry(
        cast.EXPIRED, SYSTEM, reason="expired", agent_id=cast.AGENT_ID
    ),
    "gateway.enquiry.accepted.v1": _enquiry(cast.ONGOING, _BY_ADA),
    "gateway.enquiry.rejected.v1": _enquiry(cast.REJECTED, _BY_ADA, agent_id=cast.AGENT_ID),
    "gateway.enquiry.transferred.v1": _enquiry(
        cast.OFFERED, Actor("api"), former_destination=cast.DESK
    ),
    "gateway.enquiry.missed.v1": _enquiry(cast.MISSED, SYSTEM, reason="nobody_took_it"),
    "gateway.enquiry.followed_up.v1": _enquiry(
        replace(
            cast.MISSED,
            status=EnquiryStatus.FOLLOWED_UP,
            agent_id=cast.AGENT_ID,
            agent_name="Ada",
            followed_up_at=cast.at(3600),
        ),
        _BY_ADA,
    ),
    "gateway.enquiry.closed.v1": _enquiry(
        replace(
            cast.ONGOING,
            status=EnquiryStatus.CLOSED,
            close_reason="requested",
            first_response_at=cast.at(40),
            closed_at=cast.at(600),
        ),
        _BY_ADA,
        reason="requested",
    ),
    "gateway.enquiry.reopened.v1": _enquiry(
        replace(cast.OPENED, first_response_at=cast.at(40)), _BY_ANN, reason="contact_message"
    ),
}
_OF_ACCOUNTS: Final[dict[str, Told]] = {
    "gateway.contact.created.v1": _contact(),
    "gateway.contact.updated.v1": _contact(email="ann@example.com"),
    "gateway.contact.blocked.v1": _contact(blocked_at=cast.at(700)),
    "gateway.contact.unblocked.v1": _contact(),
    "gateway.contact.erased.v1": {
        "contact": {"id": cast.CONTACT_ID, "channel_id": cast.CHANNEL_ID}
    },
    "gateway.channel.created.v1": _channel(),
    "gateway.channel.updated.v1": _channel(),
    "gateway.channel.activated.v1": _channel(),
    "gateway.channel.degraded.v1": _channel(ChannelStatus.DEGRADED, StatusReason.PAGE_UNPUBLISHED),
    "gateway.channel.disconnected.v1": _channel(
        ChannelStatus.DISCONNECTED, StatusReason.TOKEN_EXPIRED
    ),
    "gateway.channel.suspended.v1": _channel(ChannelStatus.SUSPENDED),
    "gateway.channel.deleted.v1": _channel(ChannelStatus.DELETED),
    "gateway.channel.token_expiring.v1": _channel(days_left=7),
    "gateway.endpoint.tested.v1": _endpoint("active"),
    "gateway.endpoint.paused.v1": _endpoint("paused"),
    "gateway.endpoint.resumed.v1": _endpoint("active"),
    "gateway.endpoint.failing.v1": _endpoint(
        "active",
        failing_since=cast.at(-90_000),
        more={
            "failing_since": rfc3339(cast.at(-90_000)),
            "disabled_from": rfc3339(cast.at(342_000)),
            "error": {
                "code": "upstream-failed",
                "detail": "The webhook answered 500.",
                "retryable": True,
                "remedy": "See that the webhook answers 2xx within ten seconds. It is tried again "
                "by itself.",
            },
        },
    ),
    "gateway.endpoint.disabled.v1": _endpoint("disabled", "failing"),
}
TOLD: Final = _OF_MESSAGES | _OF_CONVERSATIONS | _OF_ENQUIRIES | _OF_ACCOUNTS

# A message as it is posted to a third party: nobody has said yet that it was sent.
TO_THIRD_PARTY: Final[Told] = {
    **_message(cast.SENDING),
    "contact": {
        "id": cast.CONTACT_ID,
        "source_contact_id": cast.VISITOR_ID,
        "name": "Ann Example",
    },
    "reply_to_source_message_id": None,
}
