"""When a failing endpoint is told of, and when it is disabled."""

from datetime import timedelta

import pytest
from tests.support.clock import NOON

from gateway.domain.endpoint_health import (
    FAILING_LIMIT,
    LEAST_FAILURES,
    NOTICE_AFTER,
    Failing,
    HealthStep,
    judge_failing,
)

MOMENT = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("lasted", "failures", "told", "step"),
    [
        (timedelta(), 1, False, None),
        (timedelta(), 1000, False, None),
        (NOTICE_AFTER - MOMENT, 1000, False, None),
        (NOTICE_AFTER, 9, False, HealthStep.TELL),
        (NOTICE_AFTER, 9, True, None),
        (FAILING_LIMIT - MOMENT, 1000, True, None),
        (FAILING_LIMIT, LEAST_FAILURES, True, HealthStep.DISABLE),
        (FAILING_LIMIT, LEAST_FAILURES, False, HealthStep.DISABLE),
        # Little was tried: that it is down for good is not shown.
        (timedelta(days=30), LEAST_FAILURES - 1, True, None),
        (timedelta(days=30), LEAST_FAILURES - 1, False, HealthStep.TELL),
    ],
)
def test_what_follows_a_failure(lasted, failures, told, step):
    failing = Failing(since=NOON, failures=failures, told=told)
    assert judge_failing(failing, NOON + lasted) is step
