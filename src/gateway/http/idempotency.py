"""Idempotency keys: the same request twice has one effect and one answer.

The answer is written in the transaction of the effect that it tells of. While that transaction is
open, an advisory lock on the key tells that the request is running. A request that calls the
outside world between two transactions commits a row with a lease first.
"""

import hashlib
import re
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from gateway.contracts.canonical import canonical_hash
from gateway.db.idempotency import (
    KeptAnswer,
    KeyName,
    Use,
    find_use,
    give_up,
    holds_lease,
    keep_answer,
    lease_key,
    lock_key,
)
from gateway.db.unit_of_work import UnitOfWork
from gateway.errors import (
    ConflictError,
    FieldFault,
    IdempotencyKeyInUseError,
    IdempotencyKeyReusedError,
    InvalidFieldsError,
)

if TYPE_CHECKING:
    from datetime import datetime

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
LEASE_SECONDS: Final = 60

_SHAPE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
_KEPT_HEADERS: Final = ("content-type", "location", "etag")
_SUCCESS: Final = range(200, 300)


class ReplayedError(Exception):
    """Carries the first answer out to whoever answers now."""

    def __init__(self, answer: KeptAnswer) -> None:
        super().__init__("answered before")
        self.response = Response(
            answer.body,
            status_code=answer.status,
            headers={**answer.headers, REPLAYED: "true"},
        )


class IdempotentRequest:
    """A request with an idempotency key."""

    def __init__(self, name: KeyName) -> None:
        self._name = name
        self._hash = b""
        self._lease: datetime | None = None

    def describe(self, document: object, *, upload: bytes = b"") -> None:
        """Take what the body says, by which a repeat is told from another request.

        `upload` is the SHA-256 of a file that came along.
        """
        self._hash = hashlib.sha256(canonical_hash(document) + upload).digest()

    async def begin(self, work: UnitOfWork) -> None:
        """Take the key in the transaction of the effect; call before anything else.

        Raises:
            ReplayedError: The request had its answer before.
            IdempotencyKeyInUseError: It is running, or another one took over.
            IdempotencyKeyReusedError: The key was used with another body.
            ConflictError: It was done, and its answer is lost with an encryption key.
        """
        if not await lock_key(work.connection, self._name):
            raise _in_use()
        if self._lease is not None:
            if not await holds_lease(work.connection, self._name, lease_until=self._lease):
                raise _in_use()
            return
        use = await find_use(work.connection, self._name, now=work.now, keyring=work.keyring)
        if use is not None:
            self._compare(use)

    def _compare(self, use: Use) -> None:
        if use.request_hash != self._hash:
            raise IdempotencyKeyReusedError(
                "This idempotency key was used with another body.",
                faults=[FieldFault(f"/header/{HEADER}", "reused", "Make a key for each request.")],
            )
        if use.answer is not None:
            raise ReplayedError(use.answer)
        if use.done:
            raise ConflictError("This was done before, and its answer cannot be read any more.")
        if use.leased:
            raise _in_use()

    async def reserve(self, work: UnitOfWork) -> None:
        """Note, in a transaction of its own, that the request runs and calls outside.

        Raises: as `begin`.
        """
        await self.begin(work)
        self._lease = await lease_key(
            work.connection,
            self._name,
            request_hash=self._hash,
            seconds=LEASE_SECONDS,
            now=work.now,
        )

    @property
    def reserved(self) -> bool:
        """True when a row says that this request runs."""
        return self._lease is not None

    async def release(self, work: UnitOfWork) -> None:
        """Let the key go: the request was refused."""
        assert self._lease is not None
        await give_up(work.connection, self._name, lease_until=self._lease)

    async def keep(self, work: UnitOfWork, response: Response) -> None:
        """Keep the answer with the effect; refusals are not kept."""
        if response.status_code not in _SUCCESS:
            return
        answer = KeptAnswer(
            status=response.status_code,
            headers={
                name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers
            },
            body=bytes(response.body),
        )
        await keep_answer(
            work.connection,
            self._name,
            request_hash=self._hash,
            answer=answer,
            now=work.now,
            keyring=work.keyring,
        )


def check_key(values: list[str]) -> str | None:
    """Return the key that a request's headers hold, if any.

    Raises:
        InvalidFieldsError: There are several, or it is not 1 to 255 printable ASCII characters.
    """
    if not values:
        return None
    if len(values) == 1 and _SHAPE.fullmatch(values[0]) is not None:
        return values[0]
    raise InvalidFieldsError(
        "The idempotency key is ill-formed.",
        faults=[
            FieldFault(
                f"/header/{HEADER}", "invalid", "It has to be 1 to 255 printable ASCII characters."
            )
        ],
    )


def _in_use() -> IdempotencyKeyInUseError:
    return IdempotencyKeyInUseError("A request with this idempotency key is still running.")
