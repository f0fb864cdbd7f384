"""Feeds items into routing as the consumer would, on a database of its own."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.clock import FakeClock

from gateway.broker.records import Record
from gateway.contracts.inbound import InboundEvent
from gateway.db.engine import create_engine
from gateway.db.secrets import KeyRing, generate_key
from gateway.db.unit_of_work import Database
from gateway.domain import ids
from gateway.meta.normalise import normalise
from routing.inbound.transaction import InboundRules
from routing.inbound.worker import InboundHandler

TOPIC = "gateway.inbound.v1"
APP = "310000000000001"
PAGE = "1040001"
VISITOR = "74000001"
RULES = InboundRules(per_source=10, with_owner=timedelta(days=7))


@dataclass
class Inbound:
    """One router on one partition, with the account that it works for."""

    engine: AsyncEngine
    clock: FakeClock
    database: Database
    handler: InboundHandler
    account: str = ""
    offset: int = 0
    _mids: int = field(default=0)

    async def channel(
        self,
        *,
        kind: str = "messenger",
        source: str = PAGE,
        app: str | None = APP,
        status: str = "active",
        connected_at: datetime | None = None,
        account: str | None = None,
    ) -> str:
        """Make a channel and return its id; a third party's source is the channel itself."""
        channel = ids.new_id(ids.CHANNEL)
        now = self.clock.now()
        await self.execute(
            """
            INSERT INTO channels (account_id, id, kind, name, status, source_id, meta_app_id,
                                  page_id, subscribed_fields, connected_at, created_at, updated_at)
            VALUES (:account, :id, :kind, 'A channel', :status, :source, :app, :source,
                    '{message_echoes}', :connected, :now, :now)
            """,
            account=account or self.account,
            id=channel,
            kind=kind,
            status=status,
            source=channel if kind == "third_party" else source,
            app=None if kind == "third_party" else app,
            connected=connected_at or now - timedelta(days=30),
            now=now,
        )
        return channel

    def message(
        self,
        text_: str = "hello",
        *,
        mid: str | None = None,
        visitor: str = VISITOR,
        at: datetime | None = None,
        **further: Any,
    ) -> dict[str, Any]:
        """Return a messaging item of a visitor."""
        self._mids += 1
        return self.item(
            {"message": {"mid": mid or f"m_{self._mids}", "text": text_, **further}},
            visitor=visitor,
            at=at,
        )

    def item(
        self, what: dict[str, Any], *, visitor: str = VISITOR, at: datetime | None = None
    ) -> dict[str, Any]:
        """Return a messaging item of a visitor, whatever it is."""
        return {
            "sender": {"id": visitor},
            "recipient": {"id": PAGE},
            "timestamp": _milliseconds(at or self.clock.now()),
            **what,
        }

    def echo(
        self,
        *,
        mid: str,
        app_id: str = APP,
        metadata: str | None = None,
        text_: str = "hi",
        visitor: str = VISITOR,
        at: datetime | None = None,
    ) -> dict[str, Any]:
        """Return an echo of something sent to a visitor."""
        message = {"mid": mid, "is_echo": True, "app_id": int(app_id), "text": text_}
        if metadata is not None:
            message["metadata"] = metadata
        return {
            "sender": {"id": PAGE},
            "recipient": {"id": visitor},
            "timestamp": _milliseconds(at or self.clock.now()),
            "message": message,
        }

    async def feed(
        self,
        *items: dict[str, Any],
        standby: bool = False,
        app: str = APP,
        page: str = PAGE,
        obj: str = "page",
    ) -> list[InboundEvent]:
        """Normalise items of a Page and give them their effects."""
        where = "standby" if standby else "messaging"
        return await self._feed(where, items, app=app, page=page, obj=obj)

    async def change(self, *changes: dict[str, Any], page: str = PAGE) -> list[InboundEvent]:
        """Normalise changes of a Page as a whole and give them their effects."""
        return await self._feed("changes", changes, app=APP, page=page, obj="page")

    async def _feed(
        self, where: str, items: Sequence[dict[str, Any]], *, app: str, page: str, obj: str
    ) -> list[InboundEvent]:
        entry = {"id": page, "time": _milliseconds(self.clock.now()), where: list(items)}
        body = json.dumps({"object": obj, "entry": [entry]}).encode()
        events = normalise(body, meta_app_id=app, received_at=self.clock.now()).events
        await self.handle(events)
        return events

    async def handle(self, events: Sequence[InboundEvent], *, handler: Any = None) -> None:
        """Give events their effects."""
        await (handler or self.handler).handle(0, [self.record(event) for event in events])

    def record(self, event: InboundEvent) -> Record:
        """Return the next record of the partition."""
        self.offset += 1
        return Record(
            topic=TOPIC,
            partition=0,
            offset=self.offset - 1,
            key=event.key.encode(),
            value=event.value(),
            headers=event.headers(),
            timestamp=_milliseconds(self.clock.now()),
        )

    async def all(self, statement: str, **parameters: Any) -> list[Any]:
        async with self.engine.connect() as connection:
            return list((await connection.execute(text(statement), parameters)).all())

    async def one(self, statement: str, **parameters: Any) -> Any:
        rows = await self.all(statement, **parameters)
        assert len(rows) == 1, rows
        return rows[0]

    async def value(self, statement: str, **parameters: Any) -> Any:
        return (await self.one(statement, **parameters))[0]

    async def execute(self, statement: str, **parameters: Any) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(statement), parameters)

    async def event_types(self) -> list[str]:
        """Return the types of the public events of conversations, in order."""
        rows = await self.all(
            "SELECT type FROM events WHERE conversation_id IS NOT NULL"
            " ORDER BY conversation_id, sequence"
        )
        return [row.type.removeprefix("gateway.").removesuffix(".v1") for row in rows]

    async def dead_letters(self) -> list[str]:
        return [row.reason for row in await self.all("SELECT reason FROM dead_letters ORDER BY id")]

    def another(self, **options: Any) -> InboundHandler:
        """Return another router, as another process would have it."""
        return InboundHandler(self.database, topic=TOPIC, rules=RULES, **options)


@asynccontextmanager
async def inbound(
    database_url: str, rules: InboundRules = RULES, **options: Any
) -> AsyncIterator[Inbound]:
    """Open a router that owns partition 0, with an account and its Meta app."""
    engine = create_engine(database_url, pool_size=5, max_overflow=5, application_name="tests")
    clock = FakeClock()
    database = Database(engine, clock=clock, keyring=KeyRing.from_text(generate_key("test")))
    handler = InboundHandler(database, topic=TOPIC, rules=rules, **options)
    stage = Inbound(engine, clock, database, handler, account=ids.new_id(ids.ACCOUNT))
    await stage.execute(
        "INSERT INTO accounts (id, name, created_at, updated_at) VALUES (:id, 'A', :now, :now)",
        id=stage.account,
        now=clock.now(),
    )
    await stage.execute(
        """
        INSERT INTO meta_apps (app_id, name, app_secrets, verify_token, graph_version, created_at,
                               updated_at)
        VALUES (:app, 'App', '{}', '', 'v26.0', :now, :now)
        """,
        app=APP,
        now=clock.now(),
    )
    await handler.assigned(0)
    try:
        yield stage
    finally:
        await engine.dispose()


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
