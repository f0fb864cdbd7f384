"""What calls say of endpoints: which fail on end, are told of, and in the end disabled."""

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.db.endpoints import Endpoint, change_endpoint, get_endpoint
from gateway.db.targets import EndpointHealth, find_failing, note_health, note_told
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.backoff import RETRY_AFTER_LIMIT
from gateway.domain.delivery import Accepted, DeliveryKind, Refused, Retry, Throttle
from gateway.domain.endpoint_health import Failing, HealthStep, judge_failing
from gateway.messaging.endpoint_events import announce_endpoint, announce_failing
from gateway.sender.attempts import Ended, call_end

# Why endpoints are disabled: `status_reason`.
GONE: Final = "gone"
FAILING: Final = "failing"
RETRY_AFTER: Final = "retry_after"


async def judge_endpoints(work: UnitOfWork, ended: Iterable[Ended]) -> set[str]:
    """Note how endpoints' calls went; return those that are disabled for it.

    Their deliveries are to be held once the batch has been written.
    """
    calls: dict[str, list[Ended]] = {}
    for each in ended:
        if each.attempt.delivery.kind is DeliveryKind.EVENT and call_end(each) is not None:
            calls.setdefault(each.attempt.delivery.target_id, []).append(each)
    if not calls:
        return set()
    health = {endpoint_id: _health(its) for endpoint_id, its in calls.items()}
    await note_health(work.connection, health, now=work.now)
    failed = [endpoint_id for endpoint_id, each in health.items() if not each.succeeded]
    failing = await find_failing(work.connection, failed) if failed else {}
    return {
        endpoint_id
        for endpoint_id in sorted(calls)
        if await _judge(work, endpoint_id, calls[endpoint_id], failing.get(endpoint_id))
    }


async def _judge(
    work: UnitOfWork, endpoint_id: str, calls: Sequence[Ended], failing: Failing | None
) -> bool:
    """Tell of an endpoint, or disable it, where that is due; return whether it is disabled."""
    step = None if failing is None else judge_failing(failing, work.now)
    reason = _asks_for_nothing(calls) or (FAILING if step is HealthStep.DISABLE else None)
    if reason is None and step is None:
        return False
    account_id = calls[-1].attempt.delivery.account_id
    endpoint = await get_endpoint(work.connection, account_id, endpoint_id, lock=True)
    if endpoint is None or endpoint.status == "disabled":
        return False
    if reason is None:
        assert failing is not None
        await _tell(work, endpoint, failing, calls[-1])
        return False
    disabled = await change_endpoint(
        work.connection, endpoint, now=work.now, status="disabled", status_reason=reason
    )
    announce_endpoint(work, disabled, "disabled")
    return True


def _health(calls: Sequence[Ended]) -> EndpointHealth:
    succeeded = sum(isinstance(each.answer.outcome, Accepted) for each in calls)
    return EndpointHealth(
        succeeded=succeeded > 0,
        timed_out=calls[-1].answer.slow,
        failures=len(calls) - succeeded,
    )


def _asks_for_nothing(calls: Iterable[Ended]) -> str | None:
    """Return why an endpoint is to be disabled by its own word; None: it said no such thing."""
    for each in calls:
        outcome = each.answer.outcome
        if isinstance(outcome, Refused) and outcome.gone:
            return GONE
        after = outcome.after if isinstance(outcome, Retry | Throttle) else None
        if after is not None and after > RETRY_AFTER_LIMIT:
            return RETRY_AFTER
    return None


async def _tell(work: UnitOfWork, endpoint: Endpoint, failing: Failing, latest: Ended) -> None:
    """Warn, once, before an endpoint is disabled."""
    await note_told(work.connection, endpoint.id, now=work.now)
    announce_failing(
        work,
        endpoint,
        since=failing.since,
        error=getattr(latest.answer.outcome, "error", None),
    )
