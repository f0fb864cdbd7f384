"""Callers of the REST API, and fakes for the parts that live beside it."""

from typing import Any, Final

ADMIN_KEY: Final = "the-administrator-of-this-instance"
SCOPES: Final = ["read", "write", "send", "admin"]


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


class Api:
    """The application under test and who calls it."""

    def __init__(self, app, client, database, clock, **fakes):
        self.app = app
        self.client = client
        self.database = database
        self.clock = clock
        self.admin = Caller(client, ADMIN_KEY)
        for name, fake in fakes.items():
            setattr(self, name, fake)

    def __getattr__(self, name) -> Any:
        raise AttributeError(name)

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
        self.presences = []
        self.deleted = []

    async def presence_changed(self, work, account_id, agent_id):
        self.presences.append((account_id, agent_id))

    async def channel_deleted(self, work, account_id, channel_id):
        self.deleted.append((account_id, channel_id))


def routing_rules(raw, *, pointer_prefix):
    return dict(raw)
