"""When an endpoint that does nothing but fail is told of, and when it is disabled."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

# An endpoint that did nothing but fail for so long is told of, and for so long is disabled.
NOTICE_AFTER: Final = timedelta(hours=24)
FAILING_LIMIT: Final = timedelta(days=5)
# Fewer failures disable nothing: with little traffic, two bad moments may lie days apart.
LEAST_FAILURES: Final = 10
# Nobody asked it anything for so long: what was before that is forgotten.
SILENCE: Final = FAILING_LIMIT


class HealthStep(StrEnum):
    """What follows a failure of an endpoint that has failed before."""

    TELL = "tell"
    DISABLE = "disable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """Failures on end: since when, how many at least, and whether they were told of."""

    since: datetime
    failures: int
    told: bool


def judge_failing(failing: Failing, now: datetime) -> HealthStep | None:
    """Return what is due after one more failure; None: nothing yet."""
    lasted = now - failing.since
    if lasted >= FAILING_LIMIT and failing.failures >= LEAST_FAILURES:
        return HealthStep.DISABLE
    if lasted >= NOTICE_AFTER and not failing.told:
        return HealthStep.TELL
    return None
