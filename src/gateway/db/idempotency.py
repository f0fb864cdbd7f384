"""Answers kept for idempotency keys, for 24 hours, encrypted."""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.secrets import KeyRing, UndecryptableError

KEPT_FOR: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyName:
    """Whose key it is, for which route, and what the caller calls it."""

    scope: str
    route: str
    key: str

    @property
    def row(self) -> str:
        """The associated data of the answer kept under it."""
        return f"idempotency_keys/{self.scope}/{self.route}/{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """An answer as it was given the first time."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What is known of a key: the request that it was used with, and how that one went.

    `leased`: its call goes outside, and its process has not given up yet. `done` without an answer:
    the key that the answer was encrypted under is gone.
    """

    request_hash: bytes
    leased: bool
    done: bool
    answer: KeptAnswer | None


# Lasts until the transaction ends; whoever does not get it meets a request that is running.
_LOCK: Final = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
_FIND: Final = text(
    """
    SELECT request_hash, state, lease_until > clock_timestamp() AS leased, status, headers, body
    FROM idempotency_keys
    WHERE scope = :scope AND route = :route AND key = :key AND created_at > :kept_since
    """
)
_LEASE: Final = text(
    """
    INSERT INTO idempotency_keys (scope, route, key, request_hash, state, lease_until, created_at)
    VALUES (:scope, :route, :key, :request_hash, 'running',
            clock_timestamp() + make_interval(secs => :seconds), :now)
    ON CONFLICT (scope, route, key) DO UPDATE SET
      request_hash = excluded.request_hash, state = 'running', lease_until = excluded.lease_until,
      status = NULL, headers = NULL, body = NULL, created_at = excluded.created_at
    RETURNING lease_until
    """
)
_HOLDS_LEASE: Final = text(
    """
    SELECT 1 FROM idempotency_keys
    WHERE scope = :scope AND route = :route AND key = :key AND state = 'running'
      AND lease_until = :lease_until
    FOR UPDATE
    """
)
_GIVE_UP: Final = text(
    """
    DELETE FROM idempotency_keys
    WHERE scope = :scope AND route = :route AND key = :key AND state = 'running'
      AND lease_until = :lease_until
    """
)
_KEEP: Final = text(
    """
    INSERT INTO idempotency_keys (scope, route, key, request_hash, state, status, headers, body,
                                  created_at)
    VALUES (:scope, :route, :key, :request_hash, 'done', :status, CAST(:headers AS jsonb), :body,
            :now)
    ON CONFLICT (scope, route, key) DO UPDATE SET
      request_hash = excluded.request_hash, state = 'done', lease_until = NULL,
      status = excluded.status, headers = excluded.headers, body = excluded.body,
      created_at = excluded.created_at
    """
)


async def lock_key(connection: AsyncConnection, name: KeyName) -> bool:
    """Take a key for this transaction; False while another transaction has it."""
    return bool((await connection.execute(_LOCK, {"name": name.row})).scalar_one())


async def find_use(
    connection: AsyncConnection, name: KeyName, *, now: datetime, keyring: KeyRing
) -> Use | None:
    """Return what is known of a key, None where it is new or was used too long ago."""
    found = await connection.execute(_FIND, _named(name) | {"kept_since": now - KEPT_FOR})
    row = found.one_or_none()
    if row is None:
        return None
    done = row.state == "done"
    answer = None
    if done:
        with suppress(UndecryptableError):
            body = keyring.decrypt(bytes(row.body), row=name.row).encode("latin-1")
            answer = KeptAnswer(status=row.status, headers=row.headers, body=body)
    return Use(
        request_hash=bytes(row.request_hash), leased=bool(row.leased), done=done, answer=answer
    )


async def lease_key(
    connection: AsyncConnection,
    name: KeyName,
    *,
    request_hash: bytes,
    seconds: int,
    now: datetime,
) -> datetime:
    """Note that a request runs whose calls go outside; return until when it counts as alive."""
    leased = await connection.execute(
        _LEASE, _named(name) | {"request_hash": request_hash, "seconds": seconds, "now": now}
    )
    until: datetime = leased.scalar_one()
    return until


async def holds_lease(connection: AsyncConnection, name: KeyName, *, lease_until: datetime) -> bool:
    """Say whether nobody else has taken the key over meanwhile."""
    found = await connection.execute(_HOLDS_LEASE, _named(name) | {"lease_until": lease_until})
    return found.one_or_none() is not None


async def give_up(connection: AsyncConnection, name: KeyName, *, lease_until: datetime) -> None:
    """Let the key go after a refusal, so that the request may be repeated at once."""
    await connection.execute(_GIVE_UP, _named(name) | {"lease_until": lease_until})


async def keep_answer(
    connection: AsyncConnection,
    name: KeyName,
    *,
    request_hash: bytes,
    answer: KeptAnswer,
    now: datetime,
    keyring: KeyRing,
) -> None:
    """Keep an answer with the transaction that it tells of."""
    body = keyring.encrypt(answer.body.decode("latin-1"), row=name.row)
    await connection.execute(
        _KEEP,
        _named(name)
        | {
            "request_hash": request_hash,
            "status": answer.status,
            "headers": json.dumps(answer.headers),
            "body": body,
            "now": now,
        },
    )


def _named(name: KeyName) -> dict[str, object]:
    return {"scope": name.scope, "route": name.route, "key": name.key}
