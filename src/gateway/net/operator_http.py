"""A client for addresses that the operator chose: Graph's, or a sandbox's."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from ssl import SSLContext
from typing import Final

import httpcore
import httpx

from gateway.net.kept import KEEPALIVE_SECONDS, KeptConnections

_CONNECT_SECONDS: Final = 4.0
# httpx's exceptions have the names of those that they stand for.
_EXCEPTIONS: Final = {
    inner: getattr(httpx, inner.__name__)
    for inner in (
        httpcore.ConnectTimeout,
        httpcore.ReadTimeout,
        httpcore.WriteTimeout,
        httpcore.ConnectError,
        httpcore.ReadError,
        httpcore.WriteError,
        httpcore.LocalProtocolError,
        httpcore.RemoteProtocolError,
        httpcore.UnsupportedProtocol,
    )
}


def operator_http_client() -> httpx.AsyncClient:
    """Return a client that follows no redirects, reads no environment and unpacks nothing.

    It has a time-out for connecting alone: whoever calls sets the whole call's.
    """
    return httpx.AsyncClient(
        transport=_KeptTransport(httpx.create_ssl_context(trust_env=False)),
        follow_redirects=False,
        trust_env=False,
        timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
        headers={"Accept-Encoding": "identity", "User-Agent": "channel-gateway"},
    )


class _KeptTransport(httpx.AsyncBaseTransport):
    def __init__(self, ssl_context: SSLContext) -> None:
        self._ssl_context = ssl_context
        self._places: dict[tuple[str, str, int | None], KeptConnections] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        inner = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        stack = AsyncExitStack()
        try:
            response = await stack.enter_async_context(self._place(request).exchange(inner))
        except tuple(_EXCEPTIONS) as error:
            raise _EXCEPTIONS[type(error)](str(error), request=request) from error
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, stack),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        for place in self._places.values():
            await place.aclose()

    def _place(self, request: httpx.Request) -> KeptConnections:
        url = request.url
        key = (url.scheme, url.host, url.port)
        place = self._places.get(key)
        if place is None:
            origin = httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target="/"
            ).origin
            connect = partial(
                httpcore.AsyncHTTPConnection,
                origin,
                ssl_context=self._ssl_context,
                keepalive_expiry=KEEPALIVE_SECONDS,
            )
            place = self._places[key] = KeptConnections(connect)
        return place


class _Body(httpx.AsyncByteStream):
    """An answer's body; its end gives the connection back."""

    def __init__(self, response: httpcore.Response, stack: AsyncExitStack) -> None:
        self._response = response
        self._stack = stack

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.aiter_stream():
                yield chunk
        except tuple(_EXCEPTIONS) as error:
            raise _EXCEPTIONS[type(error)](str(error)) from error

    async def aclose(self) -> None:
        await self._stack.aclose()
