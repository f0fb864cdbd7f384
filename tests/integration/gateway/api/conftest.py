"""The REST API over a real database, with the parts beside it replaced at our own ports."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.support.api import ADMIN_KEY, Api, FakeEngagement, FakeRoutingChanges, routing_rules

from gateway.api.parts import ApiParts
from gateway.asgi import AppParts, create_app
from gateway.db.engine import create_engine
from gateway.db.secrets import KeyRing
from gateway.db.unit_of_work import Database
from gateway.settings import Settings


@pytest.fixture
async def database(database_url, clock) -> AsyncIterator[Database]:
    engine = create_engine(database_url, pool_size=10, max_overflow=10, application_name="test")
    yield Database(engine, clock=clock, keyring=KeyRing({"a": bytes(32)}))
    await engine.dispose()


@pytest.fixture
def settings() -> Settings:
    return Settings(gateway_admin_key=ADMIN_KEY, api_rate_limit_per_minute=0)


@pytest.fixture
async def api(database, settings, clock) -> AsyncIterator[Api]:
    engagement = FakeEngagement()
    changes = FakeRoutingChanges()
    parts = AppParts(
        database=database,
        api=ApiParts(
            public_url="https://gateway.example",
            engagement=engagement,
            routing_rules=routing_rules,
            routing_changes=changes,
        ),
    )
    app = create_app(settings, parts)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://gateway.example") as client:
        yield Api(app, client, database, clock, engagement=engagement, changes=changes)
