"""Connections are asked whether their server still hears them, before they are used.

A firewall that forgot a connection, or a machine that lost its power, tells nobody: without asking,
each connection of a pool would cost a statement's whole time, one after the other.
"""

import asyncio
import time
from typing import Any, Final

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

from gateway.db.failures import LOST

# What works answers within milliseconds; what is only slow may have this long.
_PING_SECONDS: Final = 2.0
# What answered just now is not asked: under load, that would be one question a transaction.
_TRUSTED_SECONDS: Final = 0.5
_MADE: Final = "made_at"
_ANSWERED: Final = "answered_at"


def ask_before_use(engine: AsyncEngine) -> None:
    """Have the engine's pool replace all its connections when one of them does not answer."""
    pings = _Pings()
    event.listen(engine.sync_engine, "connect", pings.made)
    event.listen(engine.sync_engine, "checkout", pings.ask)
    event.listen(engine.sync_engine, "checkin", pings.returned)
    event.listen(engine.sync_engine, "close", pings.closing)
    event.listen(engine.sync_engine, "handle_error", pings.failed)


class _Pings:
    """The listeners of one pool."""

    def __init__(self) -> None:
        # Whatever was made before this moment leads nowhere, or may.
        self._lost_at = 0.0
        self._failed_at = 0.0

    def made(self, _connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_MADE] = record.info[_ANSWERED] = time.monotonic()

    def returned(self, _connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_ANSWERED] = time.monotonic()

    def ask(self, connection: Any, record: ConnectionPoolEntry, _fairy: object) -> None:  # noqa: ANN401 - the dialect's own
        """Ask for nothing and wait for the answer, where the last one is not from just now."""
        sure_since = time.monotonic() - _TRUSTED_SECONDS
        trusted = record.info[_ANSWERED] > sure_since > self._failed_at
        if trusted and not connection.driver_connection.is_closed():
            return
        try:
            connection.run_async(_ping)
        except LOST as error:
            self._lost_at = self._failed_at = time.monotonic()
            connection.driver_connection.terminate()
            raise InvalidatePoolError from error

    def failed(self, _context: ExceptionContext) -> None:
        """Trust none for a while: the others may lead nowhere too, and this one is put back."""
        self._failed_at = time.monotonic()

    def closing(self, connection: Any, record: ConnectionPoolEntry) -> None:  # noqa: ANN401 - the dialect's own
        """Say no farewell, and so wait for none, where nobody may be."""
        if record.info.get(_MADE, 0.0) <= self._lost_at:
            connection.driver_connection.terminate()


async def _ping(connection: asyncpg.Connection) -> None:
    async with asyncio.timeout(_PING_SECONDS):
        await connection.execute("SELECT")
