"""One transaction: what it reads and changes, and what it tells the outside when it commits."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.clock import Clock
from gateway.db.contacts import Addressee, find_addressees
from gateway.db.conversations import Conversation, save_conversations
from gateway.db.lanes import LANES
from gateway.db.media_links import MediaLinks
from gateway.db.message_batches import change_messages
from gateway.db.messages import Message, change_message, insert_messages
from gateway.db.outbox import NewDelivery, NewEvent, write_deliveries, write_events
from gateway.db.secrets import KeyRing
from gateway.domain.shards import shard_of

Wake = Callable[[str, Iterable[int]], None]


class UnitOfWork:
    """A transaction with what it will announce.

    Locks are taken in the order new contacts (by key) → conversations → accounts → channel counters
    → agents → timers, several of a kind by id, and no transaction touches a conversation that it
    did not lock first.

    Attributes:
        connection: Where repositories run their statements.
        now: The product's time when the transaction began.
        keyring: Opens and closes secrets at rest.
        links: Makes addresses of media.
        addressees: Contacts of locked conversations, by conversation, as far as they are known.
        traceparent: Of what is done now: what is announced and delivered meanwhile has it, unless
            it has one of its own.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        *,
        now: datetime,
        keyring: KeyRing,
        links: MediaLinks | None = None,
    ) -> None:
        self.connection = connection
        self.now = now
        self.keyring = keyring
        # Without, addresses lead to where they are read.
        self.links = links or MediaLinks(keyring, public_url="")
        self.traceparent: str | None = None
        self.addressees: dict[str, Addressee] = {}
        self.conversations: dict[str, Conversation] = {}
        # True: messages, and changes of them, are gathered and written together, by
        # `write_messages`.
        self.gathers = False
        self._added: list[Message] = []
        self._changes: dict[str, tuple[Message, dict[str, Any]]] = {}
        self._events: list[NewEvent] = []
        self._deliveries: list[NewDelivery] = []
        self._woken: dict[str, set[int]] = {}

    def announce(self, event: NewEvent) -> None:
        """Write an event with this transaction, and its deliveries to those who subscribed."""
        event.traceparent = event.traceparent or self.traceparent
        self._events.append(event)

    @property
    def announced(self) -> Sequence[NewEvent]:
        """The events that are not written yet."""
        return self._events

    def deliver(self, delivery: NewDelivery) -> None:
        """Write a delivery with this transaction."""
        delivery.traceparent = delivery.traceparent or self.traceparent
        self._deliveries.append(delivery)

    def wake(self, topic: str, shards: Iterable[int]) -> None:
        """Wake workers once this transaction has committed."""
        self._woken.setdefault(topic, set()).update(shards)

    def media_link(self, account_id: str, media_id: str) -> str:
        """Return an address under which an account's media can be had for a while."""
        return self.links.link(account_id, media_id, now=self.now)

    async def addressee(self, conversation: Conversation) -> Addressee:
        """Return the contact of a locked conversation; all others are read with the first one."""
        if conversation.id not in self.addressees:
            missing = self.conversations.keys() - self.addressees.keys()
            self.addressees |= await find_addressees(self.connection, missing)
        return self.addressees[conversation.id]

    async def add_message(self, message: Message) -> None:
        """Write a message of a locked conversation: now, or by the end."""
        if self.gathers:
            self._added.append(message)
        else:
            await insert_messages(self.connection, [message])

    async def change_message(
        self,
        message: Message,
        **changes: Any,  # noqa: ANN401 - column values
    ) -> None:
        """Change a message of a locked conversation: the object now, its row by the end."""
        if not self.gathers:
            await change_message(self.connection, message, **changes)
            return
        self._changes.setdefault(message.id, (message, {}))[1].update(changes)
        for name, value in changes.items():
            setattr(message, name, value)

    async def write_messages(self) -> None:
        """Write the messages and changes gathered so far; before anything that reads them back."""
        added, self._added = self._added, []
        await insert_messages(self.connection, added)
        changes, self._changes = self._changes, {}
        await change_messages(self.connection, list(changes.values()))

    async def flush(self) -> None:
        """Write what was announced so far; called at the end, and by who must read it back."""
        await self.write_messages()
        await save_conversations(self.connection, self.conversations.values())
        events, self._events = self._events, []
        deliveries, self._deliveries = self._deliveries, []
        # What an event says comes before what it makes leave, in each lane.
        deliveries += await write_events(self.connection, events, now=self.now)
        waiting = await write_deliveries(self.connection, deliveries, now=self.now)
        if events:
            self.wake("relay", {shard_of(event.key) for event in events})
        if deliveries:
            self.wake("sender", {shard_of(delivery.target_id) for delivery in deliveries})
        if waiting:
            self.wake(LANES, waiting)

    @property
    def woken(self) -> dict[str, set[int]]:
        """The shards to wake after the commit, by topic."""
        return self._woken


class Database:
    """Opens units of work."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        clock: Clock,
        keyring: KeyRing,
        wake: Wake | None = None,
        links: MediaLinks | None = None,
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.keyring = keyring
        # Without, addresses lead to where they are read.
        self.links = links or MediaLinks(keyring, public_url="")
        self._wake = wake

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator[UnitOfWork]:
        """Open a transaction; commit at the end, roll back on any exception.

        No call to the outside world may be awaited while it is open.
        """
        async with self.engine.connect() as connection, connection.begin():
            work = UnitOfWork(
                connection,
                now=self.clock.now(),
                keyring=self.keyring,
                links=self.links,
            )
            yield work
            await work.flush()
        if self._wake is not None:
            for topic, shards in work.woken.items():
                self._wake(topic, shards)
