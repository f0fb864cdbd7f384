"""Processes are replaced one after the other under traffic, and nobody notices."""

import asyncio
import hashlib
import hmac
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from tests.e2e.stack import Gateway, Page
from tests.faults.roles import Stage
from tests.faults.running import under_traffic

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

_RATE = 200
# So many callers keep their connections, as many make a new one for each request.
_CALLERS = 10
_LONGEST_PAUSE = 3.0
_LATE = """
    SELECT max(extract(epoch FROM late)) AS seconds FROM (
      SELECT accepted_at - occurred_at AS late FROM messages
      WHERE direction = 'in' AND account_id = ANY($1)
      UNION ALL
      SELECT first_attempt_at - created_at FROM deliveries
      WHERE kind = 'message' AND account_id = ANY($1)) AS each
"""


async def test_api_processes_are_replaced_without_a_failed_request(
    stage: Stage, staged: Gateway
) -> None:
    tenant = await staged.tenant()
    page = await tenant.page()
    async with _callers(staged, page) as calls:
        for name in ("api-1", "api-2"):
            await calls.more()
            await asyncio.to_thread(stage[name].end)
            await calls.more()
            stage[name].start()
            await stage.until_ready(name)
            await calls.more()
    assert calls.failures == Counter()
    assert calls.count >= 6 * _RATE


async def test_routing_and_sender_are_replaced_without_a_pause(
    stage: Stage, staged: Gateway
) -> None:
    async with under_traffic(staged, "rolling") as run:
        accounts = [each["account"] for each in run.ledger.of("account")]
        for names in (("routing-1", "sender-1"), ("routing-2", "sender-2")):
            await asyncio.gather(*(asyncio.to_thread(stage[name].end) for name in names))
            for name in names:
                stage[name].start()
            await stage.until_ready(*names)
        (late,) = await run.fetch(_LATE, accounts)
    await run.require_clean()
    assert late["seconds"] < _LONGEST_PAUSE


@dataclass
class _Calls:
    """What callers saw."""

    count: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    _progress: asyncio.Event = field(default_factory=asyncio.Event)

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
    calls = _Calls()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_call_on(gateway, page, calls, kept=n < _CALLERS, number=n))
            for n in range(2 * _CALLERS)
        ]
        yield calls
        for task in tasks:
            task.cancel()


async def _call_on(gateway: Gateway, page: Page, calls: _Calls, *, kept: bool, number: int) -> None:
    tenant = {"Authorization": f"Bearer {page.tenant.key}"}
    limits = httpx.Limits(max_keepalive_connections=1 if kept else 0)
    loop = asyncio.get_running_loop()
    due = loop.time()
    address = gateway.description["api_url"]
    async with httpx.AsyncClient(base_url=address, limits=limits, trust_env=False) as client:
        for n in itertools.count():
            try:
                if n % 2:
                    answer = await client.get("/v1/channels", headers=tenant)
                else:
                    answer = await _webhook(client, gateway, page, f"{number}.{n}")
                calls.note("" if answer.status_code == httpx.codes.OK else str(answer.status_code))
            except httpx.HTTPError as error:
                calls.note(f"{type(error).__name__} {'kept' if kept else 'new'}")
            due = max(due + 2 * _CALLERS / _RATE, loop.time() - 1)
            await asyncio.sleep(max(0.0, due - loop.time()))


async def _webhook(
    client: httpx.AsyncClient, gateway: Gateway, page: Page, name: str
) -> httpx.Response:
    item = {
        "sender": {"id": "5001"},
        "recipient": {"id": page.page_id},
        "message": {"mid": f"m_{page.page_id}.{name}", "text": "hello"},
    }
    body = json.dumps({"object": "page", "entry": [{"id": page.page_id, "messaging": [item]}]})
    app = gateway.app
    signature = hmac.new(app["app_secret"].encode(), body.encode(), hashlib.sha256).hexdigest()
    return await client.post(
        f"/webhooks/meta/{app['app_id']}",
        content=body,
        headers={"X-Hub-Signature-256": f"sha256={signature}"},
    )
