"""Wakes other processes after a commit, by NOTIFY on a connection of its own.

A NOTIFY inside the transaction would make commits queue behind one another in PostgreSQL, so it is
sent afterwards, at most one a process, topic and 20 ms. A lost wake-up costs a second: the sweeps
find what it would have announced.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.failures import LOST
from gateway.db.session_limits import KEEP_ALIVES

_GATHER_SECONDS: Final = 0.02
_RECONNECT_SECONDS: Final = 1.0
# So often a connection on which nothing happens is asked whether it still leads anywhere.
_QUIET_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 5.0
_PREFIX: Final = "gateway_"
# NOTIFY takes payloads under 8,000 bytes; 256 shards need 1,000.
_NOTIFY: Final = "SELECT pg_notify($1, $2)"

log = structlog.get_logger()


async def notify(connection: AsyncConnection, topic: str, shards: Iterable[int]) -> None:
    """Wake whoever listens once a connection's transaction commits.

    For a process that ends, whose own `Wakeups` run no more.
    """
    await connection.exec_driver_sql(_NOTIFY, (_PREFIX + topic, _payload(shards)))


class Wakeups:
    """Both ends of the wake-up channels of one process.

    `wake` may be called from anywhere at any time. `run` keeps the connection; while it is away,
    wake-ups are dropped, which the sweeps make good.
    """

    def __init__(self, database_url: str) -> None:
        self._dsn = database_url.replace("postgresql+asyncpg://", "postgresql://", 1)
        self._listeners: dict[str, list[Callable[[frozenset[int]], None]]] = {}
        self._pending: dict[str, set[int]] = {}
        self._something = asyncio.Event()

    def listen(self, topic: str, callback: Callable[[frozenset[int]], None]) -> None:
        """Call back with the shards that were woken; register before `run`.

        After each reconnection the callback gets all of none: an empty set means "look everywhere".
        """
        self._listeners.setdefault(topic, []).append(callback)

    def wake(self, topic: str, shards: Iterable[int]) -> None:
        """Announce work in these shards to every process that listens."""
        self._pending.setdefault(topic, set()).update(shards)
        self._something.set()

    async def run(self) -> None:
        """Keep the connection up and pass wake-ups both ways until cancelled."""
        while True:
            try:
                await self._connected()
            except LOST as error:
                log.warning("wakeups.disconnected", error=type(error).__name__)
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def _connected(self) -> None:
        connection = await asyncpg.connect(
            self._dsn,
            timeout=_ANSWER_SECONDS,
            command_timeout=_ANSWER_SECONDS,
            server_settings=KEEP_ALIVES,
        )
        lost = asyncio.Event()

        def on_termination(_: object) -> None:
            lost.set()
            self._something.set()

        connection.add_termination_listener(on_termination)
        try:
            for topic, callbacks in self._listeners.items():
                await connection.add_listener(_PREFIX + topic, self._received)
                for callback in callbacks:
                    callback(frozenset())
            while not lost.is_set():
                if not await self._something_within(_QUIET_SECONDS):
                    await connection.execute("SELECT")
                    continue
                self._something.clear()
                pending, self._pending = self._pending, {}
                for topic, shards in pending.items():
                    await connection.execute(_NOTIFY, _PREFIX + topic, _payload(shards))
                await asyncio.sleep(_GATHER_SECONDS)
        finally:
            connection.terminate()
        raise ConnectionResetError("the wake-up connection was lost")

    async def _something_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._something.wait()
        except TimeoutError:
            return False

    def _received(self, _connection: object, _pid: int, channel: str, payload: str) -> None:
        shards = frozenset(int(part) for part in payload.split(",") if part)
        for callback in self._listeners.get(channel.removeprefix(_PREFIX), ()):
            callback(shards)


def _payload(shards: Iterable[int]) -> str:
    return ",".join(map(str, sorted(shards)))
