"""Endpoints as outside sees them, and the events that tell of their changes."""

from datetime import datetime
from typing import Any

from gateway.contracts.moments import rfc3339
from gateway.db.endpoints import Endpoint
from gateway.db.outbox import NewEvent
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.delivery import SendError
from gateway.domain.endpoint_health import FAILING_LIMIT


def endpoint_resource(endpoint: Endpoint) -> dict[str, Any]:
    """Return an endpoint's public form, without any secret."""
    return {
        "id": endpoint.id,
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": endpoint.event_types,
        "channel_ids": endpoint.channel_ids,
        "authentication": {"kind": endpoint.authentication_kind},
        "header_names": endpoint.header_names,
        "ordering": endpoint.ordering,
        "lane_hold_seconds": endpoint.lane_hold_seconds,
        "max_concurrency": endpoint.max_concurrency,
        "rate_limit": endpoint.rate_limit,
        "status": endpoint.status,
        "status_reason": endpoint.status_reason,
        "failing_since": _time(endpoint.failing_since),
        "throttled_until": _time(endpoint.throttled_until),
        "created_at": rfc3339(endpoint.created_at),
        "version": endpoint.version,
    }


def announce_endpoint(work: UnitOfWork, endpoint: Endpoint, change: str, **more: object) -> None:
    """Tell what became of an endpoint: `paused`, `resumed` or `disabled`."""
    work.announce(
        NewEvent(
            type=f"gateway.endpoint.{change}.v1",
            account_id=endpoint.account_id,
            occurred_at=work.now,
            data={"endpoint": endpoint_resource(endpoint), **more},
        )
    )


def announce_failing(
    work: UnitOfWork, endpoint: Endpoint, *, since: datetime, error: SendError | None
) -> None:
    """Warn that an endpoint does nothing but fail; `error` is that of its latest attempt."""
    announce_endpoint(
        work,
        endpoint,
        "failing",
        failing_since=rfc3339(since),
        disabled_from=rfc3339(since + FAILING_LIMIT),
        error={} if error is None else error.as_document(),
    )


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
