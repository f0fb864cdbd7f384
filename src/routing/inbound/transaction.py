"""What happens to records inside one transaction.

Each event has its effect once: its id goes into the inbox with the effect. Most events share a
transaction, decisions too: each sees what those before it decided. A few kinds that are rare have
one of their own, and end the batch before them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import Counter

from gateway.db.dead_letters import SetAside, headers_as_json, set_aside
from gateway.db.inbox import remember_seen
from gateway.db.parking import count_parked, drop_key_if_empty, lock_key, park
from gateway.db.unit_of_work import UnitOfWork
from routing.inbound.arrivals import Arrival, Item, Unreadable, letter_of
from routing.inbound.effects.table import effect_of
from routing.inbound.ownership import Ended, Foreign, Owned, Verdict, Waiting
from routing.inbound.scene import Scene

_EVENTS = Counter(
    "gateway_routing_events_total", "Inbound events by what became of them.", ["outcome"]
)


@dataclass(frozen=True, slots=True)
class InboundRules:
    """What the operator says about events: how they wait, and what is told of windows.

    Attributes:
        per_source: How many events may wait for a source.
        with_owner: How long they may where its channel is suspended.
        without_owner: How long they may where it has no channel.
        window_notice: How long before a messaging window closes that is told; None: never.
    """

    per_source: int
    with_owner: timedelta
    without_owner: timedelta = timedelta(days=1)
    window_notice: timedelta | None = None


@dataclass(slots=True)
class Taker:
    """Takes events into one transaction, one after another."""

    work: UnitOfWork
    scene: Scene
    rules: InboundRules
    _letters: list[SetAside]
    _hashes: dict[str, bytes]
    _outcomes: list[str]

    @classmethod
    async def around(
        cls, work: UnitOfWork, arrivals: Sequence[Arrival], rules: InboundRules
    ) -> "Taker":
        """Read what tells which of these events may share the transaction."""
        scene = await Scene.around(work, arrivals, window_notice=rules.window_notice)
        return cls(work, scene, rules, [], {}, [])

    @classmethod
    async def around_one(cls, work: UnitOfWork, item: Item, rules: InboundRules) -> "Taker":
        """Read and lock all that one item needs, for which the transaction then is."""
        taker = await cls.around(work, [item] if isinstance(item, Arrival) else [], rules)
        await taker.prepare([item])
        return taker

    def may_share(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return those of a partition's next items that may share the transaction, from the first.

        None: the first needs one of its own.
        """
        for n, item in enumerate(items):
            if isinstance(item, Arrival) and self.scene.is_alone(item):
                return items[:n]
        return items

    async def prepare(self, items: Sequence[Item]) -> None:
        """Lock and read what the items that the transaction is for need."""
        await self.scene.set_for(
            [
                item
                for item in items
                # What waits locks its key first.
                if isinstance(item, Arrival)
                and not self.scene.must_wait(item, self.scene.verdict(item))
            ]
        )

    async def take(self, item: Item) -> None:
        """Give one event its effect, let it wait, or set it aside."""
        if isinstance(item, Unreadable):
            self._set_aside(letter_of(item.record, item.reason, account_id=None))
            return
        verdict = self.scene.verdict(item)
        if self._repeated(item, verdict):
            return
        if self.scene.must_wait(item, verdict):
            await self._wait(item)
            return
        await self._effect(item, verdict)

    async def finish(self) -> None:
        """Write what was gathered; the transaction may commit afterwards."""
        await self.scene.settle()
        await set_aside(self.work, self._letters)
        await remember_seen(self.work.connection, self._hashes, at=self.work.now)

    def count(self) -> None:
        """Count what became of the events, once it has been committed."""
        for outcome in self._outcomes:
            _EVENTS.labels(outcome=outcome).inc()

    def poison(self, item: Item, *, attempts: int) -> None:
        """Set a record aside that cannot be done."""
        account_id = None
        if isinstance(item, Arrival):
            account_id = _account(self.scene.verdict(item))
        self.give_up(item, "poison", account_id=account_id, attempts=attempts)

    def give_up(
        self,
        item: Item,
        reason: str,
        *,
        account_id: str | None,
        attempts: int = 1,
    ) -> None:
        """Set a record aside for a reason that is known to the caller."""
        self._set_aside(letter_of(item.record, reason, account_id=account_id, attempts=attempts))

    def _repeated(self, arrival: Arrival, verdict: Verdict) -> bool:
        event_id = arrival.event.id
        before = self.scene.seen.get(event_id) or self._hashes.get(event_id)
        if before is None:
            return False
        if before == arrival.original_hash:
            self._outcomes.append("repeated")
        else:
            self._set_aside(arrival.set_aside("id-conflict", account_id=_account(verdict)))
        return True

    async def _effect(self, arrival: Arrival, verdict: Verdict) -> None:
        self.work.traceparent = arrival.event.traceparent
        await self._take_effect(arrival, verdict)
        self.work.traceparent = None
        self._hashes[arrival.event.id] = arrival.original_hash

    async def _take_effect(self, arrival: Arrival, verdict: Verdict) -> None:
        match verdict:
            case Owned() if self.scene.is_forgotten(arrival):
                self._outcomes.append("erased")
            case Owned(channel):
                await effect_of(arrival.event.type)(self.scene, channel, arrival)
                self._outcomes.append("done")
            case Ended(channel):
                self._set_aside(arrival.set_aside("channel-deleted", account_id=channel.account_id))
            case Foreign():
                self._set_aside(arrival.set_aside("foreign-app", account_id=None))
            case Waiting(channel) if channel is not None and self.scene.is_forgotten(arrival):
                self._outcomes.append("erased")
            case Waiting(channel) if channel is not None:
                # An echo or a mark of a suspended channel: never parked.
                await effect_of(arrival.event.type)(self.scene, channel, arrival)
                self._outcomes.append("done")
            case Waiting():
                self._outcomes.append("no-owner")

    async def _wait(self, arrival: Arrival) -> None:
        """Let an event wait under its key's lock, unless what it waited for has come."""
        connection = self.work.connection
        held = arrival.key in self.scene.parked_keys
        if not await lock_key(connection, arrival.key, make=not held):
            # The last event of the key was drained meanwhile: the straight way is free.
            self.scene = await Scene.around(
                self.work, [arrival], window_notice=self.rules.window_notice
            )
            await self.prepare([arrival])
            await self.take(arrival)
            return
        await self.scene.read_owners_again([arrival])
        verdict = self.scene.verdict(arrival)
        if isinstance(verdict, Foreign | Ended):
            await drop_key_if_empty(connection, arrival.key)
            await self._effect(arrival, verdict)
            return
        limit = self.rules.per_source
        if await count_parked(connection, arrival.key, limit=limit) >= limit:
            await drop_key_if_empty(connection, arrival.key)
            self._set_aside(arrival.set_aside("parked-limit", account_id=_account(verdict)))
            return
        if await park(connection, self._parked_row(arrival, verdict)) == arrival.original_hash:
            self._outcomes.append("parked")
        else:
            self._set_aside(arrival.set_aside("id-conflict", account_id=_account(verdict)))

    def _parked_row(self, arrival: Arrival, verdict: Verdict) -> dict[str, object]:
        channel = None if isinstance(verdict, Foreign) else verdict.channel
        kept = self.rules.without_owner if channel is None else self.rules.with_owner
        kind, source_id, contact_id = arrival.key
        return {
            "kind": kind,
            "source_id": source_id,
            "contact_id": contact_id,
            "event_id": arrival.event.id,
            "meta_app_id": arrival.event.meta_app_id,
            "owner_account_id": None if channel is None else channel.account_id,
            "owner_channel_id": None if channel is None else channel.id,
            "record_headers": json.dumps(headers_as_json(arrival.record.headers)),
            "record_value": arrival.record.value,
            "original_hash": arrival.original_hash,
            "record_partition": arrival.record.partition,
            "arrived_at": arrival.arrived_at,
            "parked_at": self.work.now,
            "expires_at": self.work.now + kept,
        }

    def _set_aside(self, letter: SetAside) -> None:
        self._letters.append(letter)
        self._outcomes.append(letter.reason)


def _account(verdict: Verdict) -> str | None:
    match verdict:
        case Owned(channel) | Ended(channel):
            return channel.account_id
        case Waiting(channel) if channel is not None:
            return channel.account_id
        case _:
            return None
