"""A thread as it changes, for the chat's page: server-sent events."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.sandbox.exchange import Exchange
from gateway.sandbox.journal import Journal, Record
from gateway.sandbox.threads import STANDARD_WINDOW_MS, Thread, Utterance
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.world import Page, World

SHOWN_MESSAGES: Final = 100
SHOWN_TRAFFIC: Final = 40
_PING_SECONDS: Final = 15
_BREATH_SECONDS: Final = 0.04


class Streams:
    """The threads that are open in browsers."""

    def __init__(
        self, *, world: World, timeline: Timeline, exchange: Exchange, journal: Journal
    ) -> None:
        self._world = world
        self._timeline = timeline
        self._exchange = exchange
        self._journal = journal
        self._bells: set[asyncio.Event] = set()
        self.closed = False

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self.closed = True
        for bell in self._bells:
            bell.set()

    def response(self, page: Page, thread: Thread) -> Response:
        """Return a response that lasts for as long as the browser listens."""
        return _Stream(self, page, thread)

    @contextlib.contextmanager
    def open(self, thread: Thread) -> Iterator[asyncio.Event]:
        """Count a thread as open, and yield a bell that rings when there is something to show."""
        bell = asyncio.Event()
        bell.set()
        self._bells.add(bell)
        try:
            with thread.watched(bell), self._journal.watched(bell):
                self._exchange.read(thread)
                yield bell
        finally:
            self._bells.discard(bell)

    def snapshot(self, page: Page, thread: Thread) -> dict[str, Any]:
        """Return what the chat shows, in the words of its script."""
        now = self._timeline.millis()
        opened = thread.last_action_at
        owner = thread.owner(now)
        apps = self._world.apps
        return {
            "page": page.name,
            "typing_ms": max(0, thread.typing_until - now),
            "window_ms": None if opened is None else max(0, opened + STANDARD_WINDOW_MS - now),
            "owner": apps[owner].name if owner in apps else owner and "Page inbox",
            "subscribed": bool(page.subscriptions),
            "messages": [_shown(thread, page, said) for said in thread.newest(SHOWN_MESSAGES)],
        }

    def traffic(self, page: Page, *, after: int) -> tuple[list[dict[str, Any]], int]:
        """Return what passed for a Page after a journal number, and the last number there is."""
        found: list[dict[str, Any]] = []
        last = after
        for number, record in self._journal.newest(after=after):
            last = max(last, number)
            if record.notes.get("page_id") == page.page_id:
                found.append(_passed(number, record))
            if len(found) == SHOWN_TRAFFIC:
                break
        return found[::-1], last


class _Stream(Response):
    """Server-sent events of one browser."""

    def __init__(self, streams: Streams, page: Page, thread: Thread) -> None:
        super().__init__(media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._streams = streams
        self._page = page
        self._thread = thread

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        headers = [pair for pair in self.raw_headers if pair[0] != b"content-length"]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with self._streams.open(self._thread) as bell:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(_gone(receive))
                telling = group.create_task(self._tell(send, bell))
                await asyncio.wait({listening, telling}, return_when=asyncio.FIRST_COMPLETED)
                listening.cancel()
                telling.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, send: Send, bell: asyncio.Event) -> None:
        last = 0
        while not self._streams.closed:
            line = ": still here\n\n"
            if bell.is_set():
                bell.clear()
                passed, last = self._streams.traffic(self._page, after=last)
                shown = {**self._streams.snapshot(self._page, self._thread), "traffic": passed}
                line = f"data: {json.dumps(shown, separators=(',', ':'))}\n\n"
            await send({"type": "http.response.body", "body": line.encode(), "more_body": True})
            # Changes come in bursts, a message with its marks; one picture shows them all.
            await asyncio.sleep(_BREATH_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PING_SECONDS):
                    await bell.wait()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _shown(thread: Thread, page: Page, said: Utterance) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "mid": said.mid,
        "author": said.author,
        "at": said.at,
        "tick": said.tick,
        "text": said.text,
        "attachments": said.attachments,
        "quick_replies": said.quick_replies,
        "reactions": said.reactions,
    }
    persona = page.personas.get(said.persona_id or "")
    if persona is not None:
        shown["persona"] = {"name": persona.name, "picture": persona.profile_picture_url}
    answered = thread.utterances.get(said.reply_to or "")
    if answered is not None:
        shown["reply_to"] = {"author": answered.author, "text": answered.text}
    return shown


def _passed(number: int, record: Record) -> dict[str, Any]:
    notes = record.notes
    webhook = record.kind == "webhook"
    return {
        "n": number,
        "at": int(record.at.timestamp() * 1000),
        "kind": record.kind,
        "method": record.method,
        "what": notes.get("field") if webhook else record.path.rpartition("/")[2],
        "call": notes.get("call"),
        "action": notes.get("action"),
        "status": record.status,
        "attempt": notes.get("attempt", 1),
        "fault": notes.get("fault"),
    }
