"""The arrows of an enquiry, and what a message does to the latest one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from routing.enquiries import (
    ARROWS,
    LIVE,
    Continuation,
    EnquiryStatus,
    Progress,
    allowed_from,
    continuation,
    may_move,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LITTLE = timedelta(milliseconds=1)

DOCUMENTED = {
    "open": "offered ongoing missed closed",
    "offered": "open ongoing missed closed",
    "ongoing": "offered closed",
    "missed": "followed_up open closed",
    "followed_up": "ongoing closed",
    "closed": "open",
}


@pytest.mark.parametrize("source", EnquiryStatus)
@pytest.mark.parametrize("target", EnquiryStatus)
def test_the_arrows_are_those_documented(source: EnquiryStatus, target: EnquiryStatus) -> None:
    assert may_move(source, target) == (target.value in DOCUMENTED[source].split())


def test_every_state_can_be_left_and_a_refusal_says_how() -> None:
    assert set(ARROWS) == set(EnquiryStatus)
    assert allowed_from(EnquiryStatus.MISSED) == ["closed", "followed_up", "open"]


@dataclass(frozen=True)
class Latest:
    status: EnquiryStatus
    closed_at: datetime | None = None
    missed_at: datetime | None = None
    close_reason: str | None = None


def closed(ago: timedelta, reason: str = "requested") -> Latest:
    return Latest(EnquiryStatus.CLOSED, closed_at=NOW - ago, close_reason=reason)


def missed(ago: timedelta) -> Latest:
    return Latest(EnquiryStatus.MISSED, missed_at=NOW - ago)


JOIN, RESUME = Continuation.JOIN, Continuation.RESUME
REOPEN, ANOTHER = Continuation.REOPEN, Continuation.OPEN_ANOTHER
MINUTE, YEAR = timedelta(minutes=1), timedelta(days=365)


@pytest.mark.parametrize(
    ("latest", "intermission", "never", "always"),
    [
        pytest.param(None, ANOTHER, ANOTHER, ANOTHER, id="the first message ever"),
        pytest.param(closed(MINUTE), REOPEN, REOPEN, ANOTHER, id="closed just now"),
        pytest.param(closed(HOUR - LITTLE), REOPEN, REOPEN, ANOTHER, id="just within"),
        pytest.param(closed(HOUR), ANOTHER, REOPEN, ANOTHER, id="just past"),
        pytest.param(closed(YEAR), ANOTHER, REOPEN, ANOTHER, id="closed long ago"),
        pytest.param(
            closed(MINUTE, "intermission"), ANOTHER, REOPEN, ANOTHER, id="the intermission passed"
        ),
        pytest.param(missed(MINUTE), REOPEN, REOPEN, ANOTHER, id="missed just now"),
        pytest.param(missed(HOUR), ANOTHER, REOPEN, ANOTHER, id="missed long ago"),
        pytest.param(Latest(EnquiryStatus.FOLLOWED_UP), RESUME, RESUME, RESUME, id="followed up"),
        *(
            pytest.param(Latest(status), JOIN, JOIN, JOIN, id=status.value)
            for status in sorted(LIVE)
        ),
    ],
)
def test_what_a_message_does(
    latest: Latest | None, intermission: Continuation, never: Continuation, always: Continuation
) -> None:
    for policy, expected in (
        ("intermission", intermission),
        ("never", never),
        ("always", always),
    ):
        assert continuation(latest, policy=policy, intermission=HOUR, at=NOW) is expected


def test_a_message_written_before_the_close_belongs_to_what_was_closed() -> None:
    latest = closed(MINUTE)
    before = NOW - 2 * MINUTE
    assert continuation(latest, policy="intermission", intermission=MINUTE, at=before) is REOPEN


def test_progress_is_read_back_as_it_was_kept() -> None:
    progress = Progress(tried={"agt_1": "rejected"}, first="agt_2", since=NOW)
    assert progress.as_json() == {
        "tried": {"agt_1": "rejected"},
        "first": "agt_2",
        "since": NOW.isoformat(),
    }
    assert Progress.from_json(progress.as_json()) == progress
    assert Progress.from_json({}) == Progress()
