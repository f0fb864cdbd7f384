"""Connections to vetted addresses, used again only where the last answer's end is certain."""

import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, Final, TypeVar

import httpcore

from gateway.net.addresses import Address

# A connection is opened anew after this, so that a name that moves is followed.
MAX_AGE: Final = timedelta(seconds=60)
# Of one answer: its head, interim answers, chunk sizes and body together.
MAX_ANSWER_BYTES: Final = 512 * 1024
# A name with many addresses is not worth trying them all.
_ADDRESSES_TRIED: Final = 3
_REFUSALS: Final = (OSError, TimeoutError, httpcore.ConnectError, httpcore.ConnectTimeout)
_HEAD_END: Final = b"\r\n\r\n"
_MAX_HEAD: Final = 128 * 1024

_Connected = TypeVar("_Connected")
Vet = Callable[[str], Awaitable[Sequence[Address]]]
SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)


async def connect_in_turn(
    vet: Vet,
    host: str,
    connect: Callable[[Address, float | None], Awaitable[_Connected]],
    *,
    seconds: float | None,
) -> _Connected:
    """Connect to a host: one vetted address after another, each for its share of the time.

    What `connect` raises for the last one is raised.
    """
    addresses = (await vet(host))[:_ADDRESSES_TRIED]
    share = None if seconds is None else seconds / len(addresses)
    *others, last = addresses
    for address in others:
        try:
            return await connect(address, share)
        except _REFUSALS:
            continue
    return await connect(last, share)


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Dials the address that was vetted, not the name."""

    def __init__(self, vet: Vet, *, answer_bytes: int = 0) -> None:
        """Take what vets a host; `answer_bytes` is what a body may have beyond the usual."""
        self._vet = vet
        self._answer_bytes = MAX_ANSWER_BYTES + answer_bytes
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a host, one vetted address after another."""

        async def connect(address: Address, share: float | None) -> httpcore.AsyncNetworkStream:
            stream = await self._inner.connect_tcp(
                str(address), port, share, local_address, socket_options
            )
            return await _checked(stream, address, self._answer_bytes)

        return await connect_in_turn(self._vet, host, connect, seconds=timeout)

    async def sleep(self, seconds: float) -> None:
        """Pause between httpcore's own retries, of which there are none here."""
        await self._inner.sleep(seconds)


class GuardedStream(httpcore.AsyncNetworkStream):
    """A connection that ends after a minute, after too long an answer, or after an unclear end.

    httpcore would read what follows an answer as the answer to the next request. So a connection is
    used again only where the answer's length was announced and nothing came after it.
    """

    def __init__(
        self, inner: httpcore.AsyncNetworkStream, *, answer_bytes: int = MAX_ANSWER_BYTES
    ) -> None:
        self._inner = inner
        self._answer_bytes = answer_bytes
        self._opened_at = time.monotonic()
        self._received = 0
        self._head = bytearray()
        self._reusable = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's signature
        """Read; an answer that is too long ends in an error."""
        received = await self._inner.read(max_bytes, timeout)
        self._received += len(received)
        if self._received > self._answer_bytes:
            raise httpcore.ReadError("the answer is too long")
        if len(self._head) < _MAX_HEAD and _HEAD_END not in self._head:
            self._head += received
        return received

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's signature
        """Write; the next answer is counted from here."""
        self._received = 0
        self._head.clear()
        self._reusable = False
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close."""
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
    ) -> httpcore.AsyncNetworkStream:
        """Go on under TLS, in the name of the host and not of its address."""
        inner = await self._inner.start_tls(ssl_context, server_hostname, timeout)
        return GuardedStream(inner, answer_bytes=self._answer_bytes)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's signature
        """Return what httpcore asks; an idle connection that is "readable" gets closed."""
        if info == "is_readable":
            old = time.monotonic() - self._opened_at > MAX_AGE.total_seconds()
            return not self._reusable or old or self._inner.get_extra_info(info)
        return self._inner.get_extra_info(info)

    def end_exchange(self, body_bytes: int) -> None:
        """Note that an answer with a body of so many bytes, as announced, has been read."""
        head_bytes = self._head.find(_HEAD_END) + len(_HEAD_END)
        interim = self._head[9:10] == b"1"
        self._reusable = not interim and self._received == head_bytes + body_bytes


async def _checked(
    stream: httpcore.AsyncNetworkStream, address: Address, answer_bytes: int
) -> GuardedStream:
    peer = stream.get_extra_info("server_addr")
    if peer is None or ip_address(str(peer[0]).partition("%")[0]) != address:
        await stream.aclose()
        raise httpcore.ConnectError("the connection leads elsewhere")
    return GuardedStream(stream, answer_bytes=answer_bytes)
