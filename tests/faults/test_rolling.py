"""Processes are replaced one after the other under traffic, and nobody notices."""

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field

import httpx
import pytest
from tests.e2e.stack import Gateway, Page
from tests.faults.roles import Stage
from tests.faults.running import under_traffic
from tests.faults.wire import Wire

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

_RATE = 200
# Half of the requests come over so many connections, each other one over one of its own.
_KEPT = 10
_PATIENCE_SECONDS = 5.0
# One request in so many reads; the others are webhooks.
_READS = 8
# So many at most are not answered yet; where others have the processor they come more slowly.
_OUTSTANDING = 40
_MOST_LATE_SECONDS = 5.0
_LONGEST_PAUSE = 3.0


async def test_api_processes_are_replaced_without_a_failed_request(
    stage: Stage, staged: Gateway
) -> None:
    tenant = await staged.tenant()
    page = await tenant.page()
    async with _callers(staged, page) as calls:
        async with calls.counted() as flat_out:
            await calls.more()
            await calls.more()
        calls.pause = 1 / _RATE
        async with calls.counted() as rolling:
            for name in ("api-1", "api-2"):
                await calls.more()
                await asyncio.to_thread(stage[name].end)
                await calls.more()
                stage[name].start()
                await stage.until_ready(name)
                await calls.more()
    assert calls.failures == Counter()
    # One process of two, and another that starts, are left half of the machine at least.
    assert rolling[0] > 0.95 * min(_RATE, flat_out[0] / 2), flat_out


async def test_routing_and_sender_are_replaced_without_a_pause(
    stage: Stage, staged: Gateway
) -> None:
    async with under_traffic(staged, "rolling") as run:
        away = []
        for names in (("routing-1", "sender-1"), ("routing-2", "sender-2")):
            left = time.monotonic()
            await asyncio.gather(*(asyncio.to_thread(stage[name].end) for name in names))
            for name in names:
                stage[name].start()
            await stage.until_ready(*names)
            away.append(time.monotonic() - left)
        late = await run.longest_waits()
    await run.require_clean()
    # Others have what was theirs: nobody waits for who is away, however long starting takes.
    assert late["call"] < max(away)
    # The broker keeps a member's partitions for who comes back under its name, and what came
    # meanwhile has its turn in less than half that time.
    assert late["effect"] < 1.5 * max(away) + _LONGEST_PAUSE


@dataclass
class _Calls:
    """What callers saw."""

    count: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    # Seconds from one request to the next; without any, they come as fast as they are answered.
    pause: float = 0.0
    _progress: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[list[float]]:
        """Add how many a second were answered meanwhile to the list that this gives."""
        rates: list[float] = []
        before, began = self.count, time.monotonic()
        yield rates
        rates.append((self.count - before) / (time.monotonic() - began))

    def note(self, outcome: str) -> None:
        self.count += 1
        if outcome:
            self.failures[outcome] += 1
        self._progress.set()

    async def more(self) -> None:
        """Wait until a second's worth of further requests was answered."""
        wanted = self.count + _RATE
        while self.count < wanted:
            self._progress.clear()
            await self._progress.wait()


@asynccontextmanager
async def _callers(gateway: Gateway, page: Page) -> AsyncIterator[_Calls]:
    """Let webhooks and reads come in meanwhile, some over connections that are kept."""
    wire = Wire(gateway.description["api_url"], kept=_KEPT)
    with closing(wire):
        calls = _Calls()
        async with asyncio.TaskGroup() as group:
            calling = group.create_task(_call_on(group, wire, gateway, page, calls))
            yield calls
            calling.cancel()


async def _call_on(
    group: asyncio.TaskGroup, wire: Wire, gateway: Gateway, page: Page, calls: _Calls
) -> None:
    loop = asyncio.get_running_loop()
    room, due = asyncio.Semaphore(_OUTSTANDING), loop.time()
    read = _request("GET", "/v1/channels", {"Authorization": f"Bearer {page.tenant.key}"})
    app = gateway.app
    for n in itertools.count():
        await room.acquire()
        request = read if n % _READS == 0 else _webhook(app, page, n)
        task = group.create_task(_call(wire, request, calls, kept=bool(n // _READS % 2)))
        task.add_done_callback(lambda _: room.release())
        due = max(due + calls.pause, loop.time() - _MOST_LATE_SECONDS)
        await asyncio.sleep(max(0.0, due - loop.time()))


async def _call(wire: Wire, request: bytes, calls: _Calls, *, kept: bool) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            status = await wire.ask(request, kept=kept)
        calls.note("" if status == httpx.codes.OK else str(status))
    except (OSError, asyncio.IncompleteReadError) as error:
        calls.note(f"{type(error).__name__} {'kept' if kept else 'new'}")


def _webhook(app: dict[str, str], page: Page, number: int) -> bytes:
    item = {
        "sender": {"id": "5001"},
        "recipient": {"id": page.page_id},
        "message": {"mid": f"m_{page.page_id}.{number}", "text": "hello"},
    }
    value = {"object": "page", "entry": [{"id": page.page_id, "messaging": [item]}]}
    body = json.dumps(value).encode()
    signature = hmac.new(app["app_secret"].encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={signature}"}
    return _request("POST", f"/webhooks/meta/{app['app_id']}", headers, body)


def _request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    fields = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
