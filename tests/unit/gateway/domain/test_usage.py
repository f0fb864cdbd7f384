from datetime import timedelta

import pytest

from gateway.domain.usage import SPENT_WAIT, Usage, fullest


@pytest.mark.parametrize(
    ("usage", "pressed", "rest"),
    [
        (Usage(0), False, None),
        (Usage(79), False, None),
        (Usage(80), True, None),
        (Usage(99), True, None),
        (Usage(100), True, SPENT_WAIT),
        (Usage(137), True, SPENT_WAIT),
        (Usage(100, timedelta(minutes=19)), True, timedelta(minutes=19)),
        (Usage(20, timedelta(minutes=1)), False, timedelta(minutes=1)),
    ],
)
def test_what_a_usage_asks_for(usage, pressed, rest):
    assert (usage.pressed, usage.rest) == (pressed, rest)


def test_the_fullest_limit_and_the_longest_wait_count():
    assert fullest(Usage(3), None, Usage(90), Usage(4, timedelta(minutes=2))) == (
        Usage(90, timedelta(minutes=2))
    )
    assert fullest(None, None) is None
