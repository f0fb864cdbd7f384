"""Posts webhooks as Meta does: in order while all is well, again and again when it is not.

Webhooks of one thread wait for one another, those of different threads do not. One that is not
answered 200 within five seconds is posted again at once, a few times, then less and less often;
newer ones overtake it meanwhile. A Page whose webhooks fail for a quarter of
an hour raises an alert, after an hour its app is unsubscribed from it and what waited is dropped.
Meta does not publish the schedule of that hour; this one is ours. All of it runs on the sandbox's
clock, so that a drill can see the hour in a second.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import httpx

from gateway.sandbox.faults import Fault, Faults
from gateway.sandbox.journal import Journal, Record, text_headers
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.webhooks import signed_headers
from gateway.sandbox.world import App, Page

ALERT_AFTER: Final = timedelta(minutes=15)
UNSUBSCRIBE_AFTER: Final = timedelta(hours=1)
RETRY_DELAYS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (0, 1, 2, 5, 10, 20, 30, 60, 120, 240, 480, 600, 600, 900, 900)
)
HOURLY_RETRIES: Final = 35
CONNECTIONS: Final = 100

_OK: Final = 200
_ANSWER_BYTES: Final = 64 * 1024


@dataclass(slots=True, eq=False)
class Posting:
    """One webhook on its way to one app. `status` is what its first attempt got."""

    app: App
    page: Page
    thread: str
    topic: str
    body: bytes
    due: datetime | None = None
    forged: bool = False
    status: int | None = None
    attempts: int = 0
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    on_attempt: Callable[[bool], None] | None = None

    def summary(self) -> dict[str, Any]:
        """Return what a person wants to know of it."""
        return {
            "app_id": self.app.app_id,
            "field": self.topic,
            "status": self.status,
        }


@dataclass(slots=True)
class _Line:
    """All webhooks of one Page to one app: since when they fail."""

    failing_since: datetime | None = None
    alerted: bool = False
    generation: int = 0


class Courier:
    """Posts webhooks in the background, between `async with courier.running()`."""

    def __init__(
        self,
        *,
        client: httpx.AsyncClient,
        timeline: Timeline,
        journal: Journal,
        faults: Faults,
        timeout_seconds: float,
        max_waiting: int,
    ) -> None:
        self._client = client
        self._timeline = timeline
        self._journal = journal
        self._faults = faults
        self._timeout = timeout_seconds
        self._max_waiting = max_waiting
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: dict[tuple[str, str], _Line] = {}
        # A turn lives for as long as a webhook of its thread waits for it or has it.
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        # Taken before the five seconds begin: who waits for a connection has not been sent yet.
        self._connections = asyncio.Semaphore(CONNECTIONS)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Post while the context lasts; what has not arrived at its end is dropped."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                yield
            finally:
                self._group = None
                for task in self._tasks:
                    task.cancel()

    @property
    def waiting(self) -> int:
        """How many webhooks have not arrived yet."""
        return len(self._tasks)

    def failing_since(self, page: Page, app: App) -> datetime | None:
        """Return since when nothing of a Page reaches an app; None when all is well."""
        return self._line(page, app).failing_since

    def post(self, posting: Posting) -> Posting:
        """Send a webhook off. Faults for webhooks strike here."""
        fault = self._faults.strike("webhooks", posting.page.page_id)
        if fault is None:
            self._start(posting)
            return posting
        match fault.mode:
            case "drop":
                self._journal.add(_unsent(posting, self._timeline.now(), fault))
                posting.tried.set()
                return posting
            case "duplicate":
                self._start(replace(posting, tried=asyncio.Event()))
            case "forge":
                posting.forged = True
            case _:
                pause = timedelta(milliseconds=10_000 if fault.delay_ms is None else fault.delay_ms)
                posting.due = self._timeline.now() + pause
        self._start(posting)
        return posting

    async def call(
        self, app: App, method: str, url: str, *, form: bytes = b""
    ) -> tuple[int | None, str]:
        """Make one call to an app, with a form if given, and return its status and answer."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        request = self._client.build_request(method, url, content=form, headers=headers)
        return await self._exchange(request, notes={"app_id": app.app_id})

    def _start(self, posting: Posting) -> None:
        if self._group is None or not posting.app.address or len(self._tasks) >= self._max_waiting:
            posting.tried.set()
            return
        task = self._group.create_task(self._deliver(posting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, posting: Posting) -> None:
        line = self._line(posting.page, posting.app)
        generation = line.generation
        if posting.due is not None:
            await self._timeline.until(posting.due)
        async with self._turn(posting, line):
            delivered = await self._attempt(posting, line)
        delays = (*RETRY_DELAYS, *[timedelta(hours=1)] * HOURLY_RETRIES)
        for delay in delays:
            if delivered:
                return
            await self._timeline.until(self._timeline.now() + delay)
            if line.generation != generation:
                return
            delivered = await self._attempt(posting, line)

    async def _attempt(self, posting: Posting, line: _Line) -> bool:
        posting.attempts += 1
        headers = signed_headers(posting.app, posting.body)
        if posting.forged:
            headers["X-Hub-Signature-256"] = "sha256=" + "0" * 64
        try:
            request = self._client.build_request(
                "POST", posting.app.address, content=posting.body, headers=headers
            )
        except httpx.InvalidURL:
            posting.tried.set()
            return True
        notes = {
            "app_id": posting.app.app_id,
            "page_id": posting.page.page_id,
            "field": posting.topic,
            "attempt": posting.attempts,
        }
        status, _ = await self._exchange(request, notes=notes)
        if not posting.tried.is_set():
            posting.status = status
            posting.tried.set()
        arrived = status == _OK
        if posting.on_attempt is not None:
            posting.on_attempt(arrived)
        if arrived:
            line.failing_since = None
            line.alerted = False
            return True
        self._note_failure(posting, line)
        return False

    def _note_failure(self, posting: Posting, line: _Line) -> None:
        now = self._timeline.now()
        if line.failing_since is None:
            line.failing_since = now
        failing_for = now - line.failing_since
        if failing_for >= ALERT_AFTER and not line.alerted:
            line.alerted = True
            posting.page.alerts.append(f"Webhooks of app {posting.app.app_id} are failing")
        if failing_for >= UNSUBSCRIBE_AFTER:
            posting.page.alerts.append(f"Webhooks Disabled for app {posting.app.app_id}")
            posting.page.subscriptions.pop(posting.app.app_id, None)
            line.failing_since = None
            line.alerted = False
            line.generation += 1

    @contextlib.asynccontextmanager
    async def _turn(self, posting: Posting, line: _Line) -> AsyncIterator[None]:
        """Wait for the thread's webhooks before this one; while the line fails, nobody waits."""
        key = (posting.app.app_id, posting.thread)
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = asyncio.Lock()
        await turn.acquire()
        if line.failing_since is None:
            try:
                yield
            finally:
                turn.release()
        else:
            turn.release()
            yield

    async def _exchange(
        self, request: httpx.Request, *, notes: Mapping[str, Any]
    ) -> tuple[int | None, str]:
        async with self._connections:
            return await self._exchange_now(request, notes=notes)

    async def _exchange_now(
        self, request: httpx.Request, *, notes: Mapping[str, Any]
    ) -> tuple[int | None, str]:
        began = self._timeline.now()
        status: int | None = None
        answer = b""
        failure: dict[str, str] = {}
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.send(request, stream=True)
                try:
                    async for chunk in response.aiter_bytes():
                        answer += chunk
                        if len(answer) > _ANSWER_BYTES:
                            break
                    status = response.status_code
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            failure = {"failure": type(error).__name__}
        self._journal.add(
            Record(
                at=began,
                kind="webhook",
                method=request.method,
                path=request.url.path,
                query=request.url.query.decode("ascii"),
                headers=text_headers(request.headers.raw),
                body=request.content,
                status=status,
                notes={"url": str(request.url), **notes, **failure},
            )
        )
        return status, answer[:_ANSWER_BYTES].decode("utf-8", "replace")

    def _line(self, page: Page, app: App) -> _Line:
        return self._lines.setdefault((page.page_id, app.app_id), _Line())


def _unsent(posting: Posting, now: datetime, fault: Fault) -> Record:
    address = urlsplit(posting.app.address)
    headers = signed_headers(posting.app, posting.body)
    return Record(
        at=now,
        kind="webhook",
        method="POST",
        path=address.path,
        query=address.query,
        headers=tuple((name.lower(), value) for name, value in headers.items()),
        body=posting.body,
        status=None,
        notes={
            "url": posting.app.address,
            "app_id": posting.app.app_id,
            "page_id": posting.page.page_id,
            "field": posting.topic,
            **fault.notes,
        },
    )
