"""What the ingress is compared with: `python -m benchmarks.bare PORT PARSER SECRET`.

A bare ASGI application on uvicorn that reads the body, checks its HMAC and answers 200. PARSER is
uvicorn's `--http`, or `none`: answer each packet at once and read nothing, to see what load there
can be.
"""

import asyncio
import hmac
import sys
from typing import Final

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Bare:
    """Checks the signature of a body and does nothing with it."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        body = b""
        more = True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        given = dict(scope["headers"]).get(b"x-hub-signature-256", b"")
        expected = b"sha256=" + hmac.digest(self._secret, body, "sha256").hex().encode()
        status = 200 if hmac.compare_digest(given, expected) else 401
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, _data: bytes) -> None:
        self._transport.write(_ANSWER)


async def _echo(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Echo, "127.0.0.1", port)
    await server.serve_forever()


def main(port: str, parser: str, secret: str) -> None:
    """Serve until killed."""
    if parser == "none":
        uvloop.run(_echo(int(port)))
        return
    uvicorn.run(
        Bare(secret.encode()),
        host="127.0.0.1",
        port=int(port),
        http=parser,
        loop="uvloop",
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
