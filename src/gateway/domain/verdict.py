"""What follows from an attempt at a delivery: pure decisions that the sender writes down."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from gateway.domain.backoff import RetrySchedule
from gateway.domain.channel import ChannelStatus, StatusReason, hold_reason
from gateway.domain.conversation import WINDOW_CLOSED_SENTENCE, Window, WindowState
from gateway.domain.delivery import (
    Accepted,
    NotAttempted,
    NotStarted,
    Outcome,
    Reauthenticate,
    Refused,
    Retry,
    SendError,
    Throttle,
    Unknown,
    WindowRefused,
)
from gateway.domain.message import MessageStatus

# How long after a call its echo may take, once routing has read all that Kafka has.
ECHO_WAIT: Final = timedelta(seconds=30)
# Typing, seen and reactions mean nothing later.
ACTION_LIFE: Final = timedelta(seconds=10)
# The last try is due at the deadline itself and starts a moment later; what is later is overdue.
OVERDUE: Final = timedelta(seconds=5)

WINDOW_CLOSED: Final = SendError(
    "messaging-window-closed",
    WINDOW_CLOSED_SENTENCE,
    "Wait until the contact writes again, or close the enquiry.",
)


@dataclass(frozen=True, slots=True)
class Delivered:
    """It is there; the peer may have told its own id of it."""

    source_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class RetryDue:
    """It is tried again at a moment."""

    at: datetime
    error: SendError


@dataclass(frozen=True, slots=True)
class Untried:
    """Nothing was tried: it stands where it stood."""


@dataclass(frozen=True, slots=True)
class Held:
    """It waits, with all others of its channel, until the channel is well again."""

    error: SendError
    status: ChannelStatus
    reason: StatusReason


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not get there and is not tried again; the channel may be at fault, too."""

    error: SendError
    status: ChannelStatus | None = None
    reason: StatusReason | None = None


@dataclass(frozen=True, slots=True)
class Uncertain:
    """Nobody knows; an echo may tell until `wait_until`, and later still."""

    wait_until: datetime
    error: SendError


@dataclass(frozen=True, slots=True)
class TargetGone:
    """The endpoint wants nothing more: this delivery fails and the endpoint is disabled."""

    error: SendError


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """The last attempt of the schedule failed; a person may redeliver it."""

    error: SendError


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Nobody wants it any more: its message was taken back or is there, or its target is gone."""


@dataclass(frozen=True, slots=True)
class TargetHeld:
    """Its target is held, and so is all that is pending for it."""


# What is found out just before a call would start.
Disposal: TypeAlias = Failed | Cancelled | TargetHeld

Verdict: TypeAlias = (
    Delivered | RetryDue | Untried | Held | Failed | Uncertain | TargetGone | DeadLettered
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a message to a person may be tried: its deadline, and the window's end if any."""

    deadline_at: datetime | None
    window_closes_at: datetime | None = None


CHANNEL_SUSPENDED: Final = SendError(
    "channel-suspended",
    "The channel was suspended before the message could be sent.",
    "Reactivate the channel, then send the message again.",
)
CHANNEL_DELETED: Final = SendError(
    "channel-deleted",
    "The channel was deleted before the message could be sent.",
    "Nothing can be sent on a deleted channel.",
)
EMPTIED: Final = SendError(
    "cancelled",
    "What the message said was removed before it could be sent.",
    "Nothing: its contact was erased, or it waited for longer than the account keeps anything.",
)
TOO_LATE: Final = SendError(
    "upstream-failed",
    "The message could not be sent before its deadline: nothing could leave for a while, or too "
    "much was waiting before it.",
    "Send the message again if it still makes sense.",
    retryable=True,
)


def settle_message(
    outcome: Outcome,
    *,
    attempt: int,
    now: datetime,
    patience: Patience,
    schedule: RetrySchedule,
    chance: random.Random,
) -> Verdict:
    """Decide what follows an attempt at a message to a person.

    It is tried until its deadline, and never past the messaging window.
    """
    verdict: Verdict
    match outcome:
        case Accepted(source_message_id):
            verdict = Delivered(source_message_id)
        case NotStarted():
            verdict = Untried()
        case Unknown(error):
            verdict = Uncertain(now + ECHO_WAIT, error)
        case Reauthenticate(error, status, reason):
            held = hold_reason(status, reason) is not None
            verdict = (Held if held else Failed)(error, status, reason)
        case WindowRefused(error) | Refused(error):
            verdict = Failed(error)
        case Retry() | Throttle() | NotAttempted():
            wait = schedule.wait_after(attempt, retry_after=_asked(outcome), chance=chance)
            verdict = _message_again(outcome, attempt, now, patience, wait)
    return verdict


def settle_event(
    outcome: Outcome,
    *,
    attempt: int,
    now: datetime,
    schedule: RetrySchedule,
    chance: random.Random,
) -> Verdict:
    """Decide what follows an attempt at an endpoint's delivery."""
    match outcome:
        case Accepted():
            return Delivered()
        case NotStarted():
            return Untried()
        case Refused(error, gone=True):
            return TargetGone(error)
        case _:
            wait = schedule.wait_after(attempt, retry_after=_asked(outcome), chance=chance)
            if wait is None:
                return DeadLettered(outcome.error)
            return RetryDue(now + wait, outcome.error)


def settle_action(outcome: Outcome) -> Verdict:
    """Decide what follows the only attempt at typing, seen or a reaction."""
    match outcome:
        case Accepted():
            return Delivered()
        case NotStarted():
            return Untried()
        case Reauthenticate(error, status, reason):
            return Failed(error, status, reason)
        case _:
            return Failed(outcome.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sendable:
    """What decides whether a message may leave now."""

    status: MessageStatus
    tag: str | None
    # A private reply goes by the comment's own rule.
    to_comment: bool
    deadline_at: datetime | None
    # What it said was removed: its contact was erased, or it is past its account's retention.
    emptied: bool = False


def judge_message(
    message: Sendable | None,
    *,
    status: ChannelStatus,
    hold: str | None,
    window: Window | None,
    now: datetime,
) -> Disposal | None:
    """Return why a message must not leave now; None: it may.

    `window` None: the platform has none. Refusals come in the order deleted, suspended, window.
    """
    if message is None or message.status is not MessageStatus.ACCEPTED:
        return Cancelled()
    if status is ChannelStatus.DELETED:
        return Failed(CHANNEL_DELETED)
    if hold is not None:
        return TargetHeld()
    if status is ChannelStatus.SUSPENDED:
        return Failed(CHANNEL_SUSPENDED)
    return Failed(EMPTIED) if message.emptied else _judge_time(message, window, now)


def _judge_time(message: Sendable, window: Window | None, now: datetime) -> Disposal | None:
    if window is not None and not message.to_comment:
        wanted = (WindowState.OPEN, WindowState.HUMAN_AGENT if message.tag else WindowState.OPEN)
        if window.state not in wanted:
            return Failed(WINDOW_CLOSED)
    if message.deadline_at is not None and now > message.deadline_at + OVERDUE:
        return Failed(TOO_LATE)
    return None


def _asked(outcome: Outcome) -> timedelta | None:
    return outcome.after if isinstance(outcome, Retry | Throttle) else None


def _message_again(
    outcome: Retry | Throttle | NotAttempted,
    attempt: int,
    now: datetime,
    patience: Patience,
    wait: timedelta | None,
) -> Verdict:
    tries = outcome.tries if isinstance(outcome, Retry) else None
    if wait is None or (tries is not None and attempt >= tries):
        return Failed(outcome.error.given_up(attempt))
    earliest = now + (_asked(outcome) or timedelta())
    closes, deadline = patience.window_closes_at, patience.deadline_at
    if closes is not None and max(earliest, now) > closes:
        return Failed(WINDOW_CLOSED)
    if deadline is not None and (earliest > deadline or now >= deadline):
        return Failed(outcome.error.given_up(attempt))
    # The last try is at the deadline and not before it.
    at = now + wait if deadline is None else max(earliest, min(now + wait, deadline))
    return RetryDue(at, outcome.error)
