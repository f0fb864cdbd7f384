"""The REST API as a process of its own: `python -m tests.support.rest_server URL DIRECTORY`.

It prints its port once it listens, and ends when its standard input does. Test tools that change
how Python itself runs, as some do with the depth of the stack, cannot reach it there.
"""

import asyncio
import sys

import httpx
import structlog
from pydantic import SecretStr
from tests.support.api import ADMIN_KEY
from tests.support.clock import FakeClock

from gateway.api.parts import ApiParts
from gateway.asgi import AppParts, create_app
from gateway.db.engine import create_engine
from gateway.db.secrets import KeyRing
from gateway.db.unit_of_work import Database
from gateway.http.server import HttpServer
from gateway.media_store import MediaStore
from gateway.meta.graph import GraphClient
from gateway.meta.graph_calls import GraphCalls
from gateway.meta.login import FacebookLogin
from gateway.meta.pages import PageConnector
from gateway.net.egress import Egress
from gateway.net.places import EgressPolicy
from gateway.net.resolver import SystemResolver
from gateway.settings import Settings
from routing import api as routing_api
from routing.acceptance import RoutingRules
from routing.changes import RoutingChanges
from routing.engagement import Engagement
from routing.reach import Reach

# Meta is nobody here; who asks it is told so.
_GRAPH = "http://127.0.0.1:1"


async def _partition(key: str) -> int:
    return len(key) % 4


async def _serve(database_url: str, directory: str) -> None:
    engine = create_engine(database_url, pool_size=10, max_overflow=5, application_name="test")
    database = Database(engine, clock=FakeClock(), keyring=KeyRing({"a": bytes(32)}))
    client = httpx.AsyncClient()
    app = create_app(
        Settings(gateway_admin_key=SecretStr(ADMIN_KEY), api_rate_limit_per_minute=0),
        AppParts(
            database=database,
            api=ApiParts(
                public_url="https://gateway.example",
                egress=Egress(
                    EgressPolicy(ports=frozenset({443})), resolver=SystemResolver(threads=1)
                ),
                pages=PageConnector(GraphCalls(client, base_url=_GRAPH)),
                graph=GraphClient(client, base_url=_GRAPH),
                login=FacebookLogin(GraphCalls(client, base_url=_GRAPH)),
                engagement=Engagement(),
                routing_rules=RoutingRules(),
                routing_changes=RoutingChanges(),
                reach=Reach(),
                inbound_partition=_partition,
                endpoint_retry_seconds=(4, 56),
            ),
            routers=(routing_api.router,),
            media=MediaStore.at("", data_dir=directory),
        ),
    )
    server = HttpServer(app, host="127.0.0.1", port=0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.run())
        await server.listening()
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        await server.stop()
        running.cancel()
    await engine.dispose()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_serve(*sys.argv[1:]))
