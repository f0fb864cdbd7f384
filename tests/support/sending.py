"""An account with Pages, third parties and endpoints, and a sender whose calls a test answers.

async with Outbox.open(database_url) as outbox:
    page = await outbox.page()
    conversation = await outbox.conversation(page)
    async with outbox.sender():
        message = await outbox.send(conversation, "hello")
        call = await outbox.graph.call()
        call.answer(Accepted("m_1"))
        await outbox.until(message, "sent")
"""

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.clock import FakeClock

from gateway.db.channels import Channel, get_channel
from gateway.db.conversations import lock_conversations
from gateway.db.engine import create_engine
from gateway.db.lanes import LANES
from gateway.db.messages import Message, get_message
from gateway.db.outbox import NewEvent
from gateway.db.secrets import KeyRing, generate_key
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.domain import ids
from gateway.domain.backoff import RetrySchedule, endpoint_schedule
from gateway.domain.delivery import Accepted, Answer, NotStarted, Outcome, TargetKind
from gateway.domain.message import AuthorKind
from gateway.domain.shards import SHARDS
from gateway.messaging.acceptance import Outgoing, accept_message
from gateway.meta.graph import GraphClient
from gateway.points import Point, go_on
from gateway.sender.attempts import Attempt, Transport
from gateway.sender.claiming import Budgets
from gateway.sender.media_desk import MediaDesk
from gateway.sender.worker import Sender, SenderPlan
from gateway.settings import Settings

SIGNING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PAGE_TOKEN = "EAApagetoken0123456789"
APP_SECRET = "app-secret-0123456789"
SCHEDULE = endpoint_schedule(Settings.model_fields["endpoint_retry_seconds"].default)
SECONDS = 10.0


class Leases:
    """Leases of one process, as a test sets them; the rows in `shards` say the same or not."""

    def __init__(self, epoch: int) -> None:
        self.epochs = dict.fromkeys(range(SHARDS), epoch)
        self.safe_now = True
        self._gained: list[Callable[[Mapping[int, int]], None]] = []
        self._losing: list[Callable[[frozenset[int]], Awaitable[None]]] = []
        self._renewed: list[Callable[[], None]] = []
        self.process_id = f"process{epoch}"

    @property
    def mine(self) -> Mapping[int, int]:
        return MappingProxyType(self.epochs)

    def safe(self, shard: int) -> bool:
        return self.safe_now and shard in self.epochs

    def on_gained(self, callback: Callable[[Mapping[int, int]], None]) -> None:
        self._gained.append(callback)

    def on_losing(self, callback: Callable[[frozenset[int]], Awaitable[None]]) -> None:
        self._losing.append(callback)

    def on_renewed(self, callback: Callable[[], None]) -> None:
        self._renewed.append(callback)

    def renew(self) -> None:
        for callback in self._renewed:
            callback()

    def gain(self) -> None:
        for callback in self._gained:
            callback(self.epochs)

    async def lose(self) -> None:
        shards = frozenset(self.epochs)
        self.epochs = {}
        for callback in self._losing:
            await callback(shards)


@dataclass(eq=False)
class Call:
    """A call that runs until the test answers it."""

    attempt: Attempt
    seconds: float
    _answer: asyncio.Future[Answer] = field(default_factory=asyncio.Future)

    @property
    def text(self) -> str | None:
        message = self.attempt.message
        return None if message is None else message.content.get("text")

    @property
    def action(self) -> str | None:
        return (self.attempt.delivery.payload or {}).get("action")

    def answer(self, outcome: Outcome, *, status: int | None = 200, slow: bool = False) -> None:
        self.reply(Answer(outcome=outcome, status=status, milliseconds=7, body="…", slow=slow))

    def reply(self, answer: Answer) -> None:
        self._answer.set_result(answer)

    async def wait(self) -> Answer:
        return await self._answer


class FakeTransport:
    """Hands each call to the test, or answers at once where `always` says how."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._arrived: asyncio.Queue[Call] = asyncio.Queue()
        self._always: Callable[[Call], Outcome] | None = None

    def always(self, outcome: Outcome | Callable[[Call], Outcome]) -> None:
        self._always = outcome if callable(outcome) else lambda _call: outcome

    async def call(self) -> Call:
        """Return the next call that nobody asked for yet."""
        async with asyncio.timeout(SECONDS):
            return await self._arrived.get()

    @property
    def idle(self) -> bool:
        return self._arrived.empty()

    async def send(self, attempt: Attempt, *, seconds: float) -> Answer:
        call = Call(attempt, seconds)
        self.calls.append(call)
        if self._always is not None:
            call.answer(self._always(call))
        else:
            self._arrived.put_nowait(call)
        return await call.wait()


class Gate:
    """Stops whoever comes to a named point until the test opens it."""

    def __init__(self) -> None:
        self._closed: dict[str, asyncio.Event] = {}
        self._reached: dict[str, asyncio.Event] = {}

    def close(self, point: str) -> None:
        self._closed[point] = asyncio.Event()
        self._reached[point] = asyncio.Event()

    def open(self, point: str) -> None:
        self._closed.pop(point).set()

    async def reached(self, point: str) -> None:
        async with asyncio.timeout(SECONDS):
            await self._reached[point].wait()

    async def at(self, point: str) -> None:
        closed = self._closed.get(point)
        if closed is not None:
            self._reached[point].set()
            await closed.wait()


@dataclass
class Outbox:
    """One account on a database of its own."""

    database_url: str
    engine: AsyncEngine
    clock: FakeClock
    database: Database
    keyring: KeyRing
    account: str
    graph: FakeTransport = field(default_factory=FakeTransport)
    third_party: FakeTransport = field(default_factory=FakeTransport)
    endpoints: FakeTransport = field(default_factory=FakeTransport)
    gate: Gate = field(default_factory=Gate)
    senders: list[Sender] = field(default_factory=list)
    graph_client: GraphClient | None = None
    transports: dict[TargetKind, Transport] = field(default_factory=dict)
    desk: MediaDesk | None = None
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator["Outbox"]:
        engine = create_engine(database_url, pool_size=10, max_overflow=5, application_name="test")
        clock, keyring = FakeClock(), KeyRing.from_text(generate_key("k1"))
        senders: list[Sender] = []

        def wake(topic: str, shards: Collection[int]) -> None:
            for sender in senders:
                if topic == "sender":
                    sender.wake(list(shards))
                elif topic == LANES:
                    sender.wake_lanes(list(shards))

        database = Database(engine, clock=clock, keyring=keyring, wake=wake)
        account = ids.new_id(ids.ACCOUNT)
        outbox = cls(database_url, engine, clock, database, keyring, account, senders=senders)
        try:
            await outbox._found()
            yield outbox
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def sender(
        self,
        *,
        epoch: int = 1,
        owner: str = "me",
        at: Point | None = None,
        budgets: timedelta = timedelta(seconds=10),
        slots: int = 1000,
        concurrency: int = 50,
        schedule: RetrySchedule = SCHEDULE,
        patience: timedelta = timedelta(),
        takes_over: bool = True,
    ) -> AsyncIterator[tuple[Sender, Leases]]:
        """Run a sender that owns all shards under an epoch."""
        if takes_over:
            await self.own_shards(epoch=epoch, owner=owner)
        leases = Leases(epoch)
        graph = self.graph_client or GraphClient(httpx.AsyncClient(), base_url="http://127.0.0.1:1")
        sender = Sender(
            self.database,
            leases,
            {
                TargetKind.PAGE: self.graph,
                TargetKind.THIRD_PARTY: self.third_party,
                TargetKind.ENDPOINT: self.endpoints,
                **self.transports,
            },
            graph,
            plan=SenderPlan(
                slots=slots,
                concurrency=dict.fromkeys(TargetKind, concurrency),
                budgets=Budgets(first=budgets, later=budgets),
                endpoint_schedule=schedule,
                patience=patience,
                chance=random.Random(1),
            ),
            desk=self.desk,
            at=at or self.gate.at,
        )
        self.senders.append(sender)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(sender.run())
            leases.gain()
            yield sender, leases
            self.senders.remove(sender)
            task.cancel()

    async def own_shards(self, *, epoch: int, owner: str = "me", seconds: float = 3600) -> None:
        await self.execute(
            "UPDATE shards SET owner = :owner, epoch = :epoch,"
            " expires_at = clock_timestamp() + make_interval(secs => :seconds)"
            " WHERE role = 'sender'",
            owner=owner,
            epoch=epoch,
            seconds=seconds,
        )

    def wake(self) -> None:
        for sender in self.senders:
            sender.wake([])
            sender.wake_lanes([])

    def advance(self, by: timedelta) -> None:
        """Move the product's clock and let the senders notice."""
        self.clock.advance(by)
        self.wake()

    # The account's things

    async def page(self, **columns: Any) -> str:
        """Make a connected Page's channel; its app is `app1`."""
        channel_id = ids.new_id(ids.CHANNEL)
        page_id = str(next(self._numbers) + 1000)
        await self.insert(
            "channels",
            **{
                "id": channel_id,
                "kind": "messenger",
                "name": "A Page",
                "status": "active",
                "source_id": page_id,
                "page_id": page_id,
                "meta_app_id": "app1",
                "subscribed_fields": ["messages", "message_echoes"],
                "page_access_token": self.keyring.encrypt(
                    PAGE_TOKEN, row=f"channels/{channel_id}/page_access_token"
                ),
                "connected_at": self.clock.now(),
                **columns,
            },
        )
        return channel_id

    async def third_party_channel(
        self, url: str = "https://tp.example/hook", **columns: Any
    ) -> str:
        channel_id = ids.new_id(ids.CHANNEL)
        await self.insert(
            "channels",
            **{
                "id": channel_id,
                "kind": "third_party",
                "name": "A third party",
                "status": "active",
                "source_id": channel_id,
                "source_name": "Other chat",
                "outgoing_webhook_url": url,
                "signing_secret": self.keyring.encrypt(
                    SIGNING_SECRET, row=f"channels/{channel_id}/signing_secret"
                ),
                "connected_at": self.clock.now(),
                **columns,
            },
        )
        return channel_id

    async def endpoint(self, url: str = "https://desk.example/hook", **columns: Any) -> str:
        """Make an endpoint that wants nothing unless told otherwise."""
        endpoint_id = ids.new_id(ids.ENDPOINT)
        await self.insert(
            "endpoints",
            **{
                "id": endpoint_id,
                "name": "Desk",
                "url": url,
                "event_types": ["test.*"],
                "signing_secret": self.keyring.encrypt(
                    SIGNING_SECRET, row=f"endpoints/{endpoint_id}/signing_secret"
                ),
                **columns,
            },
        )
        return endpoint_id

    async def conversation(self, channel_id: str, **columns: Any) -> str:
        """Make a contact who has just written, and the conversation with them."""
        contact_id, conversation_id = ids.new_id(ids.CONTACT), ids.new_id(ids.CONVERSATION)
        await self.insert(
            "contacts",
            id=contact_id,
            channel_id=channel_id,
            source_contact_id=f"psid{next(self._numbers)}",
            name="Vera",
        )
        await self.insert(
            "conversations",
            **{
                "id": conversation_id,
                "channel_id": channel_id,
                "contact_id": contact_id,
                "inbound_partition": 0,
                "last_action_at": self.clock.now(),
                "last_inbound_at": self.clock.now(),
                **columns,
            },
        )
        return conversation_id

    async def send(self, conversation_id: str, words: str, **outgoing: Any) -> str:
        """Accept a text for sending and return the message's id."""
        content = outgoing.pop("content", {"type": "text", "text": words})
        async with self.held(conversation_id) as (work, conversation, channel):
            message = await accept_message(
                work,
                conversation,
                channel,
                Outgoing(
                    content=content,
                    author_kind=outgoing.pop("author_kind", AuthorKind.AGENT),
                    **outgoing,
                ),
            )
        return message.id

    async def announce(
        self, *, conversation_id: str | None = None, kind: str = "test.happened.v1", **data: Any
    ) -> str:
        """Announce an event, which endpoints may want, and return its id."""
        async with self.database.unit_of_work() as work:
            event = NewEvent(
                type=kind,
                account_id=self.account,
                data=data,
                occurred_at=work.now,
                conversation_id=conversation_id,
            )
            if conversation_id is not None:
                locked = await lock_conversations(work, [conversation_id], account_id=self.account)
                event.sequence = locked[conversation_id].take_sequence()
            work.announce(event)
        return event.id

    @asynccontextmanager
    async def held(self, conversation_id: str) -> AsyncIterator[tuple[UnitOfWork, Any, Channel]]:
        """Open a transaction that has a conversation."""
        async with self.database.unit_of_work() as work:
            locked = await lock_conversations(work, [conversation_id], account_id=self.account)
            conversation = locked[conversation_id]
            channel = await get_channel(work.connection, self.account, conversation.channel_id)
            assert channel is not None
            yield work, conversation, channel

    # What became of them

    async def message(self, message_id: str) -> Message:
        async with self.database.unit_of_work() as work:
            message = await get_message(work.connection, self.account, message_id)
        assert message is not None
        return message

    async def until(self, message_id: str, status: str) -> Message:
        """Return a message once it has a status."""
        await self.eventually("SELECT status FROM messages WHERE id = :id", status, id=message_id)
        return await self.message(message_id)

    async def until_not(self, message_id: str, status: str) -> None:
        """Return once a message no longer has a status."""
        await self.eventually(
            "SELECT status <> :status FROM messages WHERE id = :id",
            wanted=True,
            id=message_id,
            status=status,
        )

    async def advance_to_due(self, **where: Any) -> timedelta:
        """Move the clock to when the delivery with these values is due; return how far that was."""
        conditions = " AND ".join(f"{name} = :{name}" for name in where)
        due_at = await self.value(
            f"SELECT due_at FROM deliveries WHERE {conditions} AND status = 'pending'", **where
        )
        wait = timedelta() if due_at is None else max(due_at - self.clock.now(), timedelta())
        self.advance(wait)
        return wait

    async def until_delivery(self, status: str, **where: Any) -> None:
        """Return once the delivery with these column values has a status."""
        conditions = " AND ".join(f"{name} = :{name}" for name in where)
        await self.eventually(
            f"SELECT status FROM deliveries WHERE {conditions} ORDER BY ordinal DESC LIMIT 1",
            status,
            **where,
        )

    async def eventually(self, query: str, wanted: object, **parameters: Any) -> None:
        """Return once a query's only value is what is wanted."""
        seen: object = None
        try:
            async with asyncio.timeout(SECONDS):
                while (seen := await self.value(query, **parameters)) != wanted:  # noqa: ASYNC110 - what is waited for happens in the database
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"{query} {parameters}: {seen!r}, not {wanted!r}") from None

    async def value(self, query: str, **parameters: Any) -> Any:
        async with self.engine.connect() as connection:
            return (await connection.execute(text(query), parameters)).scalar_one_or_none()

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self.engine.connect() as connection:
            found = await connection.execute(text(query), parameters)
            return [dict(row) for row in found.mappings()]

    async def events(self, *types: str) -> list[dict[str, Any]]:
        """Return the events of these types (without: all), in the order of their sequence."""
        rows = await self.rows("SELECT * FROM events ORDER BY key, sequence")
        return [row for row in rows if not types or row["type"] in types]

    async def execute(self, statement: str, **parameters: Any) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(statement), parameters)

    async def insert(self, table: str, **columns: Any) -> None:
        now = self.clock.now()
        moments = {"created_at": now} | (
            {"updated_at": now} if table in ("channels", "contacts", "endpoints") else {}
        )
        values = {"account_id": self.account, **moments, **columns}
        names = ", ".join(values)
        places = ", ".join(f":{name}" for name in values)
        await self.execute(
            f"INSERT INTO {table} ({names}) VALUES ({places})",
            **{
                name: json.dumps(value) if isinstance(value, dict) else value
                for name, value in values.items()
            },
        )

    async def _found(self) -> None:
        now = self.clock.now()
        await self.execute(
            "INSERT INTO accounts (id, name, created_at, updated_at) VALUES (:id, 'A', :at, :at)",
            id=self.account,
            at=now,
        )
        await self.execute(
            "INSERT INTO meta_apps (app_id, name, app_secrets, verify_token, graph_version,"
            " created_at, updated_at) VALUES ('app1', 'App', :secrets, :token, 'v26.0', :at, :at)",
            secrets=[self.keyring.encrypt(APP_SECRET, row="meta_apps/app1/app_secrets")],
            token=self.keyring.encrypt("verify", row="meta_apps/app1/verify_token"),
            at=now,
        )


__all__ = ["Accepted", "NotStarted", "Outbox", "go_on"]
