"""When deliveries to endpoints are tried again, for their owners to read."""

from collections.abc import Sequence
from itertools import accumulate

from pydantic import Field

from gateway.domain.backoff import JITTER
from gateway.domain.endpoint_health import FAILING_LIMIT, LEAST_FAILURES, NOTICE_AFTER
from gateway.http.schemas import Resource


class RetryAttempt(Resource):
    """One attempt of a delivery."""

    attempt: int = Field(examples=[1])
    wait_seconds: int = Field(description="After the attempt before.", examples=[0])
    after_seconds: int = Field(description="After the first attempt.", examples=[0])


class RetryScheduleResource(Resource):
    """The attempts of a delivery that keeps failing; after the last it is a dead letter."""

    attempts: list[RetryAttempt]
    jitter: float = Field(
        description="Each wait is longer or shorter by up to this part of it.", examples=[0.2]
    )
    total_seconds: int = Field(examples=[259200])
    warned_after_seconds: int = Field(
        description="An endpoint that only failed for so long is told of by an event.",
        examples=[86400],
    )
    disabled_after_seconds: int = Field(
        description="An endpoint that only failed for so long is disabled.", examples=[432000]
    )
    disabled_after_failures: int = Field(
        description="But not before so many attempts failed.", examples=[10]
    )


def retry_schedule(waits: Sequence[int]) -> RetryScheduleResource:
    """Return the schedule of some waits, in seconds, between attempts."""
    gaps = (0, *waits)
    return RetryScheduleResource(
        attempts=[
            RetryAttempt(attempt=number, wait_seconds=wait, after_seconds=after)
            for number, (wait, after) in enumerate(zip(gaps, accumulate(gaps), strict=True), 1)
        ],
        jitter=JITTER,
        total_seconds=sum(waits),
        warned_after_seconds=round(NOTICE_AFTER.total_seconds()),
        disabled_after_seconds=round(FAILING_LIMIT.total_seconds()),
        disabled_after_failures=LEAST_FAILURES,
    )
