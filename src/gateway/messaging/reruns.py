"""The parts of reruns: so many a second are done again, and the place is kept with them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.contracts.moments import from_rfc3339
from gateway.db.dead_letter_views import Wanted, lock_dead_letters
from gateway.db.redelivery import (
    PastEvent,
    count_waiting,
    find_deliveries_of,
    find_past_events,
    insert_unbegun,
)
from gateway.db.reruns import Rerun, save_rerun
from gateway.db.subscriptions import Subscription, lock_subscription
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.subscription import wants
from gateway.messaging.redelivery import Asker, redeliver_letters, redeliver_many

_SECOND: Final = timedelta(seconds=1)
# An endpoint that is held gets nothing, so nothing is gained by looking often.
_HELD: Final = timedelta(seconds=10)
# So many events are looked at for one part, wanted or not.
_LOOKED_AT: Final = 2000
# Told to one endpoint alone, and to no other later.
_PRIVATE: Final = "gateway.endpoint.tested.v1"
_FIRST_ID: Final = ""


async def do_part(work: UnitOfWork, rerun: Rerun, *, per_second: int) -> None:
    """Do the next part of a locked rerun, and set when the one after it is due, or end it."""
    rerun.next_at = work.now + _SECOND
    match rerun.kind:
        case "dead_letters":
            await _dead_letters(work, rerun, per_second)
        case "deliveries":
            await _of_endpoint(work, rerun, per_second)
        case "events":
            await _of_endpoint(work, rerun, per_second)
    await save_rerun(work.connection, rerun)


async def _dead_letters(work: UnitOfWork, rerun: Rerun, limit: int) -> None:
    letters = await lock_dead_letters(
        work.connection,
        rerun.account_id,
        wanted_letters(rerun.filter),
        after=rerun.place or _FIRST_ID,
        limit=limit,
    )
    outcome = await redeliver_letters(work, _asker(rerun), letters)
    rerun.redelivered += len(outcome.done)
    rerun.passed_over += len(letters) - len(outcome.done)
    if letters:
        rerun.place = letters[-1].id
    if len(letters) < limit:
        rerun.end("finished", now=work.now)


async def _of_endpoint(work: UnitOfWork, rerun: Rerun, limit: int) -> None:
    assert rerun.account_id is not None
    assert rerun.endpoint_id is not None
    subscription = await lock_subscription(work.connection, rerun.account_id, rerun.endpoint_id)
    if subscription is None:
        rerun.end("cancelled", now=work.now)
        return
    if subscription.status != "active":
        rerun.next_at = work.now + _HELD
        return
    # What the endpoint has not taken yet comes first: others wait behind it in their lanes.
    if await count_waiting(work.connection, subscription.id, most=limit) >= limit:
        return
    if rerun.kind == "deliveries":
        await _deliveries(work, rerun, limit)
    else:
        await _events(work, rerun, subscription, limit)


async def _deliveries(work: UnitOfWork, rerun: Rerun, limit: int) -> None:
    assert rerun.account_id is not None
    assert rerun.endpoint_id is not None
    found = await find_deliveries_of(
        work.connection,
        rerun.account_id,
        rerun.endpoint_id,
        status=rerun.filter["status"],
        since=from_rfc3339(rerun.filter["from"]),
        until=from_rfc3339(rerun.filter["to"]),
        after=rerun.place or _FIRST_ID,
        limit=limit,
    )
    await _redeliver(work, rerun, found)
    if found:
        rerun.place = found[-1]
    if len(found) < limit:
        rerun.end("finished", now=work.now)


async def _events(work: UnitOfWork, rerun: Rerun, subscription: Subscription, limit: int) -> None:
    assert rerun.account_id is not None
    found = await find_past_events(
        work.connection,
        rerun.account_id,
        subscription.id,
        since=from_rfc3339(rerun.filter["from"]),
        until=from_rfc3339(rerun.filter["to"]),
        after=int(rerun.place or 0),
        limit=_LOOKED_AT,
    )
    meant = [each for each in found if _is_meant(rerun, subscription, each)][:limit]
    fresh = [each for each in meant if each.delivery_id is None]
    made = await insert_unbegun(work.connection, subscription, fresh, now=work.now)
    delivery_ids = [each.delivery_id or made[each.id] for each in meant]
    await _redeliver(work, rerun, delivery_ids)
    # Where there are more than fit into a part, the next begins behind the last that did.
    last = meant[-1] if len(meant) == limit else found[-1] if found else None
    if last is not None:
        rerun.place = str(last.position)
    if len(found) < _LOOKED_AT and len(meant) < limit:
        rerun.end("finished", now=work.now)
    elif not meant:
        rerun.next_at = work.now


async def _redeliver(work: UnitOfWork, rerun: Rerun, delivery_ids: Sequence[str]) -> None:
    outcome = await redeliver_many(work, _asker(rerun), delivery_ids, in_order=delivery_ids)
    rerun.redelivered += len(outcome.done)
    rerun.passed_over += len(delivery_ids) - len(outcome.done)


def wanted_letters(document: dict[str, Any]) -> Wanted:
    """Return which dead letters a rerun's filter means."""
    return Wanted(
        reason=document.get("reason"),
        stage=document.get("stage"),
        endpoint_id=document.get("endpoint_id"),
        since=_moment(document.get("from")),
        until=_moment(document.get("to")),
        redelivered=document.get("redelivered", False),
    )


def _is_meant(rerun: Rerun, subscription: Subscription, event: PastEvent) -> bool:
    asked = rerun.filter.get("event_types") or ["*"]
    if not wants(event.type, event.channel_id, event_types=asked, channel_ids=()):
        return False
    if event.delivery_id is not None:
        return True
    return event.type != _PRIVATE and subscription.wants(event.type, event.channel_id)


def _asker(rerun: Rerun) -> Asker:
    return Asker(account_id=rerun.account_id, actor=rerun.actor, rerun_id=rerun.id)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else from_rfc3339(text)
