"""Serves an ASGI application over HTTP/1.1 under our limits, and stops without cutting off."""

import asyncio
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import structlog
import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.guard import Guard, Limits
from gateway.http.protocol import GuardedProtocol
from gateway.http.shortcut import Heads, Shortcut

_BACKLOG: Final = 2048

log = structlog.get_logger()


class HttpServer:
    """One application on one port."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        limits: Limits | None = None,
        shortcut: Shortcut | None = None,
        trusted_proxies: Collection[str] = (),
        listen_fd: int | None = None,
        stop_seconds: float = 8.0,
    ) -> None:
        """Describe the server; `run` starts it.

        Args:
            app: What answers; its lifespan is not run.
            host: The address to listen on.
            port: 0: a free one, which `port` tells once the server listens.
            limits: What a peer may cost.
            shortcut: Takes what it can before `app` does.
            trusted_proxies: Addresses or networks whose X-Forwarded-For and -Proto are believed.
            listen_fd: A listening socket's descriptor, inherited from who started this process;
                host and port are then its own. While a new process takes over, both accept from
                it, so that no connection is refused.
            stop_seconds: How long requests may take to end when the server stops.
        """
        self._guard = Guard(limits or Limits(), trusted_proxies=trusted_proxies)
        self._host = host
        self._port = port
        self._listen_fd = listen_fd
        self._server = _Server(
            uvicorn.Config(
                _Quiet(app),
                http=partial(  # type: ignore[arg-type]
                    GuardedProtocol, guard=self._guard, shortcut=shortcut, heads=Heads()
                ),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=list(trusted_proxies),
                backlog=_BACKLOG,
                timeout_keep_alive=self._guard.limits.keep_alive_seconds,
                timeout_graceful_shutdown=max(1, int(stop_seconds)),
            )
        )
        self._listening = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return self._port

    async def run(self) -> None:
        """Serve until stopped or cancelled.

        Raises:
            OSError: The port cannot be had.
        """
        listener = self._listener()
        self._port = listener.getsockname()[1]
        try:
            async with asyncio.TaskGroup() as group:
                sweep = group.create_task(self._guard.run())
                self._listening.set()
                log.info("http.serving", host=self._host, port=self._port)
                await self._server.serve(sockets=[listener])
                sweep.cancel()
        finally:
            listener.close()
            self._ended.set()

    async def listening(self) -> None:
        """Wait until the port is bound."""
        await self._listening.wait()

    async def stop(self) -> None:
        """Accept no more, let requests end, and return when `run` does."""
        self._server.should_exit = True
        await self._ended.wait()

    def _listener(self) -> socket.socket:
        if self._listen_fd is not None:
            inherited = socket.socket(fileno=self._listen_fd)
            inherited.setblocking(False)  # noqa: FBT003 - the name says it
            return inherited
        family = socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0][0]
        return socket.create_server((self._host, self._port), family=family, backlog=_BACKLOG)


class _Server(uvicorn.Server):
    """uvicorn's server, without its own mind about signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to who runs the process."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as uvicorn does, and let each answer say that it is the last."""
        self.server_state.default_headers = [
            *self.server_state.default_headers,
            (b"connection", b"close"),
        ]
        await super().shutdown(sockets)


class _Quiet:
    """Makes nothing of a client that went away before it was answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            log.debug("http.client_gone")
