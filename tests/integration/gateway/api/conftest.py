"""The REST API over a real database and the sandbox, the rest replaced at our own ports."""

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr
from tests.support import misbehave
from tests.support.api import ADMIN_KEY, Api, FakeEngagement, FakeRoutingChanges, FakeRoutingRules
from tests.support.application import application

from gateway.api.parts import ApiParts, LoginSettings
from gateway.asgi import AppParts
from gateway.db.engine import create_engine
from gateway.db.media_links import MediaLinks
from gateway.db.secrets import KeyRing
from gateway.db.unit_of_work import Database
from gateway.media_store import MediaStore
from gateway.meta.graph import GraphClient
from gateway.meta.graph_calls import GraphCalls
from gateway.meta.login import FacebookLogin
from gateway.meta.pages import PageConnector
from gateway.net.egress import Egress
from gateway.net.places import EgressPolicy
from gateway.net.resolver import SystemResolver
from gateway.sandbox.app import create_sandbox
from gateway.sandbox.settings import SandboxSettings
from gateway.settings import Settings
from routing import api as routing_api
from routing.reach import Reach

GRAPH = "https://graph.example"
PUBLIC_URL = "https://gateway.example"
DIALOG = "https://facebook.example"


@pytest.fixture
async def database(database_url, clock) -> AsyncIterator[Database]:
    engine = create_engine(database_url, pool_size=10, max_overflow=10, application_name="test")
    keyring = KeyRing({"a": bytes(32)})
    links = MediaLinks(keyring, public_url=PUBLIC_URL)
    yield Database(engine, clock=clock, keyring=keyring, links=links)
    await engine.dispose()


@pytest.fixture
def settings() -> Settings:
    return Settings(gateway_admin_key=SecretStr(ADMIN_KEY), api_rate_limit_per_minute=0)


@pytest.fixture
async def graph() -> AsyncIterator[httpx.AsyncClient]:
    """The sandbox, as Graph and as its control."""
    sandbox = create_sandbox(SandboxSettings(app_secret=SecretStr("app-secret")))
    transport = httpx.ASGITransport(app=sandbox)
    async with httpx.AsyncClient(transport=transport, base_url=GRAPH) as client:
        yield client


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    policy = EgressPolicy(ports=frozenset({443}), allow_loopback=True)
    egress = Egress(policy, resolver=SystemResolver(threads=2))
    yield egress
    await egress.aclose()


async def _partition(key: str) -> int:
    return 3


@pytest.fixture
async def api(database, settings, clock, graph, egress, receiver, tmp_path) -> AsyncIterator[Api]:
    receiver.always(misbehave.answer_challenge())
    engagement = FakeEngagement()
    changes = FakeRoutingChanges()
    rules = FakeRoutingRules()
    parts = AppParts(
        database=database,
        api=ApiParts(
            public_url=PUBLIC_URL,
            egress=egress,
            pages=PageConnector(GraphCalls(graph, base_url=GRAPH)),
            graph=GraphClient(graph, base_url=GRAPH),
            login=FacebookLogin(GraphCalls(graph, base_url=GRAPH)),
            login_settings=LoginSettings(
                dialog_base_url=DIALOG, return_origins=("https://back.example",)
            ),
            engagement=engagement,
            routing_rules=rules,
            routing_changes=changes,
            reach=Reach(),
            inbound_partition=_partition,
            endpoint_retry_seconds=(4, 56),
        ),
        routers=(routing_api.router,),
        media=MediaStore.at("", data_dir=str(tmp_path)),
    )
    app = application(settings, parts)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
        yield Api(
            app=app,
            client=client,
            database=database,
            clock=clock,
            sandbox=graph,
            hook=receiver,
            engagement=engagement,
            changes=changes,
            rules=rules,
        )
