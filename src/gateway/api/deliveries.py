"""Deliveries: the duty to get one thing to one target, and each attempt at it."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from gateway.db.delivery_views import (
    SHOWN_AS,
    AttemptView,
    DeliveryView,
    do_again,
    do_at_once,
    find_attempts,
    get_delivery,
)
from gateway.db.endpoints import get_endpoint
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.delivery import DeliveryKind, DeliveryStatus
from gateway.errors import ConflictError, IllegalTransitionError, NotFoundError
from gateway.http.routes import READ, WRITE, AccountId, GatewayRoute, Work
from gateway.http.schemas import Moment, Resource

router = APIRouter(prefix="/v1/deliveries", tags=["Deliveries"], route_class=GatewayRoute)

ShownStatus = Literal["pending", "delivered", "failed", "cancelled"]
DeliveryStatusFilter = Annotated[
    ShownStatus | None, Query(description="Only those of this status.")
]
_SETTLED: Final = (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.CANCELLED)


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
async def redeliver(delivery_id: str, account_id: AccountId, work: Work) -> DeliveryResource:
    """Deliver an event again, or have the next attempt at it now.

    It goes beside its lane, so `sequence` may be lower than what the endpoint got meanwhile.
    """
    return await redeliver_now(work, account_id, delivery_id)


async def redeliver_now(work: UnitOfWork, account_id: str, delivery_id: str) -> DeliveryResource:
    """Deliver an event again and return its delivery.

    Raises:
        NotFoundError: There is no such delivery.
        ConflictError: It cannot be done again.
    """
    delivery = await _existing(work, account_id, delivery_id, lock=True)
    if delivery.kind is not DeliveryKind.EVENT:
        raise ConflictError("Messages are sent again by POST /v1/messages/{id}/resend.")
    endpoint = await get_endpoint(work.connection, account_id, delivery.target_id)
    if endpoint is None:
        raise ConflictError("The endpoint has been deleted.")
    if delivery.event_type is None:
        raise ConflictError("The event is not kept any more.")
    if delivery.status in _SETTLED:
        held = endpoint.status != "active"
        await do_again(work.connection, account_id, delivery_id, now=work.now, held=held)
    elif delivery.status is DeliveryStatus.PENDING:
        await do_at_once(work.connection, account_id, delivery_id, now=work.now)
    else:
        raise IllegalTransitionError(
            "An attempt is under way.", extra={"state": "pending", "allowed": []}
        )
    work.wake("sender", [delivery.shard])
    delivery = await _existing(work, account_id, delivery_id)
    (shown,) = await shown_deliveries(work, account_id, [delivery])
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


async def _existing(
    work: UnitOfWork, account_id: str, delivery_id: str, *, lock: bool = False
) -> DeliveryView:
    delivery = await get_delivery(work.connection, account_id, delivery_id, lock=lock)
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
