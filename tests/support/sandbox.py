"""Both sides of a sandbox in the test's own process: its app's webhook address, and a client."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from gateway.clock import SystemClock
from gateway.sandbox.settings import SandboxSettings

APP_ID = "310000000000001"
SECRET = "e3b0c44298fc1c149afbf4c8996fb924"
VERIFY_TOKEN = "tell nobody"
TOKEN = "EAAharbour"
PAGE = "1001"
PSID = "5551"
ALL_FIELDS = (
    "messages,message_echoes,message_deliveries,message_reads,message_reactions,"
    "messaging_postbacks,messaging_referrals,messaging_handovers,standby,feed"
)
TEXT = {"text": "Good morning"}
PATIENCE = 10

Answer = Callable[[httpx.Request], Awaitable[httpx.Response]]


def settings(**changes: Any) -> SandboxSettings:
    values = {
        "app_id": APP_ID,
        "app_secret": SecretStr(SECRET),
        "verify_token": SecretStr(VERIFY_TOKEN),
        "webhook_url": "http://gateway.test/webhooks/meta/{app_id}",
        **changes,
    }
    return SandboxSettings(**values)


class Hook:
    """The webhook address: keeps what it gets, answers 200 unless told otherwise."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.usual: int | Answer = 200
        self._next: deque[int | Answer] = deque()
        self._arrived = asyncio.Condition()

    def then(self, *answers: int | Answer) -> None:
        self._next.extend(answers)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self._next.popleft() if self._next else self.usual
        async with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        return httpx.Response(answer) if isinstance(answer, int) else await answer(request)

    async def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Return the bodies once so many have come."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.bodies()

    async def wait_until(self, seen: Callable[[list[dict[str, Any]]], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: seen(self.items()))

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.requests if request.content]

    def items(self, channel: str = "messaging") -> list[dict[str, Any]]:
        return [
            item
            for body in self.bodies()
            for entry in body["entry"]
            for item in entry.get(channel, [])
        ]

    def clear(self) -> None:
        self.requests.clear()


class Box:
    """The sandbox, spoken to as Graph by the gateway and by its control calls."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, clock: SystemClock) -> None:
        self.app = app
        self.client = client
        self.clock = clock

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.client.request(method, f"/control{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def page(self, page_id: str = PAGE, **fields: Any) -> Any:
        body = {"page_id": page_id, "access_token": TOKEN, **fields}
        return await self.control("POST", "/pages", body)

    async def visitor(self, body: Any, *, psid: str = PSID, page: str = PAGE) -> Any:
        return await self.control("POST", f"/pages/{page}/visitors/{psid}/messages", body)

    async def says(self, text: str, *, psid: str = PSID, page: str = PAGE) -> Any:
        return await self.visitor({"text": text}, psid=psid, page=page)

    async def thread(self, psid: str = PSID, page: str = PAGE) -> Any:
        return await self.control("GET", f"/pages/{page}/visitors/{psid}")

    async def graph(
        self, method: str, path: str, *, token: str | None = TOKEN, **request: Any
    ) -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        headers |= request.pop("headers", {})
        return await self.client.request(method, f"/v26.0/{path}", headers=headers, **request)

    async def send(self, *, page: str = PAGE, psid: str = PSID, **body: Any) -> httpx.Response:
        return await self.graph(
            "POST", f"{page}/messages", json={"recipient": {"id": psid}, **body}
        )

    async def journal(self, after: int = 0) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.control("GET", f"/journal?after={after}"))["data"]
        return found

    async def advance(self, **span: float) -> None:
        seconds = timedelta(**span).total_seconds()
        await self.control("POST", "/clock", {"advance_seconds": seconds})


def error_of(answer: httpx.Response) -> tuple[int, int | None]:
    """Return code and subcode of a Graph error."""
    error = answer.json()["error"]
    return error["code"], error.get("error_subcode")
