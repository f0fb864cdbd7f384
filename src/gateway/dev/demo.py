"""A conversation played through the public interface, told line by line as it happens.

Everything here is what a back end would do: REST calls, and the events feed to see what came of
them. The visitor's part is played through the sandbox.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx
from rich.console import Console
from rich.text import Text

PAGE_ID: Final = "104000000000001"
VISITOR: Final = "7400000000000001"
_SECONDS: Final = 30.0

_COLOURS: Final = {
    "visitor": "cyan",
    "agent": "green",
    "gateway": "magenta",
    "back end": "yellow",
    "third party": "blue",
}


class DemoFailedError(Exception):
    """The demo did not go as it should; the message says where."""


@dataclass(slots=True)
class Demo:
    """The cast: an account with a Messenger channel, a third-party channel and an agent."""

    console: Console
    api_url: str
    sandbox_url: str
    admin_key: str
    app_id: str

    async def play(self) -> str:
        """Play the conversation and return the account's API key.

        Raises:
            DemoFailedError: Something did not happen within half a minute.
        """
        async with (
            httpx.AsyncClient(
                base_url=self.api_url,
                headers=_bearer(self.admin_key),
                trust_env=False,
                timeout=_SECONDS,
            ) as admin,
            httpx.AsyncClient(
                base_url=self.sandbox_url, trust_env=False, timeout=_SECONDS
            ) as sandbox,
        ):
            key = await self._account(admin)
            async with httpx.AsyncClient(
                base_url=self.api_url, headers=_bearer(key), trust_env=False, timeout=_SECONDS
            ) as api:
                await _Play(self, api, sandbox).run()
        return key

    async def _account(self, admin: httpx.AsyncClient) -> str:
        account = await _call(admin, "POST", "/v1/accounts", {"name": "Demo Ltd"})
        key = await _call(
            admin,
            "POST",
            f"/v1/accounts/{account['id']}/api-keys",
            {"name": "demo", "scopes": ["read", "write", "send", "admin"]},
        )
        self.tell("back end", "made an account and an API key", account["id"])
        return str(key["secret"])

    def tell(self, who: str, what: str, detail: str = "") -> None:
        """Print one line: who did what."""
        line = Text(f"{who:>12}  ", style=f"bold {_COLOURS[who]}")
        line.append(what, style="default")
        if detail:
            line.append(f"  {detail}", style="dim")
        self.console.print(line, soft_wrap=True)


class _Play:
    """One run of the conversation."""

    def __init__(self, demo: Demo, api: httpx.AsyncClient, sandbox: httpx.AsyncClient) -> None:
        self._demo = demo
        self._api = api
        self._sandbox = sandbox
        self._cursor: str | None = None

    async def run(self) -> None:
        agent = await self._agent()
        messenger = await self._messenger_channel(agent)
        third_party, token = await self._third_party_channel(agent)
        await self._skip_to_now()
        await self._on_messenger(messenger, agent)
        await self._on_third_party(third_party, token, agent)

    async def _agent(self) -> str:
        agent = await self._post(
            "/v1/agents", {"first_name": "Ada", "last_name": "Byron", "display_name": "Ada"}
        )
        await _call(self._api, "PUT", f"/v1/agents/{agent['id']}/presence", {"state": "active"})
        self._demo.tell("agent", "Ada is active", agent["id"])
        return str(agent["id"])

    async def _messenger_channel(self, agent: str) -> dict[str, Any]:
        token = "EAADemoPageToken"  # noqa: S105 - the sandbox takes what it is told
        await _call(
            self._sandbox,
            "POST",
            "/control/pages",
            {"page_id": PAGE_ID, "name": "Demo Page", "access_token": token},
        )
        channel = await self._post(
            "/v1/channels",
            {
                "kind": "messenger",
                "name": "Demo Page",
                "meta_app_id": self._demo.app_id,
                "source": {"page_id": PAGE_ID, "page_access_token": token},
                "routing": _to(agent),
            },
        )
        self._demo.tell("back end", "connected a Facebook Page", channel["id"])
        return channel

    async def _third_party_channel(self, agent: str) -> tuple[dict[str, Any], str]:
        channel = await self._post(
            "/v1/channels",
            {
                "kind": "third_party",
                "name": "Web chat",
                "source": {
                    "source_name": "Web chat",
                    "outgoing_webhook_url": f"{self._demo.sandbox_url}/third-party/demo/webhook",
                },
                "routing": _to(agent),
            },
        )
        self._demo.tell("back end", "connected a third-party channel", channel["id"])
        return channel, str(channel["source"]["incoming_token"])

    async def _on_messenger(self, channel: dict[str, Any], agent: str) -> None:
        text = "Hello! Is the blue bicycle still for sale?"
        await _call(
            self._sandbox,
            "POST",
            f"/control/pages/{PAGE_ID}/visitors/{VISITOR}/messages",
            {"text": text},
        )
        self._demo.tell("visitor", f"“{text}”", "through Messenger")
        received = await self._event("gateway.message.received.v1", _of(channel))
        self._demo.tell("gateway", "received it, once and in order", received["id"])
        await self._answer(
            channel, agent, received, "Yes, it is. Would you like to see it this afternoon?"
        )

    async def _on_third_party(self, channel: dict[str, Any], token: str, agent: str) -> None:
        text = "Do you deliver to Leith?"
        await _call(
            self._api,
            "POST",
            f"/incoming/{channel['id']}/messages",
            {
                "id": "web-1",
                "contact": {"id": "web-visitor-1", "name": "Robin"},
                "type": "text",
                "text": text,
            },
            headers=_bearer(token),
        )
        self._demo.tell("third party", f"“{text}”", "through the incoming API")
        received = await self._event("gateway.message.received.v1", _of(channel))
        sent = await self._answer(channel, agent, received, "We do, on Tuesdays and Fridays.")
        await _call(
            self._api,
            "POST",
            f"/incoming/{channel['id']}/statuses",
            {"message_id": sent["id"], "status": "delivered"},
            headers=_bearer(token),
        )
        self._demo.tell("third party", "tells that it was delivered")
        await self._event("gateway.message.delivered.v1", _of(channel))
        self._demo.tell("gateway", "✓✓ delivered", sent["id"])

    async def _answer(
        self, channel: dict[str, Any], agent: str, received: dict[str, Any], text: str
    ) -> dict[str, Any]:
        offered = await self._event("gateway.enquiry.offered.v1", _of(channel))
        enquiry = offered["enquiry_id"]
        self._demo.tell("gateway", "offered the enquiry to Ada", enquiry)
        await self._post(f"/v1/enquiries/{enquiry}/accept", {"agent_id": agent})
        self._demo.tell("agent", "accepts it")
        conversation = received["conversation_id"]
        if channel["kind"] != "third_party":
            await self._post(f"/v1/conversations/{conversation}/actions", {"action": "mark_seen"})
            await self._post(f"/v1/conversations/{conversation}/actions", {"action": "typing_on"})
        message = await self._post(
            f"/v1/conversations/{conversation}/messages",
            {
                "content": {"type": "text", "text": text},
                "author": {"kind": "agent", "id": agent},
            },
        )
        self._demo.tell("agent", f"“{text}”", message["id"])
        await self._event("gateway.message.sent.v1", _about(message))
        self._demo.tell("gateway", "✓ sent, once", message["id"])
        if channel["kind"] != "third_party":
            await self._event("gateway.message.delivered.v1", _about(message))
            self._demo.tell("gateway", "✓✓ delivered", message["id"])
        return message

    async def _skip_to_now(self) -> None:
        # The account is new: its feed holds little more than the channels that were made.
        while True:
            page = await _call(self._api, "GET", self._feed(0))
            self._cursor = page["next_cursor"]
            if not page["data"]:
                return

    async def _event(
        self, event_type: str, wanted: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """Follow the feed until such an event comes."""
        try:
            async with asyncio.timeout(_SECONDS):
                while True:
                    page = await _call(self._api, "GET", self._feed(10, limit=1))
                    self._cursor = page["next_cursor"]
                    for event in page["data"]:
                        if event["type"] == event_type and wanted(event):
                            return dict(event)
        except TimeoutError:
            raise DemoFailedError(f"No {event_type} came within {_SECONDS:.0f} s.") from None

    def _feed(self, wait: int, *, limit: int = 200) -> str:
        after = f"&after={self._cursor}" if self._cursor else ""
        return f"/v1/events?wait={wait}&limit={limit}{after}"

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await _call(self._api, "POST", path, body)


def _to(agent: str) -> dict[str, Any]:
    return {"rule": "alternative", "destinations": [{"id": agent, "timeout_seconds": 60}]}


def _of(channel: dict[str, Any]) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["channel_id"] == channel["id"]


def _about(message: dict[str, Any]) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["data"].get("message", {}).get("id") == message["id"]


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def _call(
    client: httpx.AsyncClient,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    try:
        answer = await client.request(method, path, json=body, headers=headers)
    except httpx.HTTPError as error:
        raise DemoFailedError(f"{method} {path}: {type(error).__name__}") from error
    if answer.is_error:
        raise DemoFailedError(f"{method} {path} answered {answer.status_code}: {answer.text}")
    return dict(answer.json()) if answer.content else {}
