"""Deliveries: the duty to get one thing to one target, and each attempt at it."""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from gateway.db.delivery_views import (
    SHOWN_AS,
    AttemptView,
    DeliveryView,
    find_attempts,
    get_delivery,
)
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.delivery import DeliveryStatus
from gateway.errors import NotFoundError
from gateway.http.routes import READ, WRITE, AccountId, Caller, GatewayRoute, Work
from gateway.http.schemas import Moment, Resource
from gateway.messaging.redelivery import Asker, redeliver_one

router = APIRouter(prefix="/v1/deliveries", tags=["Deliveries"], route_class=GatewayRoute)

ShownStatus = Literal["pending", "delivered", "failed", "cancelled"]
DeliveryStatusFilter = Annotated[
    ShownStatus | None, Query(description="Only those of this status.")
]


class AttemptResource(Resource):
    """One attempt at a delivery."""

    at: Moment
    status: int | None = Field(description="The HTTP status; null where no answer came.")
    ms: int = Field(description="How long it took.")
    body: str | None = Field(description="The first KiB of the answer.")


class DeliveryResource(Resource):
    """The duty to get one thing to one target."""

    id: str = Field(examples=["dlv_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    event_id: str | None
    event_type: str | None
    message_id: str | None
    target_id: str = Field(description="The endpoint or the channel that it goes to.")
    status: ShownStatus
    next_attempt_at: Moment | None = Field(description="Null while its target is held.")
    created_at: Moment
    settled_at: Moment | None
    attempts: list[AttemptResource]


@router.get("/{delivery_id}", dependencies=[READ])
async def read_delivery(delivery_id: str, account_id: AccountId, work: Work) -> DeliveryResource:
    """Read a delivery with its attempts."""
    delivery = await _existing(work, account_id, delivery_id)
    (shown,) = await shown_deliveries(work, account_id, [delivery])
    return shown


@router.post("/{delivery_id}/redeliver", status_code=202, dependencies=[WRITE])
async def redeliver(
    delivery_id: str, caller: Caller, account_id: AccountId, work: Work
) -> DeliveryResource:
    """Deliver an event again, or have the next attempt at it now.

    It goes beside its lane, so `sequence` may be lower than what the endpoint got meanwhile. Its
    schedule begins anew.
    """
    asker = Asker(account_id=account_id, actor=caller.key_id)
    await redeliver_one(work, asker, delivery_id)
    (shown,) = await shown_deliveries(
        work, account_id, [await _existing(work, account_id, delivery_id)]
    )
    return shown


async def shown_deliveries(
    work: UnitOfWork, account_id: str, deliveries: Sequence[DeliveryView]
) -> list[DeliveryResource]:
    """Return the public form of deliveries with their attempts."""
    attempts = await find_attempts(work.connection, account_id, [each.id for each in deliveries])
    return [_resource(delivery, attempts[delivery.id]) for delivery in deliveries]


def attempt_resource(attempt: AttemptView) -> AttemptResource:
    """Return the public form of an attempt."""
    return AttemptResource(at=attempt.at, status=attempt.status, ms=attempt.ms, body=attempt.body)


async def _existing(work: UnitOfWork, account_id: str, delivery_id: str) -> DeliveryView:
    delivery = await get_delivery(work.connection, account_id, delivery_id)
    if delivery is None:
        raise NotFoundError("There is no such delivery.")
    return delivery


def _resource(delivery: DeliveryView, attempts: Sequence[AttemptView]) -> DeliveryResource:
    pending = delivery.status is DeliveryStatus.PENDING
    return DeliveryResource.model_validate(
        {
            "id": delivery.id,
            "event_id": delivery.event_id,
            "event_type": delivery.event_type,
            "message_id": delivery.message_id,
            "target_id": delivery.target_id,
            "status": SHOWN_AS[delivery.status],
            "next_attempt_at": delivery.due_at if pending else None,
            "created_at": delivery.created_at,
            "settled_at": delivery.settled_at,
            "attempts": [attempt_resource(attempt) for attempt in attempts],
        }
    )
