"""The whole gateway as `gateway dev` starts it, and what its users do with it."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.support.processes import freeze

SECONDS = 30.0


@dataclass
class Gateway:
    """A running `gateway dev`."""

    directory: Path
    process: subprocess.Popen[bytes]
    api: httpx.AsyncClient
    sandbox: httpx.AsyncClient

    @property
    def description(self) -> dict[str, Any]:
        return dict(json.loads((self.directory / "dev.json").read_text()))

    def pid(self, name: str) -> int:
        return int(self.description["pids"][name])

    def signal(self, name: str, number: signal.Signals) -> None:
        if number is signal.SIGSTOP:
            freeze(self.pid(name))
        else:
            os.kill(self.pid(name), number)

    @property
    def app(self) -> dict[str, str]:
        return dict(self.description["meta_app"])

    async def admin(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        return dict(await call(self.api, method, path, body, self.description["admin_key"]))

    async def tenant(self) -> "Tenant":
        """Make an account with an agent that is on duty."""
        account = await self.admin("POST", "/v1/accounts", {"name": "Test"})
        key = await self.admin(
            "POST",
            f"/v1/accounts/{account['id']}/api-keys",
            {"name": "all", "scopes": ["read", "write", "send", "admin"]},
        )
        return Tenant(self, account["id"], key["secret"])

    async def journal(self, *, path: str = "/messages", after: int = 0) -> list[dict[str, Any]]:
        """Return the calls of a path that the sandbox received."""
        answer = await self.sandbox.get("/control/journal", params={"after": after})
        return [
            entry
            for entry in answer.json()["data"]
            if entry["kind"] == "call" and entry["path"].endswith(path)
        ]

    async def fault(self, **fault: Any) -> None:
        await call(self.sandbox, "POST", "/control/faults", fault)

    async def advance_clock(self, seconds: float) -> None:
        await call(self.sandbox, "POST", "/control/clock", {"advance_seconds": seconds})


@dataclass
class Tenant:
    """An account and what its back end does."""

    gateway: Gateway
    account: str
    key: str
    cursor: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        return await call(self.gateway.api, method, path, body, self.key, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return await self.call("POST", path, body, **options)

    async def get(self, path: str) -> Any:
        return await self.call("GET", path)

    async def agent(self, **fields: Any) -> str:
        agent = await self.post("/v1/agents", {"first_name": "Ada", **fields})
        await self.call("PUT", f"/v1/agents/{agent['id']}/presence", {"state": "active"})
        return str(agent["id"])

    async def page(
        self, page_id: str | None = None, *, agent: str | None = None, **fields: Any
    ) -> "Page":
        """Connect a new Page of the sandbox."""
        page = Page(self, page_id or str(10**15 + secrets.randbelow(10**15)))
        await page.exist()
        await page.connect(agent=agent, **fields)
        return page

    async def event(
        self, event_type: str, wanted: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> dict[str, Any]:
        """Follow the feed until such an event has come; those seen before count as well."""
        seen = 0
        async with asyncio.timeout(SECONDS):
            while True:
                for event in self.events[seen:]:
                    if event["type"] == f"gateway.{event_type}.v1" and wanted(event):
                        return event
                seen = len(self.events)
                after = f"&after={self.cursor}" if self.cursor else ""
                page = await self.get(f"/v1/events?wait=5&limit=200{after}")
                self.cursor = page["next_cursor"]
                self.events += page["data"]

    async def until(
        self, path: str, wanted: Callable[[Any], bool], *, seconds: float = SECONDS
    ) -> Any:
        """Read a resource until it is as wanted."""
        deadline = time.monotonic() + seconds
        while True:
            resource = await self.get(path)
            if wanted(resource):
                return resource
            assert time.monotonic() < deadline, resource
            # The feed's long poll is the pause: it returns as soon as something happens.
            await self.get(
                "/v1/events?wait=1&limit=1" + (f"&after={self.cursor}" if self.cursor else "")
            )


@dataclass
class Page:
    """A Facebook Page of the sandbox, and its channel."""

    tenant: Tenant
    page_id: str
    channel: str = ""

    @property
    def token(self) -> str:
        return f"EAAtoken{self.page_id}"

    async def exist(self) -> None:
        await call(
            self.tenant.gateway.sandbox,
            "POST",
            "/control/pages",
            {"page_id": self.page_id, "name": f"Page {self.page_id}", "access_token": self.token},
        )

    async def connect(self, *, agent: str | None = None, **fields: Any) -> str:
        routing = {"rule": "alternative", "destinations": [{"id": agent}]} if agent else None
        body = {
            "kind": "messenger",
            "name": "A Page",
            "meta_app_id": self.tenant.gateway.app["app_id"],
            "source": {"page_id": self.page_id, "page_access_token": self.token},
            # What is said by itself is for the tests that are about it.
            "messages": {"welcome": {"enabled": False}},
            **fields,
        }
        if routing is not None:
            body["routing"] = routing
        channel = await self.tenant.post("/v1/channels", body)
        self.channel = channel["id"]
        return self.channel

    async def visitor_writes(self, text: str, *, visitor: str = "7000001") -> dict[str, Any]:
        path = f"/control/pages/{self.page_id}/visitors/{visitor}/messages"
        return dict(await call(self.tenant.gateway.sandbox, "POST", path, {"text": text}))

    async def conversation(self, text: str = "hello", *, visitor: str = "7000001") -> str:
        """Let a visitor write and return the conversation."""
        await self.visitor_writes(text, visitor=visitor)
        event = await self.tenant.event(
            "message.received",
            lambda event: (
                event["channel_id"] == self.channel
                and event["data"]["message"]["content"].get("text") == text
            ),
        )
        return str(event["conversation_id"])

    async def calls(self) -> list[dict[str, Any]]:
        """Return the sends that the sandbox received for this Page, in order."""
        return [
            entry
            for entry in await self.tenant.gateway.journal(path=f"/{self.page_id}/messages")
            if "message" in _body(entry)
        ]

    async def texts(self) -> list[str]:
        return [_body(entry)["message"]["text"] for entry in await self.calls()]


def _body(entry: dict[str, Any]) -> dict[str, Any]:
    body = entry["body"]
    return dict(json.loads(body)) if isinstance(body, str) else dict(body or {})


async def call(
    client: httpx.AsyncClient,
    method: str,
    path: str,
    body: Any = None,
    key: str | None = None,
    *,
    expect: int | None = None,
    headers: dict[str, str] | None = None,
) -> Any:
    """Make a call that must succeed, or answer as expected; return what it answered."""
    headers = dict(headers or {})
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    answer = await client.request(method, path, json=body, headers=headers)
    if expect is None:
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
    else:
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


def start(directory: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start `gateway dev` and return once it is ready."""
    with (directory / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "dev", "--data-dir", str(directory), *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + 90
    while not (directory / "dev.json").exists():
        assert process.poll() is None, (directory / "dev.log").read_text()
        assert time.monotonic() < deadline, (directory / "dev.log").read_text()
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    return process


def stop(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(30)
