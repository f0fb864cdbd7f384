"""Serves the sandbox over HTTP, with a way for faults to reach the bare connection."""

import asyncio
import contextlib
import signal
import socket
import struct
from collections.abc import Callable, Generator
from typing import cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.clock import SystemClock
from gateway.sandbox.app import create_sandbox
from gateway.sandbox.drills import AdvanceClock
from gateway.sandbox.lies import CONNECTION
from gateway.sandbox.settings import SandboxSettings

OnReady = Callable[[str], None]

GRACE_SECONDS = 2
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def run(
    settings: SandboxSettings,
    *,
    advance_clock: AdvanceClock | None = None,
    clock: SystemClock | None = None,
    on_ready: OnReady | None = None,
) -> None:
    """Serve the sandbox until SIGTERM or SIGINT, and return when all is closed.

    `on_ready` is told the address, `http://host:port`, once calls are taken; with port 0 in the
    settings, that is where the port chosen becomes known.
    """
    app = create_sandbox(settings, clock=clock, advance_clock=advance_clock)
    asyncio.run(serve(app, host=settings.host, port=settings.port, on_ready=on_ready))


async def serve(
    app: FastAPI,
    *,
    host: str,
    port: int,
    on_ready: OnReady | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve a sandbox until `stop` is set; without it, until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config)
    listener = _listen(host, port)
    loop = asyncio.get_running_loop()
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listener]))
        await server.up.wait()
        if on_ready is not None:
            on_ready(_address(listener))
        await stop.wait()
        app.state.close_streams()
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers, which end the process by the signal."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class _Protocol(HttpToolsProtocol):
    """HTTP that lets an application at its connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {
            CONNECTION: cast("dict[object, object]", _Connection(self.transport, self.flow))
        }


class _Connection:
    """The bare connection of a request."""

    def __init__(self, transport: asyncio.Transport, flow: FlowControl) -> None:
        self._transport = transport
        self._flow = flow

    async def write(self, content: bytes) -> None:
        """Write bytes, waiting while the peer does not read."""
        if self._transport.is_closing():
            raise ConnectionResetError
        self._transport.write(content)
        await self._flow.drain()
        # A peer that reads as fast as we write must not keep the loop from everybody else.
        await asyncio.sleep(0)

    def close(self) -> None:
        """Close in order."""
        self._transport.close()

    def reset(self) -> None:
        """Close with a reset."""
        bare: socket.socket = self._transport.get_extra_info("socket")
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
