"""What follows from an attempt."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.backoff import MESSAGE_SCHEDULE, endpoint_schedule
from gateway.domain.channel import ChannelStatus, StatusReason
from gateway.domain.conversation import Window, WindowState
from gateway.domain.delivery import (
    TRIED_AGAIN,
    Accepted,
    NotAttempted,
    NotStarted,
    Reauthenticate,
    Refused,
    Retry,
    SendError,
    Throttle,
    Unknown,
    WindowRefused,
    printable,
)
from gateway.domain.message import MessageStatus
from gateway.domain.verdict import (
    EMPTIED,
    Cancelled,
    DeadLettered,
    Delivered,
    Failed,
    Held,
    Patience,
    RetryDue,
    Sendable,
    TargetGone,
    TargetHeld,
    Uncertain,
    Untried,
    judge_message,
    settle_action,
    settle_event,
    settle_message,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ERROR = SendError("meta-2", "Busy.", "Wait.", retryable=True)
HOUR = timedelta(hours=1)


def settle(outcome, *, attempt=1, deadline=HOUR, closes=None, seed=1):
    return settle_message(
        outcome,
        attempt=attempt,
        now=NOW,
        patience=Patience(
            deadline_at=NOW + deadline, window_closes_at=None if closes is None else NOW + closes
        ),
        schedule=MESSAGE_SCHEDULE,
        chance=random.Random(seed),
    )


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (Accepted("m_1"), Delivered("m_1")),
        (NotStarted(), Untried()),
        (Unknown(ERROR), Uncertain(NOW + timedelta(seconds=30), ERROR)),
        (Refused(ERROR), Failed(ERROR)),
        (Refused(ERROR, gone=True), Failed(ERROR)),
        (WindowRefused(ERROR), Failed(ERROR)),
        (Retry(ERROR, tries=1), Failed(ERROR.given_up(1))),
        (Retry(ERROR, after=timedelta(hours=2)), Failed(ERROR.given_up(1))),
    ],
)
def test_messages(outcome, verdict):
    assert settle(outcome) == verdict


@pytest.mark.parametrize("outcome", [Retry(ERROR), NotAttempted(ERROR)])
def test_messages_are_tried_again_until_their_deadline(outcome):
    assert settle(outcome).at <= NOW + timedelta(seconds=5)
    # The last try is at the deadline, and not before it.
    assert settle(outcome, attempt=7, deadline=timedelta(seconds=9)) == RetryDue(
        NOW + timedelta(seconds=9), ERROR
    )
    assert settle(outcome, deadline=timedelta()) == Failed(ERROR.given_up(1))


def test_a_throttle_is_not_undercut():
    assert settle(Throttle(ERROR, timedelta(minutes=20))).at >= NOW + timedelta(minutes=20)


def test_a_message_that_cannot_be_tried_again_inside_the_window_says_so():
    verdict = settle(Retry(ERROR, after=timedelta(seconds=10)), closes=timedelta(seconds=9))
    assert verdict.error.code == "messaging-window-closed"
    assert settle(Retry(ERROR), closes=timedelta(seconds=-1)).error.code == verdict.error.code
    assert isinstance(settle(Retry(ERROR), closes=HOUR), RetryDue)


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (ChannelStatus.DISCONNECTED, StatusReason.TOKEN_EXPIRED, Held),
        (ChannelStatus.DEGRADED, StatusReason.PAGE_RESTRICTED, Held),
        (ChannelStatus.DEGRADED, StatusReason.MESSAGES_NOT_ALLOWED, Failed),
    ],
)
def test_only_what_can_come_back_is_held(status, reason, kind):
    assert settle(Reauthenticate(ERROR, status, reason)) == kind(ERROR, status, reason)


@given(
    st.sampled_from([Retry(ERROR), Throttle(ERROR, timedelta(seconds=40)), NotAttempted(ERROR)]),
    st.integers(1, 40),
    st.integers(-100, 4000),
    st.integers(0, 1000),
)
def test_no_retry_is_due_after_the_deadline(outcome, attempt, deadline, seed):
    verdict = settle(outcome, attempt=attempt, deadline=timedelta(seconds=deadline), seed=seed)
    if isinstance(verdict, RetryDue):
        assert NOW < verdict.at <= NOW + timedelta(seconds=deadline)


def event(outcome, attempt=1):
    return settle_event(
        outcome,
        attempt=attempt,
        now=NOW,
        schedule=endpoint_schedule((5, 60)),
        chance=random.Random(1),
    )


def test_events():
    assert event(Accepted("ignored")) == Delivered()
    assert event(NotStarted()) == Untried()
    assert event(Refused(ERROR, gone=True)) == TargetGone(ERROR)
    for outcome in (Retry(ERROR), Unknown(ERROR), Refused(ERROR), NotAttempted(ERROR)):
        assert isinstance(event(outcome), RetryDue)
        assert event(outcome, attempt=3) == DeadLettered(ERROR)


def test_actions_are_never_tried_again():
    assert settle_action(Accepted()) == Delivered()
    assert settle_action(NotStarted()) == Untried()
    for outcome in (Retry(ERROR), Unknown(ERROR), Refused(ERROR), NotAttempted(ERROR)):
        assert settle_action(outcome) == Failed(ERROR)


def judge(
    status=MessageStatus.ACCEPTED,
    *,
    channel=ChannelStatus.ACTIVE,
    hold=None,
    window=None,
    tag=None,
    to_comment=False,
    deadline=HOUR,
):
    return judge_message(
        Sendable(status=status, tag=tag, to_comment=to_comment, deadline_at=NOW + deadline),
        status=channel,
        hold=hold,
        window=window,
        now=NOW,
    )


def window(state):
    return Window(state, None, None)


def test_a_message_may_leave():
    assert judge() is None
    assert judge(window=window(WindowState.OPEN)) is None
    assert judge(window=window(WindowState.HUMAN_AGENT), tag="HUMAN_AGENT") is None
    assert judge(window=window(WindowState.CLOSED), to_comment=True) is None
    assert judge(deadline=timedelta()) is None


def test_a_message_must_not_leave():
    assert judge(MessageStatus.FAILED) == Cancelled()
    assert judge(MessageStatus.SENT) == Cancelled()
    assert judge(channel=ChannelStatus.DELETED, hold="x").error.code == "channel-deleted"
    assert judge(hold="suspended", channel=ChannelStatus.SUSPENDED) == TargetHeld()
    assert judge(channel=ChannelStatus.SUSPENDED).error.code == "channel-suspended"
    for state in (WindowState.CLOSED, WindowState.HUMAN_AGENT):
        assert judge(window=window(state)).error.code == "messaging-window-closed"
    closed = window(WindowState.CLOSED)
    assert judge(window=closed, tag="HUMAN_AGENT").error.code == "messaging-window-closed"
    assert judge(deadline=timedelta(seconds=-6)).error.code == "upstream-failed"


@given(st.binary(max_size=3000))
def test_answers_are_kept_short_and_harmless(body):
    kept = printable(body)
    assert len(kept) <= 1024
    assert "\0" not in kept
    assert "\x1b" not in kept
    kept.encode()


def test_secrets_that_a_peer_repeats_are_masked():
    kept = printable(b'{"message": "Malformed access token EAAsecret"}', secrets=("EAAsecret", ""))
    assert kept == '{"message": "Malformed access token [masked]"}'


def test_what_says_nothing_any_more_does_not_leave():
    message = Sendable(
        status=MessageStatus.ACCEPTED, tag=None, to_comment=False, deadline_at=None, emptied=True
    )
    verdict = judge_message(message, status=ChannelStatus.ACTIVE, hold=None, window=None, now=NOW)
    assert verdict == Failed(EMPTIED)


def test_who_is_tried_no_more_is_told_so_and_not_that_it_is_tried_again():
    error = SendError(
        "upstream-failed", "It answered 503.", f"Look at it. {TRIED_AGAIN}", retryable=True
    )
    last = error.given_up(3)
    assert last.detail == "It answered 503. It was tried 3 times."
    assert last.remedy == "Send it again if it still makes sense. Look at it."
    assert error.given_up(1).detail.endswith("It was tried once.")
