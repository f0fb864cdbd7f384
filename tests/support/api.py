"""Callers of the REST API, and fakes for the parts that live beside it."""

import asyncio
import itertools
from dataclasses import dataclass
from typing import Any, Final

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from tests.support.clock import FakeClock
from tests.support.receiver import Receiver

from gateway.db.unit_of_work import Database

ADMIN_KEY: Final = "the-administrator-of-this-instance"
SCOPES: Final = ["read", "write", "send", "admin"]
META_APP: Final = "310000000000001"
_NUMBERS = itertools.count(1)


class Caller:
    """Calls with one key."""

    def __init__(self, client, key, account_id=None):
        self._client = client
        self.key = key
        self.account_id = account_id

    async def call(self, method, path, *, json=None, headers=None, **more):
        given = {"Authorization": f"Bearer {self.key}"} | dict(headers or {})
        if json is not None:
            more["json"] = json
        return await self._client.request(method, path, headers=given, **more)

    async def get(self, path, **more):
        return await self.call("GET", path, **more)

    async def post(self, path, json=None, **more):
        return await self.call("POST", path, json=json, **more)

    async def put(self, path, json=None, **more):
        return await self.call("PUT", path, json=json, **more)

    async def patch(self, path, json=None, **more):
        return await self.call("PATCH", path, json=json, **more)

    async def delete(self, path, **more):
        return await self.call("DELETE", path, **more)


@dataclass(kw_only=True)
class Api:
    """The application under test, who calls it, and what stands around it."""

    app: FastAPI
    client: httpx.AsyncClient
    database: Database
    clock: FakeClock
    sandbox: httpx.AsyncClient
    hook: Receiver
    engagement: "FakeEngagement"
    changes: "FakeRoutingChanges"
    rules: "FakeRoutingRules"

    @property
    def admin(self) -> Caller:
        return Caller(self.client, ADMIN_KEY)

    async def account(self, name="Acme", scopes=SCOPES, **settings) -> Caller:
        """Make an account and return a caller with a key of it."""
        made = await self.admin.post("/v1/accounts", {"name": name, **settings})
        assert made.status_code == 201, made.text
        return await self.key(made.json()["id"], scopes)

    async def key(self, account_id, scopes) -> Caller:
        made = await self.admin.post(
            f"/v1/accounts/{account_id}/api-keys", {"name": "test", "scopes": scopes}
        )
        assert made.status_code == 201, made.text
        return Caller(self.client, made.json()["secret"], account_id)

    async def meta_app(self, **more):
        """Make the sandbox's Meta app known and return its id."""
        body = {
            "app_id": META_APP,
            "name": "Sandbox",
            "app_secrets": ["app-secret"],
            "verify_token": "verify",
            **more,
        }
        made = await self.admin.post("/v1/meta-apps", body)
        assert made.status_code in (201, 409), made.text
        return META_APP

    async def page(self, page_id=None, **more):
        """Make a Page in the sandbox and return what a channel's source is made of."""
        page_id = page_id or f"10{next(_NUMBERS):08d}"
        page = {"page_id": page_id, "name": "Acme", "access_token": f"EAA{page_id}", **more}
        made = await self.sandbox.post("/control/pages", json=page)
        assert made.status_code < 300, made.text
        return {"page_id": page_id, "page_access_token": page["access_token"]}

    async def messenger(self, caller, **more):
        """Make a Messenger channel and return it."""
        body = {
            "kind": "messenger",
            "name": "Messenger",
            "meta_app_id": await self.meta_app(),
            "source": await self.page(),
            **more,
        }
        made = await caller.post("/v1/channels", body)
        assert made.status_code == 201, made.text
        return made.json()

    async def third_party(self, caller, **more):
        """Make a third-party channel and return it."""
        made = await caller.post("/v1/channels", third_party_body(self.hook.url, **more))
        assert made.status_code == 201, made.text
        return made.json()

    async def events(self, *, types=()):
        """Return the types and data of the events written so far, in the order of writing."""
        async with self.database.unit_of_work() as work:
            rows = await work.connection.execute(
                text("SELECT type, data FROM events ORDER BY created_at, sequence, id")
            )
            return [(row.type, row.data) for row in rows if not types or row.type in types]

    async def until_waiting(self, many=1):
        """Return once so many statements wait for locks."""
        waiting = (
            "SELECT count(*) AS many FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        async with asyncio.timeout(10):
            while (await self.rows(waiting))[0]["many"] < many:
                pass

    async def rows(self, query, **parameters):
        """Return the rows of a query, as dictionaries."""
        async with self.database.unit_of_work() as work:
            found = await work.connection.execute(text(query), parameters)
            return [dict(row) for row in found.mappings()] if found.returns_rows else []


def third_party_body(url, **more):
    return {
        "kind": "third_party",
        "name": "Acme app",
        "source": {"source_name": "Acme app", "outgoing_webhook_url": url},
        **more,
    }


def problem(response, slug, status):
    """Check that an answer is a problem and return its body."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["type"] == f"/problems/{slug}", body
    assert body["status"] == status
    assert body["instance"] == response.headers["x-request-id"]
    return body


def pointers(body):
    return [fault["pointer"] for fault in body["errors"]]


class FakeEngagement:
    """Enquiries that are what a test says."""

    def __init__(self):
        self.sends = []
        self.enquiries: dict[str, dict[str, Any]] = {}
        self.refusal: Exception | None = None
        self.enquiry_id = None

    async def before_send(self, work, conversation, channel, *, author_kind, author_id, takeover):
        self.sends.append((conversation.id, author_kind, author_id, takeover))
        if self.refusal is not None:
            raise self.refusal
        return self.enquiry_id

    async def enquiry_resources(self, work, account_id, enquiry_ids):
        return {each: self.enquiries[each] for each in enquiry_ids if each in self.enquiries}


class FakeRoutingChanges:
    """Remembers what it was told."""

    def __init__(self):
        self.told = []

    async def presence_changed(self, work, account_id, agent_id):
        self.told.append(("presence", account_id, agent_id))

    async def destination_changed(self, work, account_id, destination_id):
        self.told.append(("destination", account_id, destination_id))

    async def routing_changed(self, work, account_id, channel_id):
        self.told.append(("routing", account_id, channel_id))

    async def link_moved(self, work, account_id, channel_id):
        self.told.append(("link", account_id, channel_id))

    async def contacts_limit_changed(self, work, account_id):
        self.told.append(("contacts limit", account_id, None))

    async def channel_deleted(self, work, account_id, channel_id):
        self.told.append(("channel deleted", account_id, channel_id))


class FakeRoutingRules:
    """Accepts everything, or refuses as a test says."""

    def __init__(self):
        self.refusal: Exception | None = None

    async def accept(self, work, account_id, raw, *, pointer_prefix):
        if self.refusal is not None:
            raise self.refusal
        return dict(raw)
