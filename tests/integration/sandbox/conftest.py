"""A sandbox in this process, without a Page, with one, with a visitor who wrote, and served."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from tests.support.sandbox import ALL_FIELDS, Box, Hook, settings

from gateway.clock import SystemClock
from gateway.sandbox.app import create_sandbox
from gateway.sandbox.server import serve
from gateway.sandbox.settings import SandboxSettings


@pytest.fixture
def hook() -> Hook:
    return Hook()


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    return settings()


@pytest.fixture
async def box(hook: Hook, sandbox_settings: SandboxSettings) -> AsyncIterator[Box]:
    """A sandbox without a Page."""
    clock = SystemClock()
    app = create_sandbox(sandbox_settings, clock=clock, transport=httpx.MockTransport(hook))
    carrier = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=carrier, base_url="http://sandbox.test") as client,
    ):
        yield Box(app, client, clock)


@pytest.fixture
async def harbour(box: Box) -> Box:
    """A sandbox with a Page that the app has subscribed to."""
    await box.page(name="Harbour Coffee", subscribed_fields=ALL_FIELDS.split(","))
    return box


@pytest.fixture
async def talking(harbour: Box, hook: Hook) -> Box:
    """The same, with a visitor who has written."""
    await harbour.says("hello")
    hook.clear()
    return harbour


@pytest.fixture
async def served(talking: Box) -> AsyncIterator[str]:
    """The same behind its own server, on a real socket; yields its address."""
    stop = asyncio.Event()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        serving = serve(
            _without_lifespan(talking.app),
            host="127.0.0.1",
            port=0,
            on_ready=address.set_result,
            stop=stop,
        )
        group.create_task(serving)
        try:
            yield await address
        finally:
            stop.set()


def _without_lifespan(app: FastAPI) -> FastAPI:
    """Wrap an app whose life began already; its server must not begin it once more."""
    outer = FastAPI()
    outer.state.close_streams = app.state.close_streams
    outer.mount("/", app)
    return outer
