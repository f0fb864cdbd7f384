"""Days of events come and go; what is past its time is deleted."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.clock import FakeClock

from gateway.clock import true_now
from gateway.db.engine import create_engine
from gateway.db.maintenance import Maintenance
from gateway.db.outbox import NewEvent
from gateway.db.secrets import KeyRing, generate_key
from gateway.db.unit_of_work import Database
from gateway.domain import ids

DAY = timedelta(days=1)


class Stage:
    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.clock = FakeClock(true_now())
        self.database = Database(
            engine, clock=self.clock, keyring=KeyRing.from_text(generate_key("k"))
        )
        self.maintenance = Maintenance(self.database, inbox_days=8, events_days=30)
        self.account = ids.new_id(ids.ACCOUNT)

    async def run(self, statement: str, **parameters: Any) -> Any:
        async with self.engine.begin() as connection:
            result = await connection.execute(text(statement), parameters)
            return result.all() if result.returns_rows else None

    async def days(self) -> list[str]:
        rows = await self.run(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = to_regclass('events') ORDER BY 1"
        )
        return [row.relname for row in rows]

    def name_of(self, moment: Any) -> str:
        return f"events_{moment:%Y%m%d}"


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    engine = create_engine(database_url, pool_size=2, max_overflow=2, application_name="tests")
    stage = Stage(engine)
    await stage.run(
        "INSERT INTO accounts (id, name, created_at, updated_at) VALUES (:a, 'A', now(), now())",
        a=stage.account,
    )
    yield stage
    await engine.dispose()


async def test_days_are_made_a_week_ahead(stage: Stage) -> None:
    stage.clock.advance(20 * DAY)
    await stage.maintenance.make_days()
    await stage.maintenance.make_days()
    days = await stage.days()
    assert stage.name_of(stage.clock.now()) in days
    assert stage.name_of(stage.clock.now() + 7 * DAY) in days


async def test_a_day_that_has_rows_in_the_default_table_stays_there(stage: Stage) -> None:
    stage.clock.advance(20 * DAY)
    async with stage.database.unit_of_work() as work:
        work.announce(NewEvent("gateway.x.v1", stage.account, {}, work.now))
    await stage.maintenance.make_days()
    days = await stage.days()
    assert stage.name_of(stage.clock.now()) not in days
    assert stage.name_of(stage.clock.now() + DAY) in days


async def test_a_day_is_dropped_only_when_all_of_it_was_published(stage: Stage) -> None:
    today = stage.name_of(stage.clock.now())
    async with stage.database.unit_of_work() as work:
        work.announce(NewEvent("gateway.x.v1", stage.account, {}, work.now))
    stage.clock.advance(40 * DAY)
    await stage.maintenance.drop_days()
    assert today in await stage.days()
    await stage.run("UPDATE events SET position = 1")
    await stage.maintenance.drop_days()
    assert today not in await stage.days()


async def test_a_day_stays_while_a_delivery_of_it_is_unfinished(stage: Stage) -> None:
    today = stage.name_of(stage.clock.now())
    await stage.run(
        "INSERT INTO endpoints (account_id, id, name, url, event_types, signing_secret,"
        " created_at, updated_at) VALUES (:a, 'ept_1', 'E', 'https://x', '{*}', '', now(), now())",
        a=stage.account,
    )
    async with stage.database.unit_of_work() as work:
        work.announce(NewEvent("gateway.x.v1", stage.account, {}, work.now))
    await stage.run("UPDATE events SET position = 1")
    stage.clock.advance(40 * DAY)
    await stage.maintenance.drop_days()
    assert today in await stage.days()
    await stage.run("UPDATE deliveries SET status = 'delivered'")
    await stage.maintenance.drop_days()
    assert today not in await stage.days()


async def test_a_day_stays_while_a_dead_letter_of_it_was_not_done_again(stage: Stage) -> None:
    now = stage.clock.now()
    today = stage.name_of(now)
    async with stage.database.unit_of_work() as work:
        work.announce(NewEvent("gateway.x.v1", stage.account, {}, work.now))
    await stage.run("UPDATE events SET position = 1")
    await stage.run(
        "INSERT INTO dead_letters (id, account_id, reason, stage, at, event_created_at)"
        " VALUES ('dlt_1', :a, 'delivery-exhausted', 'sender', :now, :now)",
        a=stage.account,
        now=now,
    )
    stage.clock.advance(40 * DAY)
    await stage.maintenance.drop_days()
    assert today in await stage.days()
    await stage.run("UPDATE dead_letters SET redelivered_at = :now", now=now)
    await stage.maintenance.drop_days()
    assert today not in await stage.days()


async def test_what_is_past_its_time_is_deleted(stage: Stage) -> None:
    now = stage.clock.now()
    await stage.run(
        "INSERT INTO inbox VALUES ('old', '', :old), ('new', '', :new)",
        old=now - 9 * DAY,
        new=now - 7 * DAY,
    )
    await stage.run(
        "INSERT INTO idempotency_keys (scope, route, key, request_hash, state, created_at)"
        " VALUES ('s', 'r', 'old', '', 'done', :old), ('s', 'r', 'new', '', 'done', :new)",
        old=now - timedelta(hours=25),
        new=now - timedelta(hours=23),
    )
    await stage.run(
        "INSERT INTO audit_entries (id, at, actor, action, subject_id) VALUES"
        " ('old', :old, 'admin', 'x', 'x'), ('new', :new, 'admin', 'x', 'x')",
        old=now - 366 * DAY,
        new=now - 364 * DAY,
    )
    await stage.run(
        "INSERT INTO reruns (id, kind, filter, actor, status, next_at, created_at, finished_at)"
        " VALUES ('old', 'events', '{}', 'x', 'finished', :old, :old, :old),"
        " ('new', 'events', '{}', 'x', 'failed', :new, :old, :new),"
        " ('running', 'events', '{}', 'x', 'running', :old, :old, NULL)",
        old=now - 366 * DAY,
        new=now - 364 * DAY,
    )
    await stage.maintenance.delete_expired()
    reruns = await stage.run("SELECT id FROM reruns ORDER BY id")
    assert [row.id for row in reruns] == ["new", "running"]
    assert [row.event_id for row in await stage.run("SELECT event_id FROM inbox")] == ["new"]
    assert [row.key for row in await stage.run("SELECT key FROM idempotency_keys")] == ["new"]
    assert [row.id for row in await stage.run("SELECT id FROM audit_entries")] == ["new"]
