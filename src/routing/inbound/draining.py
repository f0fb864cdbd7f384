"""Lets parked events take their effect once their source has an active channel.

A sweep each second looks for keys that may move. Whoever drains a key holds its row's lock and
reads ownership under it, one event a transaction, in the order in which they were parked.
"""

import asyncio
from typing import Final

import structlog

from gateway.broker.records import Record
from gateway.db.dead_letters import headers_from_json
from gateway.db.failures import is_transient, name_of
from gateway.db.parking import (
    Key,
    ParkedEvent,
    drop_key_if_empty,
    find_drainable,
    first_parked,
    try_key,
    unpark,
)
from gateway.db.unit_of_work import Database, UnitOfWork
from routing.inbound.arrivals import Arrival, Item, Unreadable, read_record
from routing.inbound.ownership import Foreign, Verdict, Waiting
from routing.inbound.transaction import InboundRules, Taker

_SWEEP_SECONDS: Final = 1.0
_KEYS: Final = 200
_FAILURES: Final = 5

log = structlog.get_logger()


class Drain:
    """Drains parked events; any number of processes may, each key is one's at a time."""

    def __init__(self, database: Database, *, topic: str, rules: InboundRules) -> None:
        self._database = database
        self._topic = topic
        self._rules = rules
        self._failures: dict[int, int] = {}

    async def run(self) -> None:
        """Sweep each second until cancelled."""
        while True:
            try:
                moved = await self.sweep()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("draining.waits", error=name_of(error))
                moved = 0
            if not moved:
                await asyncio.sleep(_SWEEP_SECONDS)

    async def sweep(self) -> int:
        """Let all that may move take its effect; return how many events did."""
        async with self._database.unit_of_work() as work:
            keys = await find_drainable(work.connection, now=work.now, limit=_KEYS)
        moved = 0
        for key in keys:
            while await self._one(key):
                moved += 1
        return moved

    async def _one(self, key: Key) -> bool:
        """Drain the first event of a key; False when none of it may move now."""
        event: ParkedEvent | None = None
        try:
            async with self._database.unit_of_work() as work:
                if not await try_key(work.connection, key):
                    return False
                event = await first_parked(work.connection, key)
                if event is None:
                    await drop_key_if_empty(work.connection, key)
                    return False
                taker = await self._move(work, event)
                if taker is None:
                    return False
                await taker.finish()
                await unpark(work.connection, event.id)
                await drop_key_if_empty(work.connection, key)
        except Exception as error:
            if event is None or is_transient(error):
                raise
            return await self._failed(key, event, error)
        taker.count()
        self._failures.pop(event.id, None)
        return True

    async def _move(self, work: UnitOfWork, event: ParkedEvent) -> Taker | None:
        item = self._arrival(event)
        taker = await Taker.around_one(work, item, self._rules)
        if isinstance(item, Unreadable):
            await taker.take(item)
            return taker
        verdict = taker.scene.verdict(item)
        if not isinstance(verdict, Waiting) and self._goes_to_its_owner(event, verdict):
            await taker.take(item)
        elif event.expires_at <= work.now:
            taker.give_up(item, "parked-expired", account_id=event.owner_account_id)
        elif not self._goes_to_its_owner(event, verdict):
            taker.give_up(item, "channel-deleted", account_id=event.owner_account_id)
        else:
            return None
        return taker

    def _goes_to_its_owner(self, event: ParkedEvent, verdict: Verdict) -> bool:
        # What had an owner goes to it alone, and ends with it.
        if event.owner_channel_id is None or isinstance(verdict, Foreign):
            return True
        return verdict.channel is not None and verdict.channel.id == event.owner_channel_id

    async def _failed(self, key: Key, event: ParkedEvent, error: Exception) -> bool:
        failures = self._failures.get(event.id, 0) + 1
        self._failures[event.id] = failures
        log.warning("draining.failed", error=name_of(error), failures=failures)
        if failures < _FAILURES:
            return False
        async with self._database.unit_of_work() as work:
            if not await try_key(work.connection, key):
                return False
            item = self._arrival(event)
            taker = await Taker.around(work, [], self._rules)
            taker.give_up(item, "poison", account_id=event.owner_account_id, attempts=failures)
            await taker.finish()
            await unpark(work.connection, event.id)
            await drop_key_if_empty(work.connection, key)
        taker.count()
        self._failures.pop(event.id, None)
        return True

    def _arrival(self, event: ParkedEvent) -> Item:
        record = Record(
            topic=self._topic,
            partition=event.record_partition,
            # Its place in the log does not matter any more.
            offset=-1,
            key=None,
            value=event.record_value,
            headers=tuple(headers_from_json(event.record_headers)),
            timestamp=round(event.arrived_at.timestamp() * 1000),
        )
        item = read_record(record)
        if isinstance(item, Unreadable):
            return item
        return Arrival(
            record=record,
            event=item.event,
            original_hash=item.original_hash,
            arrived_at=event.arrived_at,
            parked=True,
        )
