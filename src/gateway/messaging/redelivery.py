"""Has deliveries and dead letters done again, one by hand or many, and says who asked.

A delivery keeps its row and its `webhook-id`; a record goes back on its topic by the relay; a
timer fires anew. What had its effect meanwhile has no second one.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.db.audit import AuditEntry, write_audit
from gateway.db.dead_letter_views import DeadLetter, mark_redelivered, put_back
from gateway.db.errands import NewErrand, set_errands
from gateway.db.inbox import forget_seen
from gateway.db.lanes import LANES
from gateway.db.redelivery import (
    Repeatable,
    attempt_at_once,
    begin_at_end_of_lane,
    begin_beside_lane,
    lock_repeatable,
)
from gateway.db.timers import NewTimer, write_timers
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.redelivery import How, WhyNot, how_to_redeliver
from gateway.domain.shards import DEAD_LETTER_SHARD
from gateway.errors import ConflictError, IllegalTransitionError, NotFoundError

REDELIVERED: Final = "delivery.redelivered"
LETTER_REDELIVERED: Final = "dead_letter.redelivered"

TIMER_FAILED: Final = "timer-failed"
ERRAND_FAILED: Final = "errand-failed"
# Set aside although nothing forbids a later effect; the inbox took note of their ids.
_NOTED: Final = frozenset({"foreign-app", "channel-deleted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asked for something to be done again, and as part of which rerun."""

    account_id: str | None
    actor: str
    rerun_id: str | None = None

    def entry(self, work: UnitOfWork, action: str, subject_id: str, **details: Any) -> AuditEntry:  # noqa: ANN401 - JSON values
        """Return what is written down of it."""
        if self.rerun_id is not None:
            details["rerun_id"] = self.rerun_id
        return AuditEntry(
            account_id=self.account_id,
            at=work.now,
            actor=self.actor,
            action=action,
            subject_id=subject_id,
            details=details,
        )


@dataclass(slots=True)
class Redelivered:
    """What was done again, and what could not be and why."""

    done: set[str] = field(default_factory=set)
    passed_over: dict[str, WhyNot] = field(default_factory=dict)


async def redeliver_one(work: UnitOfWork, asker: Asker, delivery_id: str) -> None:
    """Do a delivery again beside its lane, or have its next attempt now.

    Raises:
        NotFoundError: There is no such delivery.
        ConflictError: It cannot be done again.
    """
    found = await lock_repeatable(work.connection, asker.account_id or "", [delivery_id])
    if not found:
        raise NotFoundError("There is no such delivery.")
    [delivery] = found
    how = _how(delivery)
    if how is WhyNot.UNDER_WAY:
        raise IllegalTransitionError(str(how), extra={"state": "pending", "allowed": []})
    if isinstance(how, WhyNot):
        raise ConflictError(str(how))
    if how is How.AGAIN:
        held = {delivery_id: _is_held(delivery)}
        await begin_beside_lane(work.connection, held, now=work.now)
    else:
        await attempt_at_once(work.connection, [delivery_id], now=work.now)
    await write_audit(work.connection, [asker.entry(work, REDELIVERED, delivery_id)])
    work.wake("sender", [delivery.shard])


async def redeliver_many(
    work: UnitOfWork, asker: Asker, delivery_ids: Collection[str], *, in_order: Sequence[str] = ()
) -> Redelivered:
    """Do deliveries again at the ends of their lanes: as given by `in_order`, else as they came.

    What is on its way, or cannot be done again, is passed over.
    """
    outcome = Redelivered()
    found = await lock_repeatable(work.connection, asker.account_id or "", delivery_ids)
    places = {delivery_id: n for n, delivery_id in enumerate(in_order)}
    again: dict[str, bool] = {}
    at_once: list[str] = []
    for delivery in sorted(found, key=lambda each: places.get(each.id, 0)):
        match _how(delivery):
            case How.AGAIN:
                again[delivery.id] = _is_held(delivery)
            case How.AT_ONCE:
                at_once.append(delivery.id)
            case WhyNot() as why:
                outcome.passed_over[delivery.id] = why
    await begin_at_end_of_lane(work.connection, again, now=work.now)
    if at_once:
        await attempt_at_once(work.connection, at_once, now=work.now)
    outcome.done = {*again, *at_once}
    await write_audit(
        work.connection, [asker.entry(work, REDELIVERED, each) for each in outcome.done]
    )
    shards = {each.shard for each in found}
    work.wake("sender", shards)
    work.wake(LANES, shards)
    return outcome


async def redeliver_letter(work: UnitOfWork, asker: Asker, letter: DeadLetter) -> None:
    """Do what a locked dead letter holds again.

    Raises:
        ConflictError: It cannot be done again.
    """
    if letter.delivery_id is not None:
        await redeliver_one(work, asker, letter.delivery_id)
        await mark_redelivered(work.connection, [letter.id], now=work.now)
    elif not await _redo_others(work, [letter]):
        raise ConflictError("There is nothing in it that could be done again.")
    await write_audit(work.connection, [_entry(work, asker, letter)])


async def redeliver_letters(
    work: UnitOfWork, asker: Asker, letters: Sequence[DeadLetter]
) -> Redelivered:
    """Do what locked dead letters hold again, as far as that can be."""
    by_delivery = {each.delivery_id: each for each in letters if each.delivery_id is not None}
    outcome = await redeliver_many(work, asker, by_delivery)
    done = [by_delivery[delivery_id] for delivery_id in outcome.done]
    await mark_redelivered(work.connection, [each.id for each in done], now=work.now)
    done += await _redo_others(work, [each for each in letters if each.delivery_id is None])
    await write_audit(work.connection, [_entry(work, asker, each) for each in done])
    outcome.done = {each.id for each in done}
    return outcome


async def _redo_others(work: UnitOfWork, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Do letters again that hold records, timers or errands; return which could be."""
    records, timers, errands = [], [], []
    for letter in letters:
        if letter.topic is not None and letter.record_value is not None:
            records.append(letter)
        elif letter.reason == TIMER_FAILED and letter.account_id is not None:
            timers.append(letter)
        elif letter.reason == ERRAND_FAILED and letter.account_id is not None:
            errands.append(letter)
    if records:
        fresh = [each for each in records if each.redelivered_at is None]
        noted = [each.record_headers.get("ce_id") for each in fresh if each.reason in _NOTED]
        await forget_seen(work.connection, [each for each in noted if each is not None])
        await put_back(work.connection, [each.id for each in records], now=work.now)
        work.wake("relay", {DEAD_LETTER_SHARD})
    if timers:
        await write_timers(work, set_=[_timer(work, each) for each in timers])
        await mark_redelivered(work.connection, [each.id for each in timers], now=work.now)
    if errands:
        await set_errands(work, [_errand(work, each) for each in errands])
        await mark_redelivered(work.connection, [each.id for each in errands], now=work.now)
    return [*records, *timers, *errands]


def _errand(work: UnitOfWork, letter: DeadLetter) -> NewErrand:
    assert letter.account_id is not None
    record = json.loads(letter.record_value or b"{}")
    return NewErrand(
        account_id=letter.account_id,
        kind=record["kind"],
        subject_id=record["subject_id"],
        shard_by=record["conversation_id"],
        conversation_id=record["conversation_id"],
        due_at=work.now,
        data=record["data"],
    )


def _timer(work: UnitOfWork, letter: DeadLetter) -> NewTimer:
    assert letter.account_id is not None
    record = json.loads(letter.record_value or b"{}")
    # What counted its failures counts from none again.
    data = {name: each for name, each in record["data"].items() if name != "failures"}
    return NewTimer(
        account_id=letter.account_id,
        kind=record["kind"],
        subject_id=record["subject_id"],
        conversation_id=record["conversation_id"],
        due_at=work.now,
        data=data,
    )


def _how(delivery: Repeatable) -> How | WhyNot:
    return how_to_redeliver(
        delivery.kind,
        delivery.status,
        has_endpoint=delivery.endpoint_status is not None,
        has_event=delivery.has_event,
    )


def _is_held(delivery: Repeatable) -> bool:
    return delivery.endpoint_status != "active"


def _entry(work: UnitOfWork, asker: Asker, letter: DeadLetter) -> AuditEntry:
    return asker.entry(
        work, LETTER_REDELIVERED, letter.id, reason=letter.reason, stage=letter.stage
    )
