"""One call: started only while it may be, ended within its budget, counted and logged."""

import logging
import time
from collections.abc import Mapping
from typing import Final

import structlog

from gateway.db.deliveries import Delivery
from gateway.db.leases import ShardLeases
from gateway.domain.delivery import (
    Accepted,
    Answer,
    NotStarted,
    Outcome,
    Retry,
    SendError,
    TargetKind,
    Unknown,
)
from gateway.points import Point
from gateway.sender.attempts import Attempt, Ended, Transport
from gateway.sender.metrics import ATTEMPTS, SECONDS

# A call that has less than this left is better started anew.
_LEAST_SECONDS: Final = 0.5
_OUR_FAULT: Final = SendError(
    "internal-error",
    "The gateway failed in the middle of the call.",
    "Tell whoever runs the gateway.",
    retryable=True,
)

log = structlog.get_logger()


class Caller:
    """Makes the calls of claimed deliveries."""

    def __init__(
        self, transports: Mapping[TargetKind, Transport], leases: ShardLeases, *, at: Point
    ) -> None:
        self._transports = transports
        self._leases = leases
        self._at = at
        self._stopped = False

    def stop(self) -> None:
        """Start no more calls."""
        self._stopped = True

    async def call(self, attempt: Attempt) -> Ended:
        """Make a call, unless the process is stopping or the shard is no longer surely ours.

        This is the last look before the first byte: the claim was committed a moment ago, and the
        monotonic clock says how much of the lease is left since.
        """
        delivery = attempt.delivery
        await self._at("before_call")
        seconds = attempt.ends_by - time.monotonic()
        if not self._may_start(delivery) or seconds < _LEAST_SECONDS:
            return Ended(attempt, Answer(outcome=NotStarted()))
        unready = None if attempt.readiness is None else attempt.readiness.answer
        answer = await self._send(attempt, seconds) if unready is None else unready
        await self._at("after_call")
        outcome = answer.outcome.name
        ATTEMPTS.labels(delivery.target_kind, outcome).inc()
        SECONDS.labels(delivery.target_kind).observe(answer.milliseconds / 1000)
        # Most go well, and their attempts stand in the database; a line for each would cost more
        # than the call.
        level = logging.DEBUG if isinstance(answer.outcome, Accepted) else logging.INFO
        log.log(
            level,
            "delivery.attempted",
            delivery_id=delivery.id,
            account_id=delivery.account_id,
            target_kind=delivery.target_kind.value,
            target_id=delivery.target_id,
            kind=delivery.kind.value,
            attempt=delivery.attempt,
            outcome=outcome,
            status=answer.status,
            milliseconds=answer.milliseconds,
        )
        return Ended(attempt, answer)

    def _may_start(self, delivery: Delivery) -> bool:
        mine = self._leases.mine.get(delivery.shard) == delivery.epoch
        return mine and self._leases.safe(delivery.shard) and not self._stopped

    async def _send(self, attempt: Attempt, seconds: float) -> Answer:
        transport = self._transports[attempt.delivery.target_kind]
        started = time.monotonic()
        try:
            return await transport.send(attempt, seconds=seconds)
        except Exception:
            log.exception("delivery.transport_failed", delivery_id=attempt.delivery.id)
            to_page = attempt.delivery.target_kind is TargetKind.PAGE
            outcome: Outcome = Unknown(_OUR_FAULT) if to_page else Retry(_OUR_FAULT)
            return Answer(outcome=outcome, milliseconds=round((time.monotonic() - started) * 1000))
