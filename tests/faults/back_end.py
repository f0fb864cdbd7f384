"""A back end: follows its account's feed and answers what people write."""

import asyncio
import random
from typing import Any

import httpx
from tests.faults.cast import Account, Channel
from tests.faults.ledger import Ledger

_TYPES = "gateway.message.received.v1,gateway.message.sent.v1"
_PATIENCE_SECONDS = 10.0
_PAUSE = 0.2
_LONGEST_PAUSE = 3.0
_FINAL = frozenset({202, 400, 401, 403, 404, 422})


class BackEnd:
    """One account's. `heard` holds the mids of the messages that the feed told of."""

    def __init__(
        self,
        account: Account,
        channels: dict[str, Channel],
        ledger: Ledger,
        *,
        answered: float,
        closed: float,
        chance: random.Random,
    ) -> None:
        self._account = account
        self._channels = channels
        self._ledger = ledger
        self._answered = answered
        self._closed = closed
        self._chance = chance
        self._cursor: str | None = None
        self._work: set[asyncio.Task[None]] = set()
        self._bell = asyncio.Event()
        self.heard: set[tuple[str, str]] = set()

    async def run(self, client: httpx.AsyncClient) -> None:
        """Follow the feed until cancelled, from where the last time ended."""
        self._client = client
        async with asyncio.TaskGroup() as group:
            while True:
                page = await self._next_page()
                for event in page:
                    self._hear(event, group)
                if page:
                    self._bell.set()
                # A page for each event would be most of the load.
                await asyncio.sleep(_PAUSE)

    async def until_heard(self, wanted: set[tuple[str, str]], *, patience: float) -> bool:
        """Return once the feed has told of these messages and what came of that is done.

        False: nothing at all happened for `patience` seconds, and something is still missing.
        """
        while not wanted <= self.heard or self._work:
            self._bell.clear()
            try:
                async with asyncio.timeout(patience):
                    await self._bell.wait()
            except TimeoutError:
                return False
        return True

    async def _next_page(self) -> list[dict[str, Any]]:
        parameters = {"types": _TYPES, "limit": "200", "wait": "5"}
        if self._cursor is not None:
            parameters["after"] = self._cursor
        while True:
            answer = await self._call("GET", "/v1/events", params=parameters)
            if answer is not None and answer.status_code == httpx.codes.OK:
                page = answer.json()
                self._cursor = page["next_cursor"]
                return list(page["data"])
            await asyncio.sleep(_PAUSE)

    def _hear(self, event: dict[str, Any], group: asyncio.TaskGroup) -> None:
        self._ledger.note("heard", account=self._account.id, event=event["id"], type=event["type"])
        message, channel = event["data"]["message"], self._channels[event["channel_id"]]
        if event["type"] == "gateway.message.sent.v1":
            if channel.kind == "third_party":
                self._start(group, self._report(channel, message["id"]))
            return
        self.heard.add((channel.id, message["source_message_id"]))
        if self._chance.random() < self._answered:
            self._start(group, self._answer(event))

    def _start(self, group: asyncio.TaskGroup, work: Any) -> None:
        task = group.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        self._bell.set()

    async def _answer(self, event: dict[str, Any]) -> None:
        key = f"reply-{event['id']}"
        conversation = event["conversation_id"]
        body = {
            "content": {"type": "text", "text": f"out {event['id']}"},
            "author": {"kind": "agent", "id": self._account.agent},
            "client_reference": key,
        }
        await self._insist(key, conversation, body)
        if self._chance.random() < 0.1:
            # A client that lost the answer asks again.
            await self._insist(key, conversation, body)
        if event["enquiry_id"] is not None and self._chance.random() < self._closed:
            # Whether it is open then is another's affair: 200 and 409 are both right.
            await self._call("POST", f"/v1/enquiries/{event['enquiry_id']}/close", json={})

    async def _insist(self, key: str, conversation: str, body: dict[str, Any]) -> None:
        attempt, pause = 0, _PAUSE
        while True:
            attempt += 1
            self._ledger.note(
                "reply",
                key=key,
                account=self._account.id,
                conversation=conversation,
                attempt=attempt,
            )
            answer = await self._call(
                "POST",
                f"/v1/conversations/{conversation}/messages",
                json=body,
                headers={"Idempotency-Key": key},
            )
            status = None if answer is None else answer.status_code
            taken = status == httpx.codes.ACCEPTED
            self._ledger.note(
                "replied",
                key=key,
                attempt=attempt,
                status=status,
                message=answer.json()["id"] if taken and answer is not None else None,
                replayed=answer is not None and "Idempotency-Replayed" in answer.headers,
            )
            if status in _FINAL:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _report(self, channel: Channel, message_id: str) -> None:
        """Tell, as the third party, that it passed a message on."""
        while True:
            answer = await self._call(
                "POST",
                f"/incoming/{channel.id}/statuses",
                json={"message_id": message_id, "status": "delivered"},
                headers={"Authorization": f"Bearer {channel.token}"},
            )
            if answer is not None and answer.status_code == httpx.codes.ACCEPTED:
                return
            await asyncio.sleep(_PAUSE)

    async def _call(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response | None:
        """Return the answer, or None where the connection brought none."""
        headers = {"Authorization": f"Bearer {self._account.key}", **(headers or {})}
        try:
            return await self._client.request(
                method, path, headers=headers, timeout=_PATIENCE_SECONDS, **options
            )
        except httpx.HTTPError:
            return None
