"""Who and what the examples are about, as the database would hold it: Ann asks, Ada answers."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.contracts.moments import from_rfc3339
from gateway.db.channels import Channel
from gateway.db.endpoints import Endpoint
from gateway.db.messages import Message
from gateway.domain.automatic_texts import DEFAULT_AWAY, DEFAULT_WELCOME
from gateway.domain.channel import ChannelKind, ChannelStatus
from gateway.domain.message import AuthorKind, Direction, MessageStatus
from routing.configuration import validate_routing
from routing.destinations import AgentFacts, Presence
from routing.engine import Facts, decide
from routing.enquiries import Enquiry, EnquiryStatus, HandledBy, Offer, OfferStatus
from routing.rules import routing_of

_SUFFIX: Final = "01kb2x5h8ve0xrn1y2z3a4b5c6"
ACCOUNT_ID: Final = f"acc_{_SUFFIX}"
CHANNEL_ID: Final = f"chn_{_SUFFIX}"
CONTACT_ID: Final = f"con_{_SUFFIX}"
MEDIA_ID: Final = f"med_{_SUFFIX}"
CONVERSATION_ID: Final = f"cnv_{_SUFFIX}"
ENQUIRY_ID: Final = f"enq_{_SUFFIX}"
AGENT_ID: Final = f"agt_{_SUFFIX}"
ENDPOINT_ID: Final = f"ept_{_SUFFIX}"
META_APP_ID: Final = "400500600700800"
PAGE_ID: Final = "106540352242922"
PSID: Final = "7788990011223344"
VISITOR_ID: Final = "visitor-9"

_BEGUN: Final = from_rfc3339("2026-11-21T11:00:00.000Z")


def at(seconds: float) -> datetime:
    """Return a moment after Ann wrote."""
    return _BEGUN + timedelta(seconds=seconds)


ARRIVED: Final = at(0.75)

ANN: Final[dict[str, Any]] = {
    "id": CONTACT_ID,
    "channel_id": CHANNEL_ID,
    "source_contact_id": PSID,
    "name": "Ann Example",
    "first_name": "Ann",
    "last_name": "Example",
    "email": None,
    "phone": None,
    "avatar_url": None,
    "locale": "en_GB",
    "attributes": {},
    "blocked_at": None,
    "created_at": ARRIVED,
}
ADA: Final = {"id": AGENT_ID, "kind": "agent", "name": "Ada"}
DESK: Final = {"id": ENDPOINT_ID, "kind": "endpoint", "name": "Order desk"}

QUESTION: Final = Message(
    account_id=ACCOUNT_ID,
    id=f"msg_{_SUFFIX}",
    channel_id=CHANNEL_ID,
    conversation_id=CONVERSATION_ID,
    enquiry_id=ENQUIRY_ID,
    sequence=1,
    direction=Direction.INBOUND,
    author_kind=AuthorKind.CONTACT,
    author_id=CONTACT_ID,
    author_name="Ann Example",
    content={"type": "text", "text": "hello, when do you open tomorrow?", "attachments": []},
    status=MessageStatus.RECEIVED,
    source_message_id="m_one",
    occurred_at=at(0),
    accepted_at=ARRIVED,
)
ANSWER: Final = replace(
    QUESTION,
    id="msg_01kb2x7c2pfd8t3m5n6p7q8r9s",
    sequence=5,
    direction=Direction.OUTBOUND,
    author_kind=AuthorKind.AGENT,
    author_id=AGENT_ID,
    author_name="Ada",
    content={"type": "text", "text": "We open at nine."},
    status=MessageStatus.ACCEPTED,
    client_reference="ticket-4711/2",
    source_message_id=None,
    occurred_at=at(40),
    accepted_at=at(40),
)
SENT: Final = replace(
    ANSWER, status=MessageStatus.SENT, source_message_id="m_answer", sent_at=at(40.4)
)
SENDING: Final = replace(ANSWER, status=MessageStatus.SENDING)
DELIVERED: Final = replace(SENT, status=MessageStatus.DELIVERED, delivered_at=at(41))

ROUTING: Final = validate_routing(
    {"rule": "alternative", "destinations": [{"id": AGENT_ID}], "waiting_limit_seconds": 300}
)
_ROUTING_VERSION: Final = 3
CHANNEL: Final = Channel(
    account_id=ACCOUNT_ID,
    id=CHANNEL_ID,
    kind=ChannelKind.MESSENGER,
    name="Example shop",
    status=ChannelStatus.ACTIVE,
    status_reason=None,
    source_id=PAGE_ID,
    meta_app_id=META_APP_ID,
    page_id=PAGE_ID,
    page_name="Example shop",
    page_access_token=None,
    connected_by=None,
    token_expires_at=None,
    token_warned_days=None,
    subscribed_fields=["messages", "message_echoes"],
    source_name=None,
    outgoing_webhook_url=None,
    incoming_token_hash=None,
    previous_incoming_token_hash=None,
    previous_incoming_token_expires_at=None,
    signing_secret=None,
    previous_signing_secret=None,
    previous_signing_secret_expires_at=None,
    department_id=None,
    link={"mode": "chat"},
    routing=ROUTING,
    routing_version=_ROUTING_VERSION,
    messages={
        "display_name_format": "none",
        "welcome": {"enabled": True, "text": DEFAULT_WELCOME},
        "away": {"enabled": True, "text": DEFAULT_AWAY},
    },
    custom_info={"enabled": False, "text": ""},
    icon=None,
    intermission_minutes=60,
    closed_enquiry_policy="intermission",
    text_limit=2000,
    human_agent=False,
    media_policy="platform",
    inbound_media_types=["image", "audio", "video", "file"],
    send_deadline_seconds=3600,
    on_unknown_outcome="ask",
    on_suspend="keep",
    holds_source=True,
    connected_at=at(-86_400),
    freed_at=None,
    version=3,
    created_at=at(-86_400),
    deleted_at=None,
)
ENDPOINT: Final = Endpoint(
    account_id=ACCOUNT_ID,
    id=ENDPOINT_ID,
    name="Order desk",
    url="https://desk.example/gateway",
    event_types=["*"],
    channel_ids=[],
    authentication_kind="none",
    authentication=None,
    headers=None,
    header_names=[],
    ordering="conversation",
    lane_hold_seconds=900,
    max_concurrency=10,
    rate_limit=None,
    status="active",
    status_reason=None,
    signing_secret=b"",
    previous_signing_secret=None,
    previous_signing_secret_expires_at=None,
    version=2,
    created_at=at(-86_400),
    deleted_at=None,
)

OPENED: Final = Enquiry(
    account_id=ACCOUNT_ID,
    id=ENQUIRY_ID,
    channel_id=CHANNEL_ID,
    conversation_id=CONVERSATION_ID,
    contact_id=CONTACT_ID,
    opened_at=ARRIVED,
    updated_at=ARRIVED,
)


def _offer(status: OfferStatus) -> Offer:
    return Offer(
        id=f"off_{_SUFFIX}",
        agent_id=AGENT_ID,
        destination_id=AGENT_ID,
        status=status,
        created_at=ARRIVED,
        expires_at=at(60.75),
    )


def _assignment() -> dict[str, Any]:
    ada = AgentFacts(
        id=AGENT_ID,
        name="Ada",
        presence=Presence.ACTIVE,
        capacity=5,
        load=1,
        serves_channel=True,
    )
    routing = routing_of(ROUTING)
    assert routing is not None
    decision = decide(Facts(at=ARRIVED, destinations={AGENT_ID: ada}), routing)
    return decision.as_json(routing_version=_ROUTING_VERSION)


OFFERED: Final = replace(
    OPENED,
    status=EnquiryStatus.OFFERED,
    destination=ADA,
    offers=[_offer(OfferStatus.PENDING)],
    assignment=_assignment(),
    offered_at=ARRIVED,
)
ONGOING: Final = replace(
    OFFERED,
    status=EnquiryStatus.ONGOING,
    agent_id=AGENT_ID,
    agent_name="Ada",
    handled_by=HandledBy.AGENT,
    offers=[_offer(OfferStatus.ACCEPTED)],
    accepted_at=at(20),
)
REJECTED: Final = replace(
    OFFERED, status=EnquiryStatus.OPEN, destination=None, offers=[_offer(OfferStatus.REJECTED)]
)
EXPIRED: Final = replace(REJECTED, offers=[_offer(OfferStatus.EXPIRED)])
MISSED: Final = replace(EXPIRED, status=EnquiryStatus.MISSED, missed_at=at(60.75))
