"""What a peer may cost: connections, seconds, bytes; the server underneath has no such limits.

One sweep twice a second looks at every connection, so that a deadline costs a request nothing.
"""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Protocol, Self

from prometheus_client import Counter as Metric

from gateway.settings import Settings

SWEEP_SECONDS: Final = 0.5
# Of a prefix this long, one subscriber has every address.
_IPV6_PREFIX: Final = 64

CUT_OFF: Final = Metric(
    "gateway_http_cut_off_total",
    "Connections and requests that the server's limits ended, by limit.",
    ["limit"],
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one server, in bytes and seconds.

    `unread_bytes` bounds what all requests together hold of bodies that have not fully arrived;
    over it, those under way for longest are ended. `is_upload` names the paths whose bodies are
    streamed: they have `upload_seconds` and do not count.
    """

    header_bytes: int = 16 * 1024
    first_byte_seconds: float = 15.0
    header_seconds: float = 5.0
    body_seconds: float = 10.0
    upload_seconds: float = 60.0
    write_stall_seconds: float = 30.0
    keep_alive_seconds: int = 75
    connections_per_peer: int = 512
    unread_bytes: int = 16 * 1024 * 1024
    is_upload: Callable[[str], bool] = lambda _path: False

    @classmethod
    def from_settings(
        cls, settings: Settings, *, is_upload: Callable[[str], bool] = lambda _path: False
    ) -> Self:
        """Take what the environment says."""
        return cls(
            header_bytes=settings.header_bytes,
            first_byte_seconds=settings.first_byte_seconds,
            header_seconds=settings.header_seconds,
            body_seconds=settings.body_seconds,
            connections_per_peer=settings.connections_per_peer,
            is_upload=is_upload,
        )


class Connection(Protocol):
    """A connection, as the guard sees it."""

    peer: str | None
    deadline: float | None
    # Bytes of a body that has not fully arrived, and since when it comes.
    body_bytes: int
    body_since: float

    def expire(self) -> None:
        """End: the deadline has passed."""
        ...

    def shed(self) -> None:
        """End: the bodies of all requests together are too large."""
        ...


class Guard:
    """Watches over the connections of one server."""

    def __init__(self, limits: Limits, *, trusted_proxies: Collection[str] = ()) -> None:
        self.limits = limits
        self._trusted = [ipaddress.ip_network(each, strict=False) for each in trusted_proxies]
        self._connections: set[Connection] = set()
        self._peers: Counter[str] = Counter()
        self._unread_bytes = 0

    def admit(self, connection: Connection, address: str | None) -> bool:
        """Take a new connection in, or say that its peer has too many already."""
        peer = self._peer(address)
        if peer is not None and self._peers[peer] >= self.limits.connections_per_peer:
            CUT_OFF.labels("connections-per-peer").inc()
            return False
        connection.peer = peer
        if peer is not None:
            self._peers[peer] += 1
        self._connections.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """Let a connection go that was lost."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        self.body_ended(connection)
        if connection.peer is not None:
            self._peers[connection.peer] -= 1
            if not self._peers[connection.peer]:
                del self._peers[connection.peer]

    def body_grew(self, connection: Connection, size: int) -> None:
        """Count bytes of a body, and make room if they are too many in all."""
        connection.body_bytes += size
        self._unread_bytes += size
        if self._unread_bytes > self.limits.unread_bytes:
            self._make_room()

    def body_ended(self, connection: Connection) -> None:
        """Take note that a body has fully arrived, or never will."""
        self._unread_bytes -= connection.body_bytes
        connection.body_bytes = 0

    async def run(self) -> None:
        """End what is overdue, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            overdue = [
                each
                for each in self._connections
                if each.deadline is not None and each.deadline < now
            ]
            for connection in overdue:
                connection.expire()

    def _make_room(self) -> None:
        # The slowest first: a body that comes at an ordinary pace is never among them.
        bodies = sorted(
            (each for each in self._connections if each.body_bytes),
            key=lambda each: each.body_since,
        )
        for connection in bodies:
            if self._unread_bytes <= self.limits.unread_bytes:
                return
            CUT_OFF.labels("unread-bytes").inc()
            connection.shed()
            self.body_ended(connection)

    def _peer(self, address: str | None) -> str | None:
        """Return what connections are counted by; None: not at all.

        A proxy is many clients, and so is what comes from this machine.
        """
        if address is None:
            return None
        try:
            peer = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return address
        if peer.is_loopback or any(peer in network for network in self._trusted):
            return None
        if peer.version == 6:  # noqa: PLR2004 - the version
            return str(ipaddress.ip_network((peer, _IPV6_PREFIX), strict=False))
        return str(peer)
