"""One request and the transaction of its effect, committed once its answer is known."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

from starlette.responses import Response

from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.http.idempotency import IdempotentRequest


class Exchange:
    """A request on its way.

    The effect's transaction opens when it is first asked for, ends with the answer, and is rolled
    back by any refusal. Calls that go outside happen before it opens, or between transactions of
    their own that `glance` gives.
    """

    def __init__(
        self,
        database: Database,
        idempotent: IdempotentRequest | None,
        *,
        traceparent: str | None = None,
    ) -> None:
        self.database = database
        self._traceparent = traceparent
        self._idempotent = idempotent
        self._stack = AsyncExitStack()
        self._work: UnitOfWork | None = None

    def describe_upload(self, document: object, *, digest: bytes) -> None:
        """Take what an upload is, so that a repeat of it can be told from another one."""
        if self._idempotent is not None:
            self._idempotent.describe(document, upload=digest)

    async def effect(self) -> UnitOfWork:
        """Return the transaction of the effect.

        Raises: as `IdempotentRequest.begin`.
        """
        if self._work is None:
            work = await self._stack.enter_async_context(self.database.unit_of_work())
            work.traceparent = self._traceparent
            if self._idempotent is not None:
                await self._idempotent.begin(work)
            self._work = work
        return self._work

    async def announce_calls(self) -> None:
        """Tell others with the same idempotency key that this request is about to call outside.

        Raises: as `IdempotentRequest.begin`.
        """
        if self._idempotent is not None:
            async with self.database.unit_of_work() as work:
                await self._idempotent.reserve(work)

    @asynccontextmanager
    async def glance(self) -> AsyncIterator[UnitOfWork]:
        """Open a transaction beside the effect's, committed at the end of the block."""
        async with self.database.unit_of_work() as work:
            work.traceparent = self._traceparent
            yield work

    async def keep(self, response: Response) -> None:
        """Keep the answer for the idempotency key, with the effect."""
        if self._idempotent is not None:
            await self._idempotent.keep(await self.effect(), response)

    async def __aenter__(self) -> Self:
        """Begin; no transaction is open yet."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Commit the effect, or roll it back and let the idempotency key go."""
        await self._stack.__aexit__(kind, error, traceback)
        if error is not None and self._idempotent is not None and self._idempotent.reserved:
            async with self.database.unit_of_work() as work:
                await self._idempotent.release(work)
