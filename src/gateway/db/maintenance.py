"""Keeps tables from growing for ever, in small batches, and days of events ready."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import structlog
from prometheus_client import Counter
from sqlalchemy import text

from gateway.db.failures import is_transient
from gateway.db.idempotency import KEPT_FOR
from gateway.db.unit_of_work import Database

_EVERY_SECONDS: Final = 60.0
_BATCH: Final = 1000
_DAYS_AHEAD: Final = 8
_PROCESSES_KEPT: Final = timedelta(hours=1)

_DELETED = Counter("gateway_maintenance_deleted_total", "Rows past their time.", ["table"])

log = structlog.get_logger()

_MAKE_DAYS: Final = text(
    "SELECT gateway_make_event_days(CAST(:first AS date), CAST(:days AS integer))"
)
_DAYS: Final = text(
    """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass('events') AND c.relname ~ '^events_[0-9]{8}$'
    ORDER BY c.relname
    """
)
# A day goes only when all of it was published and nothing unfinished speaks of it.
_IN_USE: Final = """
    SELECT EXISTS (SELECT 1 FROM {day} WHERE position IS NULL)
        OR EXISTS (SELECT 1 FROM deliveries d WHERE d.kind = 'event'
                   AND d.event_created_at >= :start AND d.event_created_at < :end
                   AND (d.status IN ('pending', 'sending', 'uncertain')
                        OR EXISTS (SELECT 1 FROM dead_letters l WHERE l.delivery_id = d.id)))
"""
_DELETE: Final = {
    "inbox": "event_id IN (SELECT event_id FROM inbox WHERE received_at < :inbox LIMIT :batch)",
    "pending_marks": "ctid IN (SELECT ctid FROM pending_marks WHERE expires_at < :now"
    " LIMIT :batch)",
    "idempotency_keys": "ctid IN (SELECT ctid FROM idempotency_keys WHERE created_at < :keys"
    " LIMIT :batch)",
    "processes": "id IN (SELECT id FROM processes"
    " WHERE seen_at < clock_timestamp() - CAST(:silent AS interval) LIMIT :batch)",
}
# One process at a time; the others find nothing to do.
_ALONE: Final = text("SELECT pg_try_advisory_xact_lock(7203554862)")


class Maintenance:
    """What every routing process offers to do, one of them at a time."""

    def __init__(self, database: Database, *, inbox_days: int, events_days: int) -> None:
        """Take how many days ids of events, and events, are kept."""
        self._database = database
        self._inbox_kept = timedelta(days=inbox_days)
        self._events_kept = timedelta(days=events_days)

    async def run(self) -> None:
        """Work once a minute until cancelled."""
        while True:
            for step in (self.make_days, self.drop_days, self.delete_expired):
                await self._try(step)
            await asyncio.sleep(_EVERY_SECONDS)

    async def make_days(self) -> None:
        """Make the tables of the coming days' events."""
        async with self._database.unit_of_work() as work:
            if not (await work.connection.execute(_ALONE)).scalar_one():
                return
            await work.connection.execute(
                _MAKE_DAYS, {"first": work.now.date(), "days": _DAYS_AHEAD}
            )

    async def drop_days(self) -> None:
        """Drop days of events that are past their time, one transaction each."""
        async with self._database.unit_of_work() as work:
            names = list((await work.connection.execute(_DAYS)).scalars())
            oldest_kept = (work.now - self._events_kept).date()
        for name in names:
            day = date.fromisoformat(name.removeprefix("events_"))
            if day >= oldest_kept or not await self._drop(name, day):
                return

    async def delete_expired(self) -> None:
        """Delete rows that are past their time, a batch a transaction."""
        for table, condition in _DELETE.items():
            # Table and condition are constants of this module.
            statement = text(f"DELETE FROM {table} WHERE {condition}")  # noqa: S608
            while True:
                async with self._database.unit_of_work() as work:
                    if not (await work.connection.execute(_ALONE)).scalar_one():
                        return
                    moments = {
                        "inbox": work.now - self._inbox_kept,
                        "now": work.now,
                        "keys": work.now - KEPT_FOR,
                        "silent": _PROCESSES_KEPT,
                    }
                    wanted = {name: moments[name] for name in moments if f":{name}" in condition}
                    result = await work.connection.execute(statement, wanted | {"batch": _BATCH})
                _DELETED.labels(table=table).inc(result.rowcount)
                if result.rowcount < _BATCH:
                    break

    async def _drop(self, name: str, day: date) -> bool:
        async with self._database.unit_of_work() as work:
            if not (await work.connection.execute(_ALONE)).scalar_one():
                return False
            start = datetime.combine(day, time(), UTC)
            parameters = {"start": start, "end": start + timedelta(days=1)}
            in_use = text(_IN_USE.format(day=name))
            if (await work.connection.execute(in_use, parameters)).scalar_one():
                log.warning("maintenance.day_in_use", day=day.isoformat())
                return False
            await work.connection.execute(text(f"DROP TABLE {name}"))
        log.info("maintenance.day_dropped", day=day.isoformat())
        return True

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("maintenance.waits", error=type(error).__name__)
