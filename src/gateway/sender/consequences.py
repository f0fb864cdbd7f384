"""What attempts mean for their targets: channels marked, endpoints disabled, and who must rest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.db.app_limits import rest_app
from gateway.db.targets import rest_target
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.backoff import RETRY_AFTER_LIMIT
from gateway.domain.delivery import (
    Answer,
    Outcome,
    Reauthenticate,
    Retry,
    TargetKind,
    Throttle,
)
from gateway.domain.verdict import TargetHeld
from gateway.messaging.channel_health import mark_channel
from gateway.messaging.probing import probe_soon
from gateway.messaging.settlement import hold_target
from gateway.sender.attempts import Ended, Result, Stopped
from gateway.sender.endpoint_health import judge_endpoints


@dataclass(slots=True)
class Consequences:
    """What was done to targets.

    `outcomes` has, by delivery, the outcomes that read differently now; `rests` until when targets
    are sent nothing, `app_rests` until when nothing is sent through Meta apps; `disabled` the
    endpoints that were disabled, whose deliveries are to be held once the batch has been written.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    rests: dict[str, datetime] = field(default_factory=dict)
    app_rests: dict[str, datetime] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)


async def apply_to_targets(work: UnitOfWork, results: Sequence[Result]) -> Consequences:
    """Write down what a batch says about its targets, before the deliveries' rows are locked."""
    done = Consequences()
    ended = [each for each in results if isinstance(each, Ended)]
    await _hold(work, results)
    await _mark_channels(work, ended, done)
    await _rest(work, ended, done)
    done.disabled = await judge_endpoints(work, ended)
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
        else:
            await probe_soon(work, marked)


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
        after = min(answer.outcome.after, RETRY_AFTER_LIMIT)
        if answer.outcome.wide:
            app_rest = max(after, app_rest or after)
        else:
            rest = max(after, rest or after)
    return rest, app_rest


def _put_off(rests: dict[str, datetime], key: str, until: datetime) -> None:
    rests[key] = max(until, rests.get(key, until))
