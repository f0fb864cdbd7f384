"""What the plays share: calls, the events feed, and what visitors see."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from gateway.dev.demo.telling import Teller

SECONDS: Final = 30.0
_LOOKS_A_SECOND: Final = 10

Wanted = Callable[[dict[str, Any]], bool]


class DemoFailedError(Exception):
    """The demo did not go as it should; the message says where."""


@dataclass(slots=True)
class Stage:
    """The gateway of one account, and the sandbox."""

    api: httpx.AsyncClient
    sandbox: httpx.AsyncClient
    tell: Teller
    _cursor: str | None = None
    _read: dict[str, list[str]] = field(default_factory=dict)
    _journal: int = 0

    async def agent(self, first_name: str, last_name: str, state: str = "active") -> str:
        """Make an agent who is at work."""
        agent = await self.post("/v1/agents", {"first_name": first_name, "last_name": last_name})
        await self.presence(agent["id"], state)
        self.tell("agent", f"{first_name} is {state}", agent["id"])
        return str(agent["id"])

    async def presence(self, agent_id: str, state: str) -> None:
        """Let an agent come, go or be busy."""
        await call(self.api, "PUT", f"/v1/agents/{agent_id}/presence", {"state": state})

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Post to the gateway."""
        return await call(self.api, "POST", path, body)

    async def skip_to_now(self) -> None:
        """Pass over the events so far."""
        while True:
            page = await call(self.api, "GET", self._feed(0))
            self._cursor = page["next_cursor"]
            if not page["data"]:
                return

    async def event(self, event_type: str, wanted: Wanted) -> dict[str, Any]:
        """Follow the feed until such an event comes.

        Raises:
            DemoFailedError: None came in time.
        """
        try:
            async with asyncio.timeout(SECONDS):
                while True:
                    page = await call(self.api, "GET", self._feed(10, limit=1))
                    self._cursor = page["next_cursor"]
                    for event in page["data"]:
                        if event["type"] == event_type and wanted(event):
                            return dict(event)
        except TimeoutError:
            raise DemoFailedError(f"No {event_type} came within {SECONDS:.0f} s.") from None

    async def say(self, page_id: str, visitor: str, text: str) -> None:
        """Let a visitor write to a Page."""
        path = f"/control/pages/{page_id}/visitors/{visitor}/messages"
        await call(self.sandbox, "POST", path, {"text": text})
        self.tell("visitor", f"“{text}”", "through Messenger")

    async def read_next(self, visitor: str) -> str:
        """Return the next text that a visitor is sent, as it stands on the visitor's screen.

        Raises:
            DemoFailedError: None came in time.
        """
        for _ in range(int(SECONDS * _LOOKS_A_SECOND)):
            if texts := self._read.get(visitor):
                return texts.pop(0)
            await self._read_journal()
            await asyncio.sleep(1 / _LOOKS_A_SECOND)
        raise DemoFailedError(f"Nothing reached the visitor within {SECONDS:.0f} s.")

    async def _read_journal(self) -> None:
        journal = await call(self.sandbox, "GET", f"/control/journal?after={self._journal}")
        for entry in journal["data"]:
            self._journal = entry["n"]
            if entry["kind"] != "call" or not entry["path"].endswith("/messages"):
                continue
            body = json.loads(entry["body"])
            if "text" in body.get("message", {}):
                self._read.setdefault(body["recipient"]["id"], []).append(body["message"]["text"])

    def _feed(self, wait: int, *, limit: int = 200) -> str:
        after = f"&after={self._cursor}" if self._cursor else ""
        return f"/v1/events?wait={wait}&limit={limit}{after}"


def of(channel: dict[str, Any]) -> Wanted:
    """Want what happens on a channel."""
    return lambda event: event["channel_id"] == channel["id"]


def about(message: dict[str, Any]) -> Wanted:
    """Want what happens to a message."""
    return lambda event: event["data"].get("message", {}).get("id") == message["id"]


def bearer(key: str) -> dict[str, str]:
    """Return the header that carries a key."""
    return {"Authorization": f"Bearer {key}"}


async def call(
    client: httpx.AsyncClient,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Call, and return the answer's object.

    Raises:
        DemoFailedError: It was refused, or there was no answer.
    """
    try:
        answer = await client.request(method, path, json=body, headers=headers)
    except httpx.HTTPError as error:
        raise DemoFailedError(f"{method} {path}: {type(error).__name__}") from error
    if answer.is_error:
        raise DemoFailedError(f"{method} {path} answered {answer.status_code}: {answer.text}")
    return dict(answer.json()) if answer.content else {}
