"""Keeps tables from growing for ever, in small batches, and days of events ready."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import structlog
from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.failures import is_transient, name_of
from gateway.db.idempotency import KEPT_FOR
from gateway.db.unit_of_work import Database, UnitOfWork

_EVERY_SECONDS: Final = 60.0
_BATCH: Final = 1000
_DAYS_AHEAD: Final = 8
# Meta forgets them then.
_ATTACHMENTS_KEPT: Final = timedelta(days=90)
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
                   AND d.status IN ('pending', 'sending', 'uncertain')
                   AND d.event_created_at >= :start AND d.event_created_at < :end)
        OR EXISTS (SELECT 1 FROM dead_letters l
                   WHERE l.event_created_at >= :start AND l.event_created_at < :end
                   AND l.redelivered_at IS NULL)
"""
EXPIRING: Final = {
    "inbox": "received_at < :inbox",
    "pending_marks": "expires_at < :now",
    "comments": "expires_at < :now",
    "idempotency_keys": "created_at < :keys",
    "audit_entries": "at < :audit",
    # What it did stands in the audit for as long.
    "reruns": "finished_at < :audit",
    "page_attachments": "created_at < :attachments",
    "processes": "seen_at < clock_timestamp() - CAST(:silent AS interval)",
}
# One process at a time; the others find nothing to do.
_ALONE: Final = text("SELECT pg_try_advisory_xact_lock(7203554862)")


@dataclass(frozen=True, slots=True)
class Kept:
    """How long rows are kept."""

    inbox: timedelta
    audit: timedelta = timedelta(days=365)


class Maintenance:
    """What every routing process offers to do, one of them at a time."""

    def __init__(
        self, database: Database, *, inbox_days: int, events_days: int, audit_days: int = 365
    ) -> None:
        """Take how many days ids of events, events, and entries of the audit are kept."""
        self._database = database
        self._kept = Kept(inbox=timedelta(days=inbox_days), audit=timedelta(days=audit_days))
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
        for table in EXPIRING:
            while True:
                async with self._database.unit_of_work() as work:
                    if not (await work.connection.execute(_ALONE)).scalar_one():
                        return
                    deleted = await delete_batch(work, table, kept=self._kept)
                _DELETED.labels(table=table).inc(deleted)
                if deleted < _BATCH:
                    break

    async def _drop(self, name: str, day: date) -> bool:
        async with self._database.unit_of_work() as work:
            if not (await work.connection.execute(_ALONE)).scalar_one():
                return False
            if await is_day_in_use(work.connection, day):
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
            log.warning("maintenance.waits", error=name_of(error))


async def is_day_in_use(connection: AsyncConnection, day: date) -> bool:
    """Say whether something of a day's events is unpublished, or unfinished work speaks of them."""
    start = datetime.combine(day, time(), UTC)
    statement = text(_IN_USE.format(day=f"events_{day:%Y%m%d}"))
    parameters = {"start": start, "end": start + timedelta(days=1)}
    return bool((await connection.execute(statement, parameters)).scalar_one())


async def delete_batch(work: UnitOfWork, table: str, *, kept: Kept) -> int:
    """Delete some rows of one of the `EXPIRING` tables, and return how many there were."""
    condition = EXPIRING[table]
    moments = {
        "inbox": work.now - kept.inbox,
        "audit": work.now - kept.audit,
        "now": work.now,
        "keys": work.now - KEPT_FOR,
        "silent": _PROCESSES_KEPT,
        "attachments": work.now - _ATTACHMENTS_KEPT,
    }
    wanted = {name: moments[name] for name in moments if f":{name}" in condition}
    # An array of places leads to the rows; a join might read the table from end to end instead.
    statement = text(
        f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("  # noqa: S608 - constants of this module
        f"SELECT ctid FROM {table} WHERE {condition} LIMIT :batch))"
    )
    result = await work.connection.execute(statement, wanted | {"batch": _BATCH})
    return result.rowcount
