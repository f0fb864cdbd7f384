"""What can be done with an endpoint, and what it has got."""

from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Response

from gateway.api.deliveries import DeliveryResource, DeliveryStatusFilter, shown_deliveries
from gateway.api.endpoints import existing_endpoint, shown_endpoint
from gateway.api.parts import Parts
from gateway.api.rotation import RotatedSigningSecret, Rotation
from gateway.contracts.resources import Endpoint as EndpointResource
from gateway.db.delivery_views import find_delivery_of_event, list_deliveries
from gateway.db.endpoints import HEALTHY, Endpoint, change_endpoint
from gateway.db.outbox import NewEvent
from gateway.db.secrets import rotate
from gateway.errors import IllegalTransitionError
from gateway.http.pagination import Paging
from gateway.http.routes import READ, WRITE, AccountId, GatewayRoute, Work
from gateway.http.schemas import Page
from gateway.messaging.endpoint_events import announce_endpoint, endpoint_resource
from gateway.messaging.settlement import hold_target, release_target
from gateway.net.signing import generate_signing_secret

router = APIRouter(prefix="/v1/endpoints", tags=["Endpoints"], route_class=GatewayRoute)

_ALLOWED: Final = {"active": ["paused"], "paused": ["active"], "disabled": ["active"]}


@router.post("/{endpoint_id}/pause", dependencies=[WRITE])
async def pause_endpoint(
    endpoint_id: str, account_id: AccountId, parts: Parts, work: Work, response: Response
) -> EndpointResource:
    """Let deliveries to an endpoint wait until it is resumed."""
    endpoint = await existing_endpoint(work, account_id, endpoint_id, lock=True)
    _require(endpoint, "paused")
    endpoint = await change_endpoint(work.connection, endpoint, now=work.now, status="paused")
    announce_endpoint(work, endpoint, "paused")
    # Its own deliveries, that of this event included, wait from here on.
    await work.flush()
    await hold_target(work, endpoint_id)
    await parts.routing_changes.destination_changed(work, account_id, endpoint_id)
    return shown_endpoint(endpoint, response)


@router.post("/{endpoint_id}/resume", dependencies=[WRITE])
async def resume_endpoint(
    endpoint_id: str, account_id: AccountId, parts: Parts, work: Work, response: Response
) -> EndpointResource:
    """Let deliveries to an endpoint leave again, in order; also to one that was disabled."""
    endpoint = await existing_endpoint(work, account_id, endpoint_id, lock=True)
    _require(endpoint, "active")
    endpoint = await change_endpoint(
        work.connection,
        endpoint,
        now=work.now,
        status="active",
        status_reason=None,
        **HEALTHY,
    )
    announce_endpoint(work, endpoint, "resumed")
    await release_target(work, endpoint_id)
    await parts.routing_changes.destination_changed(work, account_id, endpoint_id)
    return shown_endpoint(endpoint, response)


@router.post("/{endpoint_id}/rotate-secret", dependencies=[WRITE])
async def rotate_endpoint_secret(
    endpoint_id: str, account_id: AccountId, work: Work, body: Rotation | None = None
) -> RotatedSigningSecret:
    """Sign what we post to an endpoint with another secret, and for a while with both."""
    endpoint = await existing_endpoint(work, account_id, endpoint_id, lock=True)
    fresh = generate_signing_secret()
    until = work.now + timedelta(seconds=(body or Rotation()).overlap_seconds)
    rotated = rotate(work.keyring, endpoint, "signing_secret", fresh, until=until)
    await change_endpoint(work.connection, endpoint, now=work.now, **rotated)
    return RotatedSigningSecret(signing_secret=fresh, previous_expires_at=until)


@router.post("/{endpoint_id}/test", status_code=202, dependencies=[WRITE])
async def test_endpoint(endpoint_id: str, account_id: AccountId, work: Work) -> DeliveryResource:
    """Send an endpoint an event of type `gateway.endpoint.tested.v1`, whatever it subscribed to.

    Read the delivery to see what the endpoint answered.
    """
    endpoint = await existing_endpoint(work, account_id, endpoint_id)
    event = NewEvent(
        type="gateway.endpoint.tested.v1",
        account_id=account_id,
        occurred_at=work.now,
        data={"endpoint": endpoint_resource(endpoint)},
        only_to=endpoint_id,
    )
    work.announce(event)
    await work.flush()
    delivery = await find_delivery_of_event(
        work.connection, account_id, event_id=event.id, target_id=endpoint_id
    )
    (shown,) = await shown_deliveries(work, account_id, [delivery])
    return shown


@router.get("/{endpoint_id}/deliveries", dependencies=[READ])
async def list_endpoint_deliveries(
    endpoint_id: str,
    account_id: AccountId,
    work: Work,
    paging: Paging,
    status: DeliveryStatusFilter = None,
) -> Page[DeliveryResource]:
    """List what an endpoint was to get, the newest first."""
    await existing_endpoint(work, account_id, endpoint_id)
    place = paging.place("deliveries", str)
    rows = await list_deliveries(
        work.connection,
        account_id,
        endpoint_id,
        status=status,
        before=None if place is None else place[0],
        limit=paging.limit + 1,
    )
    shown, cursor = paging.page(rows, "deliveries", lambda delivery: [delivery.id])
    return Page(data=await shown_deliveries(work, account_id, shown), next_cursor=cursor)


def _require(endpoint: Endpoint, wanted: str) -> None:
    allowed = _ALLOWED[endpoint.status]
    if wanted not in allowed:
        raise IllegalTransitionError(
            f"The endpoint is {endpoint.status}.",
            extra={"state": endpoint.status, "allowed": allowed},
        )
