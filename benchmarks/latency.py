"""How long things take when little is to be done: one at a time, the whole gateway running.

* `webhook_to_event`: a webhook is posted → its public event has been read from Kafka.
* `accept_to_graph`: REST has answered 202 → Graph is called; `request_to_graph` counts from before
  the request.
* `webhook_to_reply`: a webhook is posted → the agent's offer has been read from Kafka → the agent
  answers by REST → Graph is called.

The roles share core 0; the database, the broker, Graph and what makes the load share core 1.
"""

import asyncio
import hashlib
import hmac
import json
import os
import random
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.desk import APP, APP_SECRET, Desk, desk
from benchmarks.figures import record
from benchmarks.sending import journal, sends_to, slow_graph
from benchmarks.stage import OTHER_CORE, Stage, stage
from gateway.contracts.topics import CONVERSATIONS

_SAMPLES: Final = 200
_WARM_UP: Final = 20
_GRAPH_MILLISECONDS: Final = 20
# Between samples, so that none begins where the one before left something to do.
_LONGEST_PAUSE: Final = 0.08
_PATIENCE_SECONDS: Final = 10.0

# When an event was read, its type and its body.
_Event = tuple[float, str, dict[str, Any]]


@dataclass(slots=True)
class _Town:
    """A running gateway as a back end and a platform see it."""

    api: httpx.AsyncClient
    key: str
    agent: str
    desk: Desk
    graph_url: str
    events: "asyncio.Queue[_Event]"

    async def webhook(self, place: int, text: str) -> None:
        """Post what a contact says, as the platform does."""
        now = round(time.time() * 1000)
        page = self.desk.pages[place]
        item = {
            "sender": {"id": self.desk.contacts[place]},
            "recipient": {"id": page},
            "timestamp": now,
            "message": {"mid": f"m_{text}", "text": text},
        }
        entry = {"id": page, "time": now, "messaging": [item]}
        body = json.dumps({"object": "page", "entry": [entry]}).encode()
        digest = hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
        answer = await self.api.post(
            f"/webhooks/meta/{APP}",
            content=body,
            headers={"X-Hub-Signature-256": f"sha256={digest}", "Content-Type": "application/json"},
        )
        answer.raise_for_status()

    async def reply(self, place: int, text: str) -> None:
        """Send an agent's answer."""
        body = {
            "content": {"type": "text", "text": text},
            "author": {"kind": "agent", "id": self.agent},
        }
        await self.call(
            "POST", f"/v1/conversations/{self.desk.conversations[place]}/messages", body
        )

    async def call(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        answer = await self.api.request(
            method, path, json=body, headers={"Authorization": f"Bearer {self.key}"}
        )
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def event(self, kind: str, place: int) -> _Event:
        """Return the next event of a type about a conversation; others are passed over."""
        wanted = (f"gateway.{kind}.v1", self.desk.conversations[place])
        seen = []
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while True:
                    event = await self.events.get()
                    seen.append((event[1], event[2]["conversation_id"]))
                    if seen[-1] == wanted:
                        return event
        except TimeoutError:
            raise TimeoutError(f"{wanted} did not come, but {seen}") from None


def main() -> None:
    """Measure."""
    # The roles are pinned where they are started; what is left here makes the load.
    os.sched_setaffinity(0, {OTHER_CORE})
    asyncio.run(_run())


async def _run() -> None:
    count = 2 * (_SAMPLES + _WARM_UP)
    async with (
        stage() as place,
        desk(
            place.database_url, place.identity.encryption_keys, pages=2, conversations_each=count
        ) as full,
        slow_graph(place.directory, milliseconds=_GRAPH_MILLISECONDS) as graph_url,
        _gateway(place, full, graph_url) as town,
    ):
        total = _SAMPLES + _WARM_UP
        webhooks = [await _webhook_to_event(town, n) for n in range(total)]
        began = [await _reply(town, n) for n in range(total)]
        chains = [await _chain(town, total + n) for n in range(total)]
        called = {text: at for at, _, _, text in await journal(graph_url)}
    _tell("webhook_to_event", webhooks)
    _tell("accept_to_graph", [called[f"reply{n}"] - at for n, (_, at) in enumerate(began)])
    _tell("request_to_graph", [called[f"reply{n}"] - at for n, (at, _) in enumerate(began)])
    _tell("webhook_to_offer", [offered for offered, _ in chains])
    _tell("webhook_to_reply", [called[f"answer{n}"] - at for n, (_, at) in enumerate(chains)])


async def _webhook_to_event(town: _Town, n: int) -> float:
    await _pause()
    began = time.monotonic()
    await town.webhook(n, f"hello{n}")
    at, _, _ = await town.event("message.received", n)
    # What it opens is another sample's business.
    await town.event("enquiry.offered", n)
    return at - began


async def _reply(town: _Town, n: int) -> tuple[float, float]:
    await _pause()
    began = time.monotonic()
    await town.reply(n, f"reply{n}")
    accepted = time.monotonic()
    await town.event("message.sent", n)
    return began, accepted


async def _chain(town: _Town, place: int) -> tuple[float, float]:
    await _pause()
    began = time.monotonic()
    await town.webhook(place, f"hello{place}")
    offered, _, _ = await town.event("enquiry.offered", place)
    await town.reply(place, f"answer{place - _SAMPLES - _WARM_UP}")
    await town.event("message.sent", place)
    return offered - began, began


async def _pause() -> None:
    await asyncio.sleep(random.uniform(0.01, _LONGEST_PAUSE))  # noqa: S311 - no secret


def _tell(what: str, seconds: Sequence[float]) -> None:
    counted = seconds[_WARM_UP:]
    percentiles = statistics.quantiles(counted, n=100, method="inclusive")
    record(f"latency.{what}.p50", percentiles[49] * 1000, "ms")
    record(f"latency.{what}.p99", percentiles[98] * 1000, "ms")


@asynccontextmanager
async def _gateway(place: Stage, full: Desk, graph_url: str) -> AsyncIterator[_Town]:
    environment = sends_to(graph_url)
    async with (
        place.role("api", environment=environment) as api,
        place.role("routing", environment=environment),
        place.role("sender", environment=environment),
        httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=10) as client,
        _reading(place) as events,
    ):
        town = _Town(client, place.identity.admin_key, "", full, graph_url, events)
        made = await town.call(
            "POST",
            f"/v1/accounts/{full.account}/api-keys",
            {"name": "bench", "scopes": ["read", "write", "send", "admin"]},
        )
        town.key = made["secret"]
        agent = await town.call("POST", "/v1/agents", {"first_name": "Ada", "capacity": 1000})
        town.agent = agent["id"]
        await town.call("PUT", f"/v1/agents/{town.agent}/presence", {"state": "active"})
        routing = {"rule": "alternative", "destinations": [{"id": town.agent}]}
        for channel in dict.fromkeys(full.channels):
            await town.call("PATCH", f"/v1/channels/{channel}", {"routing": routing})
        yield town


@asynccontextmanager
async def _reading(place: Stage) -> AsyncIterator["asyncio.Queue[_Event]"]:
    """Read all public events from now on."""
    consumer = AIOKafkaConsumer(bootstrap_servers=place.bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = consumer.partitions_for_topic(CONVERSATIONS) or range(8)
        places = [TopicPartition(CONVERSATIONS, n) for n in partitions]
        consumer.assign(places)
        await consumer.seek_to_end(*places)
        for each in places:
            await consumer.position(each)
        queue: asyncio.Queue[_Event] = asyncio.Queue()
        reading = asyncio.ensure_future(_read(consumer, queue))
        yield queue
        reading.cancel()
    finally:
        await consumer.stop()


async def _read(consumer: AIOKafkaConsumer, queue: "asyncio.Queue[_Event]") -> None:
    async for record_ in consumer:
        kind = dict(record_.headers)["ce_type"].decode()
        await queue.put((time.monotonic(), kind, json.loads(record_.value)))
