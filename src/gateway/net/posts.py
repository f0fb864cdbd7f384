"""POSTs to one origin over connections that are kept: straight there, or through a proxy."""

import ssl
from datetime import timedelta
from typing import Final, Protocol

import httpcore

from gateway.net.dialling import Dial
from gateway.net.guarded import MAX_AGE, MAX_ANSWER_BYTES, GuardedStream
from gateway.net.kept import Connect, KeptConnections
from gateway.net.lean import (
    ExchangeFailedError,
    Headers,
    LeanAnswer,
    LeanConnections,
    NotConnectedError,
    Origin,
)
from gateway.net.places import Place

CONNECT_BUDGET: Final = timedelta(seconds=5)


class Posts(Protocol):
    """POSTs to one origin."""

    async def post(self, target: str, headers: Headers, body: bytes, *, limit: int) -> LeanAnswer:
        """POST and return the answer, of whose body a little more than `limit` bytes are read.

        Raises:
            NotConnectedError: Nothing has left.
            ExchangeFailedError: No answer that could be read.
        """
        ...

    async def aclose(self) -> None:
        """Close idle connections."""
        ...


class DirectPosts:
    """To whatever address `dial` connects to."""

    def __init__(self, place: Place, *, dial: Dial, ssl_context: ssl.SSLContext) -> None:
        context = ssl_context if place.scheme == "https" else None
        self._connections = LeanConnections(
            Origin(place.host, place.port, context, dial),
            connect_seconds=CONNECT_BUDGET.total_seconds(),
            limit=MAX_ANSWER_BYTES,
            max_age=MAX_AGE.total_seconds(),
        )

    async def post(self, target: str, headers: Headers, body: bytes, *, limit: int) -> LeanAnswer:
        """POST; see `Posts.post`."""
        return await self._connections.exchange(
            b"POST", target.encode("ascii"), headers, body, limit=limit
        )

    async def aclose(self) -> None:
        """Close idle connections."""
        self._connections.close()


class ProxiedPosts:
    """Through a proxy, by connections that `connect` makes."""

    def __init__(self, place: Place, connect: Connect) -> None:
        self._place = place
        self._connections = KeptConnections(connect)

    async def post(self, target: str, headers: Headers, body: bytes, *, limit: int) -> LeanAnswer:
        """POST; see `Posts.post`."""
        place = self._place
        request = httpcore.Request(
            "POST",
            httpcore.URL(scheme=place.scheme, host=place.host, port=place.port, target=target),
            headers=list(headers),
            content=body,
            extensions={"timeout": {"connect": CONNECT_BUDGET.total_seconds()}},
        )
        try:
            return await self._exchange(request, limit)
        except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.ProxyError) as error:
            raise NotConnectedError("it takes no connection") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise ExchangeFailedError("the connection broke") from error

    async def _exchange(self, request: httpcore.Request, limit: int) -> LeanAnswer:
        body = b""
        async with self._connections.exchange(request) as response:
            async for chunk in response.aiter_stream():
                body += chunk
                if len(body) > limit:
                    break
            else:
                stream = response.extensions.get("network_stream")
                if isinstance(stream, GuardedStream):
                    stream.end_exchange(len(body))
        return LeanAnswer(response.status, list(response.headers), body)

    async def aclose(self) -> None:
        """Close idle connections."""
        await self._connections.aclose()
