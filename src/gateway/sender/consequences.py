"""What attempts mean for their targets: channels marked, endpoints disabled, and who must rest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from gateway.db.app_limits import rest_app
from gateway.db.endpoints import change_endpoint, get_endpoint
from gateway.db.targets import EndpointHealth, find_failing, note_health, rest_target
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.backoff import RETRY_AFTER_CAP
from gateway.domain.delivery import (
    Accepted,
    Answer,
    DeliveryKind,
    NotStarted,
    Outcome,
    Reauthenticate,
    Refused,
    Retry,
    TargetKind,
    Throttle,
)
from gateway.domain.verdict import FAILING_LIMIT, TargetHeld
from gateway.messaging.channel_health import mark_channel
from gateway.messaging.endpoint_events import announce_endpoint
from gateway.messaging.settlement import hold_target
from gateway.sender.attempts import Ended, Result, Stopped

GONE: Final = "gone"
FAILING: Final = "failing"


@dataclass(slots=True)
class Consequences:
    """What was done to targets.

    `outcomes` has, by delivery, the outcomes that read differently now; `rests` until when targets
    are sent nothing, `app_rests` until when nothing is sent through Meta apps.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    rests: dict[str, datetime] = field(default_factory=dict)
    app_rests: dict[str, datetime] = field(default_factory=dict)


async def apply_to_targets(work: UnitOfWork, results: Sequence[Result]) -> Consequences:
    """Write down what a batch says about its targets, before the deliveries' rows are locked."""
    done = Consequences()
    ended = [each for each in results if isinstance(each, Ended)]
    await _hold(work, results)
    await _mark_channels(work, ended, done)
    await _rest(work, ended, done)
    await _judge_endpoints(work, ended)
    return done


async def _hold(work: UnitOfWork, results: Iterable[Result]) -> None:
    held = {
        each.due.target_id
        for each in results
        if isinstance(each, Stopped) and isinstance(each.verdict, TargetHeld)
    }
    for target_id in sorted(held):
        await hold_target(work, target_id)


async def _mark_channels(work: UnitOfWork, ended: Iterable[Ended], done: Consequences) -> None:
    for each in sorted(ended, key=lambda one: one.attempt.delivery.target_id):
        outcome, channel = each.answer.outcome, each.attempt.channel
        if not isinstance(outcome, Reauthenticate) or channel is None:
            continue
        marked = await mark_channel(
            work,
            channel,
            outcome.status,
            outcome.reason,
            detail=outcome.error.detail,
            remedy=outcome.error.remedy,
        )
        if marked is None:
            # The token was replaced while the call with the old one ran: try with the new one.
            done.outcomes[each.delivery_id] = Retry(outcome.error)


async def _rest(work: UnitOfWork, ended: Iterable[Ended], done: Consequences) -> None:
    kinds: dict[str, TargetKind] = {}
    for each in ended:
        delivery, app = each.attempt.delivery, each.attempt.app
        kinds[delivery.target_id] = delivery.target_kind
        rest, app_rest = _asked_rests(each.answer)
        if rest is not None:
            _put_off(done.rests, delivery.target_id, work.now + rest)
        if app_rest is not None and app is not None:
            _put_off(done.app_rests, app.app_id, work.now + app_rest)
    for target_id, until in sorted(done.rests.items()):
        await rest_target(work.connection, kinds[target_id], target_id, until=until)
    for app_id, until in sorted(done.app_rests.items()):
        await rest_app(work.connection, app_id, until=until)


def _asked_rests(answer: Answer) -> tuple[timedelta | None, timedelta | None]:
    """Return for how long the target, and the whole Meta app, want nothing."""
    rest = None if answer.usage is None else answer.usage.rest
    app_rest = None if answer.app_usage is None else answer.app_usage.rest
    if isinstance(answer.outcome, Throttle):
        after = min(answer.outcome.after, RETRY_AFTER_CAP)
        if answer.outcome.wide:
            app_rest = max(after, app_rest or after)
        else:
            rest = max(after, rest or after)
    return rest, app_rest


def _put_off(rests: dict[str, datetime], key: str, until: datetime) -> None:
    rests[key] = max(until, rests.get(key, until))


async def _judge_endpoints(work: UnitOfWork, ended: Iterable[Ended]) -> None:
    health: dict[str, EndpointHealth] = {}
    accounts: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for each in ended:
        delivery, outcome = each.attempt.delivery, each.answer.outcome
        if delivery.kind is not DeliveryKind.EVENT or isinstance(outcome, NotStarted):
            continue
        endpoint_id = delivery.target_id
        accounts[endpoint_id] = delivery.account_id
        before = health.get(endpoint_id)
        health[endpoint_id] = EndpointHealth(
            succeeded=isinstance(outcome, Accepted) or (before is not None and before.succeeded),
            timed_out=each.answer.slow,
        )
        if isinstance(outcome, Refused) and outcome.gone:
            reasons[endpoint_id] = GONE
    if not health:
        return
    await note_health(work.connection, health, now=work.now)
    failed = [endpoint_id for endpoint_id, each in health.items() if not each.succeeded]
    if failed:
        since = work.now - FAILING_LIMIT
        for endpoint_id in await find_failing(work.connection, failed, since=since):
            reasons.setdefault(endpoint_id, FAILING)
    for endpoint_id, reason in sorted(reasons.items()):
        await _disable(work, accounts[endpoint_id], endpoint_id, reason)


async def _disable(work: UnitOfWork, account_id: str, endpoint_id: str, reason: str) -> None:
    endpoint = await get_endpoint(work.connection, account_id, endpoint_id, lock=True)
    if endpoint is None or endpoint.status == "disabled":
        return
    disabled = await change_endpoint(
        work.connection, endpoint, now=work.now, status="disabled", status_reason=reason
    )
    announce_endpoint(work, disabled, "disabled")
    await hold_target(work, endpoint_id)
