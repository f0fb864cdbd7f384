"""How soon the gateway works again after a kill, of each role and of what it stands on.

A whole `gateway dev` runs, which starts again what dies. Counted from the kill until the work is
done that somebody asked for right after it:

* `ingress`: a webhook is answered 200;
* `routing`: what people wrote, on every partition, has been told by the events feed;
* `sender`: what was accepted for several Pages has been sent;
* `postgresql`: a message is accepted by REST and sent;
* `broker`: a webhook is answered 200 and told by the events feed. The embedded broker forgets its
  last records when it is killed; where as many new ones take their places, nobody can tell that
  these were not read yet. Therefore people write again every few seconds until they are heard.
"""

import asyncio
import hashlib
import hmac
import itertools
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import httpx
from tests.e2e.stack import SECONDS, Gateway, Page, Tenant, start, stop

_PEOPLE: Final = 24
_PAGES: Final = 4
_PAUSE_SECONDS: Final = 0.02
_WRITE_AGAIN_SECONDS: Final = 3.0
_WELL_SECONDS: Final = 60.0

_Work = Callable[["_Scene", str], Awaitable[None]]


class _Scene:
    """A running gateway, its people, and what is asked of it after a kill."""

    def __init__(self, gateway: Gateway, tenant: Tenant, pages: list[Page]) -> None:
        self.gateway = gateway
        self.tenant = tenant
        self.pages = pages
        self.conversations: list[str] = []

    async def recover(self, process: str, work: _Work, *, rounds: int) -> float:
        """Kill a process so often and return the longest time in seconds until work was done."""
        longest = 0.0
        for n in range(rounds):
            await self._until_well()
            self.gateway.signal(process, signal.SIGKILL)
            struck = time.monotonic()
            await work(self, f"{process} {n}")
            longest = max(longest, time.monotonic() - struck)
        return longest

    async def webhook(self, text: str) -> None:
        """Post a webhook until it is answered 200."""
        page, app = self.pages[0], self.gateway.app
        item = {
            "sender": {"id": "5001"},
            "recipient": {"id": page.page_id},
            "message": {"mid": f"m_{page.page_id}_{text}", "text": text},
        }
        body = json.dumps({"object": "page", "entry": [{"id": page.page_id, "messaging": [item]}]})
        signature = hmac.new(app["app_secret"].encode(), body.encode(), hashlib.sha256)
        await _insist(
            lambda: self.gateway.api.post(
                f"/webhooks/meta/{app['app_id']}",
                content=body,
                headers={"X-Hub-Signature-256": f"sha256={signature.hexdigest()}"},
            )
        )

    async def say(self, conversation: str, text: str) -> str:
        """Have a message accepted and return its id."""
        answer = await _insist(
            lambda: self.gateway.api.post(
                f"/v1/conversations/{conversation}/messages",
                json={"content": {"type": "text", "text": text}},
                headers={
                    "Authorization": f"Bearer {self.tenant.key}",
                    "Idempotency-Key": f"{conversation} {text}",
                },
            )
        )
        return str(answer.json()["id"])

    async def heard(self, event_type: str, **fields: str) -> None:
        """Return when the feed has told of a message with this id or text."""
        while True:
            try:
                await self.tenant.event(event_type, lambda event: _is(event["data"], fields))
            except (AssertionError, httpx.HTTPError):
                # The API answers no better than what it stands on.
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return

    async def _until_well(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
            for address in self.gateway.description["ops_urls"].values():
                await _insist(partial(client.get, f"{address}/readyz"))
        # Every part has its share of the work, too.
        for page in self.pages:
            await page.conversation(f"well at {time.monotonic()}")
        await asyncio.gather(*(self._sent(each, "well") for each in self.conversations))

    async def _sent(self, conversation: str, text: str) -> None:
        message = await self.say(conversation, f"{text} {time.monotonic()}")
        await self.heard("message.sent", id=message)


async def _ingress(scene: _Scene, name: str) -> None:
    await scene.webhook(name)


async def _routing(scene: _Scene, name: str) -> None:
    for n in range(_PEOPLE):
        await scene.pages[n % _PAGES].visitor_writes(f"{name} {n}", visitor=str(7000100 + n))
    for n in range(_PEOPLE):
        await scene.heard("message.received", text=f"{name} {n}")


async def _sender(scene: _Scene, name: str) -> None:
    messages = [await scene.say(each, name) for each in scene.conversations]
    for message in messages:
        await scene.heard("message.sent", id=message)


async def _broker(scene: _Scene, name: str) -> None:
    for n in itertools.count():
        await scene.webhook(f"{name} {n}")
        with suppress(TimeoutError):
            async with asyncio.timeout(_WRITE_AGAIN_SECONDS):
                await scene.heard("message.received", text=f"{name} {n}")
            return


async def _insist(request: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    deadline = time.monotonic() + _WELL_SECONDS
    while True:
        try:
            answer = await request()
            if answer.is_success:
                return answer
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError
        await asyncio.sleep(_PAUSE_SECONDS)


def _is(data: dict[str, dict[str, object]], fields: dict[str, str]) -> bool:
    message = data["message"]
    content = message["content"]
    assert isinstance(content, dict)
    known = {"id": message["id"], "text": content.get("text")}
    return all(known[name] == value for name, value in fields.items())


_KILLS: Final[dict[str, tuple[str, _Work]]] = {
    "ingress": ("api", _ingress),
    "routing": ("routing", _routing),
    "sender": ("sender", _sender),
    "postgresql": ("postgres", _sender),
    "broker": ("kafka", _broker),
}


async def recoveries(*, rounds: int) -> AsyncIterator[tuple[str, float]]:
    """Kill one part after the other; yield its name and the longest recovery in seconds."""
    with tempfile.TemporaryDirectory(prefix="gateway-recovery-") as name:
        directory = Path(name)
        # PostgreSQL runs as a user of its own.
        directory.chmod(0o711)
        process = await asyncio.to_thread(start, directory, "--no-demo")
        try:
            async with _scene(directory, process) as scene:
                for part, (killed, work) in _KILLS.items():
                    yield part, await scene.recover(killed, work, rounds=rounds)
        finally:
            await asyncio.to_thread(stop, process)


@asynccontextmanager
async def _scene(directory: Path, process: subprocess.Popen[bytes]) -> AsyncIterator[_Scene]:
    async with httpx.AsyncClient() as nobody:
        described = Gateway(directory, process, nobody, nobody).description
    async with (
        httpx.AsyncClient(base_url=described["api_url"], timeout=SECONDS) as api,
        httpx.AsyncClient(base_url=described["sandbox_url"], timeout=SECONDS) as sandbox,
    ):
        gateway = Gateway(directory, process, api, sandbox)
        tenant = await gateway.tenant()
        scene = _Scene(gateway, tenant, [await tenant.page() for _ in range(_PAGES)])
        scene.conversations = [await page.conversation("hello") for page in scene.pages]
        yield scene
