"""The REST API over a desk: what callers do there, routing sees, and the other way round."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr
from tests.support.api import ADMIN_KEY, Caller
from tests.support.application import application
from tests.support.desk import Desk, desk

from gateway.api.parts import ApiParts
from gateway.asgi import AppParts
from gateway.settings import Settings
from routing import api as routing_api
from routing.acceptance import RoutingRules
from routing.changes import RoutingChanges
from routing.engagement import Engagement
from routing.reach import Reach


@dataclass
class Rest:
    """The application over a desk, and who calls it."""

    desk: Desk
    client: httpx.AsyncClient
    me: Caller

    async def caller(self, account_id: str | None = None, *scopes: str) -> Caller:
        """Return a caller of this account or another with a key of these scopes."""
        admin = Caller(self.client, ADMIN_KEY)
        if account_id is None:
            account_id = (await admin.post("/v1/accounts", {"name": "B"})).json()["id"]
        made = await admin.post(
            f"/v1/accounts/{account_id}/api-keys",
            {"name": "test", "scopes": list(scopes) or ["read", "write", "send"]},
        )
        return Caller(self.client, made.json()["secret"], account_id)


@asynccontextmanager
async def rest_desk(database_url: str, **options: int) -> AsyncIterator[Rest]:
    """Open a desk, with its options, and the application over it."""
    unused: Any = None
    settings = Settings(gateway_admin_key=SecretStr(ADMIN_KEY), api_rate_limit_per_minute=0)
    async with desk(database_url, **options) as opened:
        parts = AppParts(
            database=opened.database,
            api=ApiParts(
                public_url="https://gateway.example",
                egress=unused,
                pages=unused,
                graph=unused,
                login=unused,
                engagement=Engagement(),
                routing_rules=RoutingRules(),
                routing_changes=RoutingChanges(),
                reach=Reach(),
                inbound_partition=unused,
                endpoint_retry_seconds=(4, 56),
            ),
            routers=(routing_api.router,),
        )
        transport = httpx.ASGITransport(app=application(settings, parts))
        async with httpx.AsyncClient(transport=transport, base_url="https://g.example") as client:
            made = Rest(opened, client, Caller(client, ""))
            made.me = await made.caller(opened.account)
            yield made
