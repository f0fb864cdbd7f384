"""Endpoints: addresses of the customer's that events are POSTed to."""

import json
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.search import matches
from gateway.db.secrets import KeyRing, open_rotating
from gateway.db.tables import endpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint's row, secrets still encrypted."""

    account_id: str
    id: str
    name: str
    url: str
    event_types: list[str]
    channel_ids: list[str]
    authentication_kind: str
    authentication: bytes | None
    headers: bytes | None
    header_names: list[str]
    ordering: str
    lane_hold_seconds: int
    max_concurrency: int
    rate_limit: int | None
    status: str
    status_reason: str | None
    signing_secret: bytes
    previous_signing_secret: bytes | None
    previous_signing_secret_expires_at: datetime | None
    version: int
    created_at: datetime
    deleted_at: datetime | None
    failing_since: datetime | None = None
    throttled_until: datetime | None = None

    def secret_row(self, column: str) -> str:
        """Return the associated data of one of its secrets."""
        return secret_row(self.id, column)

    def open_signing_secrets(self, keyring: KeyRing, now: datetime) -> list[str]:
        """Return what signs what we POST: two secrets while one rotates, the present one first.

        Raises:
            UndecryptableError: There is none, or one cannot be read.
        """
        return open_rotating(
            keyring,
            self.signing_secret,
            self.previous_signing_secret,
            self.previous_signing_secret_expires_at,
            rows=(
                self.secret_row("signing_secret"),
                self.secret_row("previous_signing_secret"),
            ),
            now=now,
        )

    def open_authentication(self, keyring: KeyRing) -> dict[str, Any]:
        """Return what it authenticates us by: `token`, `username` and `password`, or a header."""
        if self.authentication is None:
            return {}
        plain = keyring.decrypt(bytes(self.authentication), row=self.secret_row("authentication"))
        opened: dict[str, Any] = json.loads(plain)
        return opened

    def open_headers(self, keyring: KeyRing) -> dict[str, str]:
        """Return the headers that it wants in each call."""
        if self.headers is None:
            return {}
        plain = keyring.decrypt(bytes(self.headers), row=self.secret_row("headers"))
        opened: dict[str, str] = json.loads(plain)
        return opened


# The columns of an endpoint of which nothing bad is known.
HEALTHY: Final[dict[str, Any]] = {
    "failing_since": None,
    "failures": 0,
    "last_failed_at": None,
    "failing_told_at": None,
    "last_attempt_timed_out": False,
    "throttled_until": None,
}

_SELECT: Final = select(*(endpoints.c[field.name] for field in fields(Endpoint)))
_LIVE: Final = endpoints.c.deleted_at.is_(None)


def secret_row(endpoint_id: str, column: str) -> str:
    """Return the associated data of one of an endpoint's secrets."""
    return f"endpoints/{endpoint_id}/{column}"


async def insert_endpoint(
    connection: AsyncConnection, endpoint: Endpoint, *, now: datetime
) -> None:
    """Insert an endpoint."""
    values = {field.name: getattr(endpoint, field.name) for field in fields(endpoint)}
    await connection.execute(insert(endpoints).values(**values, updated_at=now))


async def get_endpoint(
    connection: AsyncConnection, account_id: str, endpoint_id: str, *, lock: bool = False
) -> Endpoint | None:
    """Return a live endpoint of an account."""
    statement = _SELECT.where(
        endpoints.c.account_id == account_id, endpoints.c.id == endpoint_id, _LIVE
    )
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else Endpoint(**row)


async def list_endpoints(
    connection: AsyncConnection,
    account_id: str,
    *,
    status: str | None,
    search: str | None,
    before: str | None,
    limit: int,
) -> list[Endpoint]:
    """Return live endpoints of an account, the newest first, older than `before`."""
    statement = _SELECT.where(endpoints.c.account_id == account_id, _LIVE)
    if status is not None:
        statement = statement.where(endpoints.c.status == status)
    if before is not None:
        statement = statement.where(endpoints.c.id < before)
    if search is not None:
        statement = statement.where(
            or_(matches(endpoints.c.name, search), matches(endpoints.c.url, search))
        )
    rows = await connection.execute(statement.order_by(endpoints.c.id.desc()).limit(limit))
    return [Endpoint(**row) for row in rows.mappings()]


async def change_endpoint(
    connection: AsyncConnection,
    endpoint: Endpoint,
    *,
    now: datetime,
    **changes: Any,  # noqa: ANN401 - column values
) -> Endpoint:
    """Write new values into an endpoint's row, raise its version, and return it as it is now."""
    statement = (
        update(endpoints)
        .where(endpoints.c.account_id == endpoint.account_id, endpoints.c.id == endpoint.id)
        .values(**changes, version=endpoints.c.version + 1, updated_at=now)
        .returning(*(endpoints.c[field.name] for field in fields(Endpoint)))
    )
    return Endpoint(**(await connection.execute(statement)).mappings().one())
