"""Attempts as a claim makes them, without a database."""

import time
from datetime import timedelta
from typing import Any

from tests.support.clock import NOON

from gateway.db.channels import Channel
from gateway.db.deliveries import Delivery
from gateway.db.endpoints import Endpoint
from gateway.db.messages import Message
from gateway.db.meta_apps import MetaApp
from gateway.db.secrets import KeyRing, generate_key
from gateway.db.sending import PublicEvent, Recipient
from gateway.domain import ids
from gateway.domain.channel import ChannelKind, ChannelStatus
from gateway.domain.delivery import DeliveryKind, DeliveryStatus, TargetKind
from gateway.domain.message import AuthorKind, Direction, MessageStatus
from gateway.sender.attempts import Attempt

KEYRING = KeyRing.from_text(generate_key("k1"))
SIGNING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TOKEN = "EAApagetoken0123456789"
APP_SECRET = "app-secret-0123456789"


def delivery(target_kind: TargetKind, kind: DeliveryKind, **more: Any) -> Delivery:
    return Delivery(
        **{
            "id": ids.new_id(ids.DELIVERY),
            "account_id": "acc_1",
            "shard": 0,
            "target_kind": target_kind,
            "target_id": "chn_1",
            "lane": "cnv_1",
            "ordinal": 1,
            "kind": kind,
            "channel_id": None,
            "conversation_id": "cnv_1",
            "message_id": None,
            "event_id": None,
            "event_created_at": None,
            "payload": None,
            "status": DeliveryStatus.SENDING,
            "ready": True,
            "holds_lane": True,
            "holds_until": None,
            "due_at": NOON,
            "held_at": None,
            "deadline_at": NOON + timedelta(hours=1),
            "attempt": 2,
            "attempts_before": None,
            "first_attempt_at": NOON,
            "epoch": 1,
            "call_started_at": NOON,
            "call_ends_by": NOON,
            "traceparent": None,
            "created_at": NOON,
            "settled_at": None,
            **more,
        }
    )


def channel(kind: ChannelKind, url: str | None = None) -> Channel:
    def secret(column: str, value: str) -> bytes:
        return KEYRING.encrypt(value, row=f"channels/chn_1/{column}")

    return Channel(
        account_id="acc_1",
        id="chn_1",
        kind=kind,
        name="A channel",
        status=ChannelStatus.ACTIVE,
        status_reason=None,
        source_id="1001",
        meta_app_id="app1",
        page_id="1001",
        page_name=None,
        page_access_token=secret("page_access_token", TOKEN),
        connected_by=None,
        token_expires_at=None,
        token_warned_days=None,
        subscribed_fields=[],
        source_name=None,
        outgoing_webhook_url=url,
        incoming_token_hash=None,
        previous_incoming_token_hash=None,
        previous_incoming_token_expires_at=None,
        signing_secret=secret("signing_secret", SIGNING_SECRET),
        previous_signing_secret=None,
        previous_signing_secret_expires_at=None,
        department_id=None,
        link={"mode": "chat"},
        routing=None,
        routing_version=1,
        messages={},
        custom_info={},
        icon=None,
        intermission_minutes=60,
        closed_enquiry_policy="intermission",
        text_limit=2000,
        human_agent=False,
        media_policy="platform",
        inbound_media_types=[],
        send_deadline_seconds=3600,
        on_unknown_outcome="ask",
        on_suspend="keep",
        holds_source=True,
        connected_at=NOON,
        freed_at=None,
        version=1,
        created_at=NOON,
        deleted_at=None,
    )


def message() -> Message:
    return Message(
        account_id="acc_1",
        id=ids.new_id(ids.MESSAGE),
        channel_id="chn_1",
        conversation_id="cnv_1",
        sequence=7,
        direction=Direction.OUTBOUND,
        author_kind=AuthorKind.AGENT,
        content={"type": "text", "text": "hello"},
        status=MessageStatus.SENDING,
        occurred_at=NOON,
        accepted_at=NOON,
    )


def _attempt(row: Delivery, **more: Any) -> Attempt:
    return Attempt(delivery=row, called_at=NOON, ends_by=time.monotonic() + 60, **more)


def _to_a_person(kind: TargetKind, delivery_kind: DeliveryKind, **more: Any) -> Attempt:
    third = kind is TargetKind.THIRD_PARTY
    return _attempt(
        delivery(kind, delivery_kind, payload=more.pop("payload", None)),
        channel=channel(
            ChannelKind.THIRD_PARTY if third else ChannelKind.MESSENGER, more.pop("url", None)
        ),
        app=MetaApp(
            app_id="app1",
            name="App",
            app_secrets=[KEYRING.encrypt(APP_SECRET, row="meta_apps/app1/app_secrets")],
            verify_token=b"",
            graph_version="v26.0",
            version=1,
            created_at=NOON,
        ),
        recipient=Recipient(contact_id="con_1", source_contact_id="psid1", name="Vera"),
        **more,
    )


def message_attempt(kind: str, url: str | None = None) -> Attempt:
    return _to_a_person(
        TargetKind(kind), DeliveryKind.MESSAGE, message=message(), reply_to_mid="m_0", url=url
    )


def action_attempt(payload: dict[str, Any]) -> Attempt:
    return _to_a_person(TargetKind.PAGE, DeliveryKind.ACTION, payload=payload)


def event_attempt(url: str) -> Attempt:
    endpoint = Endpoint(
        account_id="acc_1",
        id="ept_1",
        name="Desk",
        url=url,
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
        signing_secret=KEYRING.encrypt(SIGNING_SECRET, row="endpoints/ept_1/signing_secret"),
        previous_signing_secret=None,
        previous_signing_secret_expires_at=None,
        version=1,
        created_at=NOON,
        deleted_at=None,
    )
    event = PublicEvent(
        id="evt_1",
        type="test.happened.v1",
        account_id="acc_1",
        channel_id=None,
        conversation_id="cnv_1",
        enquiry_id=None,
        key="cnv_1",
        sequence=1,
        occurred_at=NOON,
        data={"words": "Grüße"},
    )
    row = delivery(TargetKind.ENDPOINT, DeliveryKind.EVENT, target_id="ept_1", event_id="evt_1")
    return _attempt(row, endpoint=endpoint, event=event)
