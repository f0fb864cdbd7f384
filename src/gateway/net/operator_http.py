"""A client for addresses that the operator chose: Graph's, or a sandbox's."""

from ssl import SSLContext
from typing import Any, Final

import httpx

from gateway.net.authorities import usual_authorities
from gateway.net.lean import ExchangeFailedError, LeanConnections, NotConnectedError, Origin

_CONNECT_SECONDS: Final = 4.0
# Whoever calls has a limit of its own, and none is higher.
_MAX_ANSWER_BYTES: Final = 1024 * 1024
_MAX_UPLOADS: Final = 64
_PORTS: Final = {"http": 80, "https": 443}
# A request's extension: how many bytes of the answer are of use to whoever asks.
ANSWER_BYTES: Final = "gateway_answer_bytes"


class OperatorClient(httpx.AsyncClient):
    """A client that sends what it is given, once, and keeps nothing of the answer.

    httpx's own `send` would look for credentials, redirects, cookies and hooks, none of which
    exist here, at a cost that is higher than the exchange's. Answers are read whole, up to a
    little more than a mebibyte, so `stream` makes no difference.
    """

    def __init__(self) -> None:
        transport = _LeanTransport(usual_authorities())
        super().__init__(
            transport=transport,
            follow_redirects=False,
            trust_env=False,
            timeout=None,
            headers={"Accept-Encoding": "identity", "User-Agent": "channel-gateway"},
        )
        self._lean_transport = transport

    async def send(self, request: httpx.Request, **_options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's options, which have no meaning here
        """Send a request and return its answer.

        Raises:
            httpx.ConnectError: Nothing has left.
            httpx.ReadError: No answer that could be read.
        """
        return await self._lean_transport.handle_async_request(request)


def operator_http_client() -> httpx.AsyncClient:
    """Return a client that follows no redirects, reads no environment and unpacks nothing.

    It has a time-out for connecting alone: whoever calls sets the whole call's.
    """
    return OperatorClient()


def operator_upload_client() -> httpx.AsyncClient:
    """Return a client that sends bodies as they are read, for files; otherwise as the other one.

    Its time-outs are for connecting alone: whoever calls sets the whole call's.
    """
    return httpx.AsyncClient(
        verify=usual_authorities(),
        follow_redirects=False,
        trust_env=False,
        timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=_MAX_UPLOADS, max_keepalive_connections=_MAX_UPLOADS),
        headers={"Accept-Encoding": "identity", "User-Agent": "channel-gateway"},
    )


class _LeanTransport(httpx.AsyncBaseTransport):
    def __init__(self, ssl_context: SSLContext) -> None:
        self._ssl_context = ssl_context
        self._places: dict[tuple[str, str, int | None], LeanConnections] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        try:
            answer = await self._place(url).exchange(
                request.method.encode(),
                url.raw_path,
                request.headers.raw,
                await request.aread(),
                limit=request.extensions.get(ANSWER_BYTES),
            )
        except NotConnectedError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        except ExchangeFailedError as error:
            raise httpx.ReadError(str(error), request=request) from error
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=httpx.ByteStream(answer.body),
            request=request,
        )

    async def aclose(self) -> None:
        for place in self._places.values():
            place.close()

    def _place(self, url: httpx.URL) -> LeanConnections:
        key = (url.scheme, url.host, url.port)
        place = self._places.get(key)
        if place is None:
            context = self._ssl_context if url.scheme == "https" else None
            origin = Origin(url.host, url.port or _PORTS[url.scheme], context)
            place = self._places[key] = LeanConnections(
                origin, connect_seconds=_CONNECT_SECONDS, limit=_MAX_ANSWER_BYTES
            )
        return place
