from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.token_warnings import warning_due

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "warned", "due"),
    [
        (None, None, None),
        (15, None, None),
        (14, None, 14),
        (10, 14, None),
        (7, 14, 7),
        (6, 7, None),
        (3, None, 7),
        (1, 7, 1),
        (0.5, 1, None),
        (0, 7, None),
        (-1, None, None),
    ],
)
def test_each_warning_is_due_once(days, warned, due):
    expires_at = None if days is None else NOW + timedelta(days=days)
    assert warning_due(expires_at, NOW, warned_days=warned) == due
