"""The sandbox put together: one FastAPI program that is Meta as far as the gateway can see."""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
from fastapi import FastAPI

from gateway.clock import SystemClock
from gateway.net.authorities import usual_authorities
from gateway.sandbox.account_settings import AccountSettings
from gateway.sandbox.assets import Assets
from gateway.sandbox.chat import Chat
from gateway.sandbox.codes import Codes
from gateway.sandbox.control import Control
from gateway.sandbox.courier import CONNECTIONS, Courier
from gateway.sandbox.dialog import Dialog
from gateway.sandbox.drills import AdvanceClock, Drills
from gateway.sandbox.exchange import Exchange
from gateway.sandbox.faults import Faults
from gateway.sandbox.graph import Graph
from gateway.sandbox.journal import Journal
from gateway.sandbox.people_control import PeopleControl
from gateway.sandbox.people_page import PeoplePage
from gateway.sandbox.platform import Platform
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.stream import Streams
from gateway.sandbox.third_party import ThirdParties
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.world import World

_DESCRIPTION = """
Meta as the gateway sees it: Graph under `/v{N}/…`, signed webhooks with Meta's retries, and a page
on which a person chats as a visitor. The calls below control it.
"""


def create_sandbox(
    settings: SandboxSettings,
    *,
    clock: SystemClock | None = None,
    advance_clock: AdvanceClock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """Return the sandbox.

    Args:
        settings: What it is told at its start.
        clock: The sandbox's own clock. `POST /control/clock` moves it.
        advance_clock: Moves everybody else's clock by so many seconds, and returns when all have
            confirmed. It must not move the sandbox's, which follows afterwards.
        transport: What carries webhooks instead of the network.
    """
    timeline = Timeline(clock or SystemClock())
    world = World(settings, timeline)
    journal = Journal(
        max_entries=settings.max_journal_entries, max_bytes=settings.max_journal_bytes
    )
    faults = Faults()
    # The courier ends each call by itself, as a whole; httpx could only limit each read.
    client = httpx.AsyncClient(
        transport=transport,
        verify=usual_authorities(),
        timeout=None,  # noqa: S113 - see above
        trust_env=False,
        follow_redirects=False,
        limits=httpx.Limits(max_connections=CONNECTIONS, keepalive_expiry=2),
    )
    courier = Courier(
        client=client,
        timeline=timeline,
        journal=journal,
        faults=faults,
        timeout_seconds=settings.webhook_timeout_seconds,
        max_waiting=settings.max_waiting_webhooks,
    )
    exchange = Exchange(
        world=world,
        timeline=timeline,
        courier=courier,
        echo_delay=timedelta(seconds=settings.echo_delay_seconds),
    )
    platform = Platform(world, timeline, exchange, Codes(timeline))
    account_settings = AccountSettings(world=world, timeline=timeline, courier=courier)
    streams = Streams(world=world, timeline=timeline, exchange=exchange, journal=journal)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with client, courier.running():
            yield
            streams.close()

    app = FastAPI(
        title="Meta sandbox",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.close_streams = streams.close
    for room in (
        Control(world=world, timeline=timeline, exchange=exchange),
        Drills(
            world=world,
            timeline=timeline,
            courier=courier,
            faults=faults,
            journal=journal,
            advance_clock=advance_clock,
        ),
        ThirdParties(timeline=timeline, journal=journal, faults=faults),
        Chat(world=world, timeline=timeline, exchange=exchange, streams=streams),
        Assets(world=world),
        PeopleControl(world=world, settings=account_settings),
        PeoplePage(world=world, settings=account_settings),
        # Before Graph, whose paths it lies among.
        Dialog(platform=platform),
        Graph(platform=platform, faults=faults, journal=journal),
    ):
        app.include_router(room.router())
    return app
