"""POSTs to addresses that customers chose, and to nowhere else.

A URL is read by one parser. Its host is resolved once, every address it has is judged, and the very
address that passed is dialled, so that a name that changes its mind gains nothing. There are no
redirects, no proxies from the environment and no decompression. Each call has a budget in total:
time-outs of single reads do not stop a peer that drips.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final, Self

import httpcore
import httpx

from gateway.errors import InvalidFieldsError
from gateway.net.addresses import Address, is_denied, is_loopback, is_own, parse_literal
from gateway.net.authorities import usual_authorities
from gateway.net.dialling import dial_address
from gateway.net.guarded import GuardedBackend, connect_in_turn
from gateway.net.kept import Connect
from gateway.net.lean import KEEPALIVE_SECONDS, ExchangeFailedError, NotConnectedError
from gateway.net.places import EgressPolicy, Place, not_allowed, read_place
from gateway.net.posts import CONNECT_BUDGET, DirectPosts, Posts, ProxiedPosts
from gateway.net.resolver import LookupFailedError, Resolver

MAX_ANSWER_BYTES: Final = 64 * 1024
_PORTS: Final = {"http": 80, "https": 443}
_IDLE_POOL_SECONDS: Final = 30.0
_SWEEP_SECONDS: Final = 5.0


class UnreachableError(Exception):
    """Nothing left: the address is not allowed, has no name, or takes no connection.

    `denied` says that it is not allowed; `slow` that the target wasted our time.
    """

    def __init__(self, message: str, *, denied: bool = False, slow: bool = True) -> None:
        super().__init__(message)
        self.denied = denied
        self.slow = slow


class NoAnswerError(Exception):
    """The request left, wholly or partly, and no answer came of it that could be read."""

    def __init__(self, message: str, *, slow: bool = False) -> None:
        super().__init__(message)
        self.slow = slow


@dataclass(frozen=True, slots=True)
class EgressAnswer:
    """What came back; `body` ends at the limit."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header_values(self, name: str) -> list[str]:
        """Return all values of a header, by its lower-case name."""
        return [value for key, value in self.headers if key == name]


@dataclass(slots=True)
class _Pool:
    posts: Posts
    users: int = 0
    idle_since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class _Proxy:
    url: httpcore.URL
    # Kept apart from the address, which may stand in an error.
    authentication: tuple[bytes, bytes] | None

    @property
    def is_secure(self) -> bool:
        return self.url.scheme == b"https"

    @classmethod
    def read(cls, text: str) -> Self:
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL:
            raise ValueError("the proxy's address is no URL") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("the proxy's address is not http://host:port")
        known = (url.username.encode(), url.password.encode()) if url.userinfo else None
        place = httpcore.URL(
            scheme=url.scheme, host=url.host, port=url.port or _PORTS[url.scheme], target="/"
        )
        return cls(place, known)


class Egress:
    """Calls customers' addresses under a policy.

    Connections are kept per scope and origin, so that no target sees another's.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolver: Resolver,
        ssl_context: ssl.SSLContext | None = None,
        proxy_url: str = "",
    ) -> None:
        """Take the policy.

        Args:
            policy: Where calls may go.
            resolver: Finds addresses; not asked where a proxy dials.
            ssl_context: Verifies certificates; None for the usual authorities.
            proxy_url: An egress proxy of the operator's, which resolves, judges and dials for us;
                a name and a password in it are for the proxy.

        Raises:
            ValueError: The proxy's URL is none.
        """
        self._policy = policy
        self._resolver = resolver
        self._ssl_context = ssl_context or usual_authorities()
        self._proxy = _Proxy.read(proxy_url) if proxy_url else None
        self._pools: dict[tuple[str, str], _Pool] = {}
        self._swept_at = time.monotonic()

    async def check_address(self, url: str, *, pointer: str = "/url") -> None:
        """Check an address when somebody enters it.

        Raises:
            InvalidFieldsError: It is no URL, has another scheme, user information or no host.
            AddressNotAllowedError: Its port or an address of its host is not allowed, or its name
                does not resolve.
        """
        place = read_place(url, self._policy, pointer=pointer)
        try:
            await self.vet(place.host)
        except UnreachableError as error:
            raise not_allowed(pointer, str(error)) from error

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        budget: timedelta,
        scope: str = "",
        limit: int = MAX_ANSWER_BYTES,
    ) -> EgressAnswer:
        """POST and return the answer, whatever its status, within the budget.

        Raises:
            UnreachableError: Nothing left.
            NoAnswerError: No answer that could be read.
        """
        try:
            place = read_place(url, self._policy, pointer="/url")
        except InvalidFieldsError as error:
            raise UnreachableError(error.detail, denied=True, slow=False) from error
        await self._sweep()
        pool = self._pool(scope, place)
        pool.users += 1
        try:
            async with asyncio.timeout(budget.total_seconds()):
                if self._proxy is not None:
                    await self.vet(place.host)
                return await _post(pool.posts, place, headers, body, limit)
        except NotConnectedError as error:
            raise UnreachableError("It takes no connection.") from error
        except TimeoutError as error:
            raise NoAnswerError("No answer came in time.", slow=True) from error
        except ExchangeFailedError as error:
            raise NoAnswerError("The connection broke before an answer came.") from error
        finally:
            pool.users -= 1
            pool.idle_since = time.monotonic()

    async def connect(
        self, url: str, *, answer_bytes: int
    ) -> tuple[Place, httpcore.AsyncConnectionInterface]:
        """Return where a URL leads and a connection for one exchange there, not yet opened.

        Whoever takes it closes it; an answer with more than so many bytes of body breaks it.

        Raises:
            InvalidFieldsError: It is no URL that may be called.
            UnreachableError: It is not allowed.
        """
        place = read_place(url, self._policy, pointer="/url")
        if self._proxy is not None:
            await self.vet(place.host)
        return place, self._connector(place, answer_bytes=answer_bytes)()

    async def aclose(self) -> None:
        """Close all connections."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.posts.aclose()

    async def vet(self, host: str) -> list[Address]:
        """Return the addresses of a host if every one of them is allowed.

        Behind a proxy a name is left to the proxy, and the list is empty.

        Raises:
            UnreachableError: One is not, or there is none.
        """
        try:
            literal = parse_literal(host)
        except ValueError as error:
            raise UnreachableError(
                "The host is an address in an unusual form.", denied=True, slow=False
            ) from error
        if literal is not None:
            addresses = [literal]
        elif self._proxy is not None:
            return []
        else:
            addresses = await self._look_up(host)
        if any(not self._allows(address) for address in addresses):
            raise UnreachableError("The host is not a public address.", denied=True, slow=False)
        return addresses

    async def _look_up(self, host: str) -> list[Address]:
        try:
            return await self._resolver.resolve(host)
        except LookupFailedError as error:
            raise UnreachableError(
                "The host's name does not resolve.", denied=True, slow=error.timed_out
            ) from error

    async def _addresses_of_proxy(self, host: str) -> list[Address]:
        literal = parse_literal(host)
        return [literal] if literal is not None else await self._look_up(host)

    def _allows(self, address: Address) -> bool:
        if is_loopback(address):
            return self._policy.allow_loopback
        return not is_denied(address) and not is_own(address)

    def _pool(self, scope: str, place: Place) -> _Pool:
        key = (scope, place.origin)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = _Pool(self._posts(place))
        return pool

    def _posts(self, place: Place) -> Posts:
        if self._proxy is not None:
            return ProxiedPosts(place, self._connector(place))
        return DirectPosts(place, dial=self._dial, ssl_context=self._ssl_context)

    async def _dial(self, host: str, port: int) -> socket.socket:
        """Connect to a host, one vetted address after another."""

        async def connect(address: Address, share: float | None) -> socket.socket:
            async with asyncio.timeout(share):
                return await dial_address(address, port)

        seconds = CONNECT_BUDGET.total_seconds()
        return await connect_in_turn(self.vet, host, connect, seconds=seconds)

    def _connector(self, place: Place, *, answer_bytes: int = 0) -> Connect:
        url = httpcore.URL(scheme=place.scheme, host=place.host, port=place.port, target="/")
        if self._proxy is not None:
            proxy = httpcore.AsyncHTTPProxy(
                self._proxy.url,
                proxy_auth=self._proxy.authentication,
                proxy_ssl_context=self._ssl_context if self._proxy.is_secure else None,
                ssl_context=self._ssl_context,
                keepalive_expiry=KEEPALIVE_SECONDS,
                network_backend=GuardedBackend(self._addresses_of_proxy, answer_bytes=answer_bytes),
            )
            return partial(proxy.create_connection, url.origin)
        return partial(
            httpcore.AsyncHTTPConnection,
            url.origin,
            ssl_context=self._ssl_context,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=GuardedBackend(self.vet, answer_bytes=answer_bytes),
        )

    async def _sweep(self) -> None:
        now = time.monotonic()
        if now - self._swept_at < _SWEEP_SECONDS:
            return
        self._swept_at = now
        idle = [
            key
            for key, pool in self._pools.items()
            if not pool.users and now - pool.idle_since > _IDLE_POOL_SECONDS
        ]
        for pool in [self._pools.pop(key) for key in idle]:
            await pool.posts.aclose()


async def _post(
    posts: Posts, place: Place, headers: Mapping[str, str], body: bytes, limit: int
) -> EgressAnswer:
    sent = [
        (name.encode("ascii", "replace"), value.encode())
        for name, value in (
            ("Host", place.host_header),
            *headers.items(),
            ("Content-Length", str(len(body))),
        )
    ]
    answer = await posts.post(place.target, sent, body, limit=limit)
    names = [(k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in answer.headers]
    return EgressAnswer(answer.status, names, answer.body[:limit])
