"""Sweeps away what is past its account's retention: once a minute, in small batches."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import Counter
from sqlalchemy import text

from gateway.db.failures import is_transient, name_of
from gateway.db.media import take_old_media
from gateway.db.retention import (
    delete_old_letters,
    empty_old_events,
    empty_old_messages,
    find_retentions,
)
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.messaging.files import remove_files

_EVERY_SECONDS: Final = 60.0
_BATCH: Final = 500
# One process at a time; the others find nothing to do.
_ALONE: Final = text("SELECT pg_try_advisory_xact_lock(7203554863)")
_REMOVED = Counter(
    "gateway_retention_removed_total", "Rows whose content was past its time.", ["table"]
)

log = structlog.get_logger()


async def _messages(work: UnitOfWork, account_id: str, before: datetime) -> int:
    return await empty_old_messages(work.connection, account_id, before=before, limit=_BATCH)


async def _events(work: UnitOfWork, account_id: str, before: datetime) -> int:
    return await empty_old_events(work.connection, account_id, before=before, limit=_BATCH)


async def _letters(work: UnitOfWork, account_id: str, before: datetime) -> int:
    return await delete_old_letters(work.connection, account_id, before=before, limit=_BATCH)


async def _media(work: UnitOfWork, account_id: str, before: datetime) -> int:
    files = await take_old_media(work.connection, account_id, before=before, limit=_BATCH)
    await remove_files(work, files)
    return len(files)


_STEPS: Final[dict[str, Callable[[UnitOfWork, str, datetime], Awaitable[int]]]] = {
    "messages": _messages,
    "events": _events,
    "dead_letters": _letters,
    "media": _media,
}


class Retention:
    """What every routing process offers to do, one of them at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Sweep once a minute until cancelled."""
        while True:
            try:
                await self.sweep()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("retention.waits", error=name_of(error))
            await asyncio.sleep(_EVERY_SECONDS)

    async def sweep(self) -> None:
        """Remove all that is past its time, a batch a transaction."""
        async with self._database.unit_of_work() as work:
            kept = await find_retentions(work.connection)
        for each in kept:
            for table in _STEPS:
                while await self._batch(table, each.account_id, timedelta(days=each.days)):
                    pass

    async def _batch(self, table: str, account_id: str, kept: timedelta) -> bool:
        """Remove some rows; False when there are no more, or another process is at it."""
        async with self._database.unit_of_work() as work:
            if not (await work.connection.execute(_ALONE)).scalar_one():
                return False
            removed = await _STEPS[table](work, account_id, work.now - kept)
        _REMOVED.labels(table=table).inc(removed)
        return removed == _BATCH
