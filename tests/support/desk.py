"""An account with channels, agents and visitors, and everything that routing does for them.

Messages go straight to routing's effects, as the worker calls them; timers fire when a test lets
them. Time stands still but for `advance`.
"""

import itertools
import json
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.clock import FakeClock

from gateway.db.channels import Channel, get_channel
from gateway.db.engine import create_engine
from gateway.db.first_contact import meet
from gateway.db.messages import Message, insert_messages
from gateway.db.secrets import KeyRing, generate_key
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.db.wakeups import Wakeups
from gateway.domain import ids
from gateway.domain.message import AuthorKind, Direction, MessageStatus
from gateway.domain.shards import SHARDS
from gateway.messaging.acceptance import Outgoing, accept_message
from routing import commands
from routing.changes import RoutingChanges
from routing.configuration import validate_routing
from routing.engagement import Engagement
from routing.enquiries import Actor, Enquiry
from routing.enquiry_effects import on_contact_message, on_page_inbox_message
from routing.hall import Hall
from routing.repository import get_enquiries, get_timeline
from routing.timers import TimerWorker

API = Actor("api")


class AllShards:
    """Leases of a process that is alone."""

    mine: Collection[int] = range(SHARDS)

    def safe(self, shard: int) -> bool:
        return True


@dataclass
class Desk:
    """One account on a database of its own."""

    database_url: str
    engine: AsyncEngine
    clock: FakeClock
    database: Database
    account: str
    _numbers: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    async def channel(
        self,
        *destinations: str | dict[str, Any],
        waiting_limit: int = 300,
        rule: str = "alternative",
        routing: dict[str, Any] | None = None,
        **columns: Any,
    ) -> str:
        """Make a channel whose rule asks these destinations; none, and no routing: no rule.

        A routing is given without its waiting limit.
        """
        listed = [each if isinstance(each, dict) else {"id": each} for each in destinations]
        if listed:
            routing = {"rule": rule, "destinations": listed, **(routing or {})}
        if routing is not None:
            routing = validate_routing({"waiting_limit_seconds": waiting_limit, **routing})
        channel_id = ids.new_id(ids.CHANNEL)
        await self._insert(
            "channels",
            id=channel_id,
            kind="third_party",
            name="A channel",
            status="active",
            source_id=channel_id,
            connected_at=self.clock.now(),
            **({} if routing is None else {"routing": routing}),
            **columns,
        )
        return channel_id

    async def agent(
        self,
        presence: str = "active",
        *,
        capacity: int = 5,
        channel_ids: Collection[str] = (),
        name: str = "Ada",
    ) -> str:
        agent_id = ids.new_id(ids.AGENT)
        await self._insert(
            "agents",
            id=agent_id,
            first_name=name,
            capacity=capacity,
            presence=presence,
            channel_ids=list(channel_ids),
        )
        return agent_id

    async def team(
        self, *agent_ids: str, distribution: str = "simultaneous", agent_timeout: int = 30
    ) -> str:
        team_id = ids.new_id(ids.TEAM)
        await self._insert(
            "teams",
            id=team_id,
            name="Team",
            distribution=distribution,
            agent_ids=list(agent_ids),
            agent_timeout_seconds=agent_timeout,
        )
        return team_id

    async def bot(self, *rules: dict[str, Any]) -> str:
        """Make a bot; its rules are complete, as its resource has them."""
        bot_id = ids.new_id(ids.BOT)
        await self._insert("bots", id=bot_id, name="Robot")
        await self.bot_says(bot_id, 1, *rules)
        return bot_id

    async def bot_says(self, bot_id: str, version: int, *rules: dict[str, Any]) -> None:
        """Give a bot a version of its rules, the one that it follows from now on."""
        await self.execute(
            "INSERT INTO bot_versions (account_id, bot_id, version, rules, created_at)"
            " VALUES (:account, :id, :version, CAST(:rules AS jsonb), :now)",
            account=self.account,
            id=bot_id,
            version=version,
            rules=json.dumps(rules),
            now=self.clock.now(),
        )
        await self.change("bots", bot_id, version=version)

    async def endpoint(self, status: str = "active", **columns: Any) -> str:
        endpoint_id = ids.new_id(ids.ENDPOINT)
        await self._insert(
            "endpoints",
            id=endpoint_id,
            name="Desk",
            url="https://desk.example",
            event_types=[],
            signing_secret=b"",
            status=status,
            **columns,
        )
        return endpoint_id

    async def say(
        self,
        channel_id: str,
        visitor: str = "ann",
        *,
        words: str = "hello",
        at: datetime | None = None,
        late: bool = False,
        parked: bool = False,
    ) -> str | None:
        """Let a visitor write and return the enquiry that the message belongs to."""
        async with self.database.unit_of_work() as work:
            channel = await self._channel(work, channel_id)
            _, conversation = await meet(work, channel, visitor, partition=0)
            occurred_at = at or self.clock.now()
            message = Message(
                account_id=self.account,
                id=ids.new_id(ids.MESSAGE),
                channel_id=channel_id,
                conversation_id=conversation.id,
                sequence=conversation.take_sequence(),
                direction=Direction.INBOUND,
                author_kind=AuthorKind.CONTACT,
                content={"type": "text", "text": words},
                status=MessageStatus.RECEIVED,
                occurred_at=occurred_at,
                accepted_at=work.now,
                late=late,
            )
            first = conversation.last_inbound_at is None
            if not late:
                conversation.last_inbound_at = occurred_at
            message.enquiry_id = await on_contact_message(
                Hall(work), conversation, channel, message, late=late, parked=parked, first=first
            )
            await insert_messages(work.connection, [message])
            return message.enquiry_id

    async def send(
        self,
        channel_id: str,
        visitor: str = "ann",
        *,
        agent: str | None = None,
        kind: AuthorKind | None = None,
        takeover: bool = False,
        sent: bool = True,
    ) -> str | None:
        """Answer a visitor, as the REST API does, and return the message's enquiry."""
        author = kind or (AuthorKind.SYSTEM if agent is None else AuthorKind.AGENT)
        async with self.database.unit_of_work() as work:
            channel = await self._channel(work, channel_id)
            _, conversation = await meet(work, channel, visitor, partition=0)
            enquiry_id = await Engagement().before_send(
                work,
                conversation,
                channel,
                author_kind=author,
                author_id=agent,
                takeover=takeover,
            )
            outgoing = Outgoing(
                content={"type": "text", "text": "hi"},
                author_kind=author,
                author_id=agent,
                enquiry_id=enquiry_id,
            )
            message = await accept_message(work, conversation, channel, outgoing)
        if sent:
            await self.execute(
                "UPDATE messages SET status = 'sent', sent_at = :now WHERE id = :id",
                id=message.id,
                now=self.clock.now(),
            )
        return enquiry_id

    async def answer_in_page_inbox(self, channel_id: str, visitor: str = "ann") -> None:
        async with self.database.unit_of_work() as work:
            channel = await self._channel(work, channel_id)
            _, conversation = await meet(work, channel, visitor, partition=0)
            message = Message(
                account_id=self.account,
                id=ids.new_id(ids.MESSAGE),
                channel_id=channel_id,
                conversation_id=conversation.id,
                sequence=conversation.take_sequence(),
                direction=Direction.OUTBOUND,
                author_kind=AuthorKind.PAGE,
                content={"type": "text", "text": "hi"},
                status=MessageStatus.SENT,
                occurred_at=work.now,
                accepted_at=work.now,
                sent_at=work.now,
            )
            await insert_messages(work.connection, [message])
            await on_page_inbox_message(Hall(work), conversation, channel)

    async def accept(self, enquiry_id: str, agent_id: str) -> Enquiry:
        async with self.database.unit_of_work() as work:
            return await commands.accept(work, self.account, enquiry_id, agent_id=agent_id)

    async def reject(self, enquiry_id: str, agent_id: str) -> Enquiry:
        async with self.database.unit_of_work() as work:
            return await commands.reject(work, self.account, enquiry_id, agent_id=agent_id)

    async def transfer(self, enquiry_id: str, destination_id: str) -> Enquiry:
        async with self.database.unit_of_work() as work:
            return await commands.transfer(
                work, self.account, enquiry_id, destination_id=destination_id, actor=API
            )

    async def close(self, enquiry_id: str, agent_id: str | None = None) -> Enquiry:
        async with self.database.unit_of_work() as work:
            return await commands.close(
                work, self.account, enquiry_id, agent_id=agent_id, actor=API
            )

    async def reopen(self, enquiry_id: str) -> Enquiry:
        async with self.database.unit_of_work() as work:
            return await commands.reopen(work, self.account, enquiry_id, agent_id=None, actor=API)

    async def follow_up(self, enquiry_id: str, agent_id: str | None = None) -> Enquiry:
        async with self.database.unit_of_work() as work:
            return await commands.follow_up(
                work, self.account, enquiry_id, agent_id=agent_id, actor=API
            )

    async def presence(
        self, agent_id: str, state: str, *, expires_in: timedelta | None = None
    ) -> None:
        async with self.database.unit_of_work() as work:
            await work.connection.execute(
                text(
                    "UPDATE agents SET presence = :state, presence_changed_at = :now,"
                    " presence_expires_at = :expires WHERE id = :id"
                ),
                {
                    "state": state,
                    "now": work.now,
                    "expires": None if expires_in is None else work.now + expires_in,
                    "id": agent_id,
                },
            )
            await RoutingChanges().presence_changed(work, self.account, agent_id)

    async def regroup(self, team_id: str, agent_ids: Collection[str]) -> None:
        """Give a team other members, as PATCH does."""
        await self._alter("teams", team_id, agent_ids=list(agent_ids))

    async def switch(self, endpoint_id: str, status: str) -> None:
        """Pause an endpoint, or let it go on, as PATCH does."""
        await self._alter("endpoints", endpoint_id, status=status)

    async def dismiss(self, agent_id: str) -> None:
        """Delete an agent, as DELETE does."""
        await self._alter("agents", agent_id, deleted_at=self.clock.now())

    async def send_all(self) -> None:
        """Let all that was accepted have left."""
        await self.execute(
            "UPDATE messages SET status = 'sent', sent_at = :now"
            " WHERE account_id = :account AND status = 'accepted'",
            account=self.account,
            now=self.clock.now(),
        )

    async def change(self, table: str, row_id: str, **columns: Any) -> None:
        """Change a row behind everybody's back."""
        sets = ", ".join(f"{name} = :{name}" for name in columns)
        await self.execute(f"UPDATE {table} SET {sets} WHERE id = :id", id=row_id, **columns)

    async def route_anew(self, channel_id: str, *destinations: str) -> None:
        """Give a channel another routing, as PUT does."""
        routing = validate_routing(
            {"rule": "alternative", "destinations": [{"id": each} for each in destinations]}
        )
        async with self.database.unit_of_work() as work:
            await work.connection.execute(
                text("UPDATE channels SET routing = CAST(:routing AS jsonb) WHERE id = :id"),
                {"routing": json.dumps(routing), "id": channel_id},
            )
            await RoutingChanges().routing_changed(work, self.account, channel_id)

    def worker(self, **options: Any) -> TimerWorker:
        return TimerWorker(self.database, AllShards(), Wakeups(self.database_url), **options)

    async def timers(self) -> int:
        """Let everything happen that is due now."""
        return await self.worker().run_due()

    async def advance(self, *, caught_up: bool = True, **by: float) -> None:
        """Move time, and let everything happen that became due."""
        self.clock.advance(timedelta(**by))
        if caught_up:
            await self.catch_up()
        await self.timers()

    async def catch_up(self) -> None:
        """Note that all that contacts wrote so far has taken effect."""
        await self.execute(
            "INSERT INTO partition_owners (topic, partition, caught_up_at)"
            " VALUES ('gateway.inbound.v1', 0, :now)"
            " ON CONFLICT (topic, partition) DO UPDATE SET caught_up_at = :now",
            now=self.clock.now(),
        )

    async def enquiry(self, enquiry_id: str | None) -> Enquiry:
        async with self.database.unit_of_work() as work:
            found = await get_enquiries(work.connection, self.account, [enquiry_id or ""])
            return found[enquiry_id or ""]

    async def timeline(self, enquiry_id: str | None) -> list[str]:
        async with self.database.unit_of_work() as work:
            entries = await get_timeline(work.connection, self.account, enquiry_id or "")
            return [entry.type for entry in entries]

    async def events(self, enquiry_id: str | None) -> list[dict[str, Any]]:
        """Return the data of an enquiry's events with their short names, in order."""
        rows = await self.all(
            "SELECT type, data FROM events WHERE enquiry_id = :id"
            " AND type LIKE 'gateway.enquiry.%' ORDER BY sequence",
            id=enquiry_id,
        )
        return [
            {"type": row.type.removeprefix("gateway.enquiry.").removesuffix(".v1"), **row.data}
            for row in rows
        ]

    async def told(self, enquiry_id: str | None) -> list[str]:
        """Return the short names of an enquiry's events, in order."""
        return [event["type"] for event in await self.events(enquiry_id)]

    async def timer_kinds(self) -> list[str]:
        return [row.kind for row in await self.all("SELECT kind FROM timers ORDER BY kind")]

    async def all(self, statement: str, **parameters: Any) -> list[Any]:
        async with self.engine.connect() as connection:
            return list((await connection.execute(text(statement), parameters)).all())

    async def value(self, statement: str, **parameters: Any) -> Any:
        [row] = await self.all(statement, **parameters)
        return row[0]

    async def execute(self, statement: str, **parameters: Any) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(statement), parameters)

    async def _alter(self, table: str, row_id: str, **columns: Any) -> None:
        sets = ", ".join(f"{name} = :{name}" for name in columns)
        async with self.database.unit_of_work() as work:
            change = text(f"UPDATE {table} SET {sets} WHERE id = :id")
            await work.connection.execute(change, {"id": row_id, **columns})
            await RoutingChanges().destination_changed(work, self.account, row_id)

    async def _channel(self, work: UnitOfWork, channel_id: str) -> Channel:
        channel = await get_channel(work.connection, self.account, channel_id)
        assert channel is not None
        return channel

    async def _insert(self, table: str, **columns: Any) -> None:
        row = {"account_id": self.account, **columns}
        row |= {"created_at": self.clock.now(), "updated_at": self.clock.now()}
        names = ", ".join(row)
        values = ", ".join(
            f"CAST(:{name} AS jsonb)" if isinstance(value, dict) else f":{name}"
            for name, value in row.items()
        )
        await self.execute(
            f"INSERT INTO {table} ({names}) VALUES ({values})",
            **{
                name: json.dumps(value) if isinstance(value, dict) else value
                for name, value in row.items()
            },
        )


@asynccontextmanager
async def desk(database_url: str, *, pool: int = 10, limit: int = 200) -> AsyncIterator[Desk]:
    """Open a desk; `limit` is how many contacts the account may serve at once."""
    engine = create_engine(database_url, pool_size=pool, max_overflow=5, application_name="tests")
    clock = FakeClock()
    database = Database(engine, clock=clock, keyring=KeyRing.from_text(generate_key("test")))
    opened = Desk(database_url, engine, clock, database, ids.new_id(ids.ACCOUNT))
    await opened.execute(
        "INSERT INTO accounts (id, name, concurrent_contacts_limit, created_at, updated_at)"
        " VALUES (:id, 'A', :limit, :now, :now)",
        id=opened.account,
        limit=limit,
        now=clock.now(),
    )
    try:
        yield opened
    finally:
        await engine.dispose()
