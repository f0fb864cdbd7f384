"""The published schedule is the one that holds where nobody says otherwise."""

import re
from pathlib import Path

from gateway.api.retry_schedule import retry_schedule
from gateway.domain.backoff import MESSAGE_SCHEDULE, RETRY_AFTER_LIMIT
from gateway.domain.endpoint_health import FAILING_LIMIT, LEAST_FAILURES, NOTICE_AFTER
from gateway.domain.ramp import FIRST_RATE, OUTAGE_FAILURES
from gateway.settings import Settings

PAGE = (Path(__file__).parents[3] / "docs" / "retries.md").read_text(encoding="utf-8")
UNITS = {"s": 1, "min": 60, "h": 3600}
DEFAULT = Settings.model_fields["endpoint_retry_seconds"].default


def seconds(cell: str) -> int:
    if not cell[0].isdigit():
        return 0
    number, unit = cell.split()
    return int(number) * UNITS[unit]


def test_the_table_is_the_settings_default():
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|$", PAGE, flags=re.MULTILINE)
    published = [(int(number), seconds(wait), seconds(after)) for number, wait, after in rows]
    schedule = retry_schedule(DEFAULT)
    assert published == [
        (each.attempt, each.wait_seconds, each.after_seconds) for each in schedule.attempts
    ]
    assert len(published) == 10
    assert schedule.total_seconds == published[-1][2] == 72 * 3600
    assert schedule.jitter == 0.2


def test_the_words_say_what_the_code_does():
    assert (RETRY_AFTER_LIMIT.days, FAILING_LIMIT.days) == (5, 5)
    assert NOTICE_AFTER.total_seconds() == 24 * 3600
    assert (LEAST_FAILURES, OUTAGE_FAILURES, FIRST_RATE) == (10, 5, 10)
    waits = [round(wait.total_seconds()) for wait in MESSAGE_SCHEDULE.waits]
    assert waits == [5, 10, 20, 40, 80, 160, 300]
