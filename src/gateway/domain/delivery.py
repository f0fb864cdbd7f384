"""Deliveries: their states, and what an attempt at one came to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar, Final, TypeAlias

from gateway.domain.channel import ChannelStatus, StatusReason
from gateway.domain.usage import Usage

ANSWER_BYTES_KEPT: Final = 1024
# What remedies say of a failure after which there is another try.
TRIED_AGAIN: Final = "It is tried again by itself."


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    SENDING = "sending"
    UNCERTAIN = "uncertain"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TargetKind(StrEnum):
    """What a delivery goes to."""

    PAGE = "page"
    THIRD_PARTY = "third_party"
    ENDPOINT = "endpoint"


class DeliveryKind(StrEnum):
    """What a delivery carries."""

    MESSAGE = "message"
    ACTION = "action"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class SendError:
    """Why something did not get there, in words for the person who sent it.

    `code` is a problem's slug or `meta-<code>[-<subcode>]`.
    """

    code: str
    detail: str
    remedy: str
    retryable: bool = False

    def given_up(self, attempts: int) -> "SendError":
        """Return the error as the last word on what was tried so often and is tried no more."""
        times = "once" if attempts == 1 else f"{attempts} times"
        rest = self.remedy.replace(TRIED_AGAIN, "").strip()
        return replace(
            self,
            detail=f"{self.detail} It was tried {times}.",
            remedy=" ".join(filter(None, ("Send it again if it still makes sense.", rest))),
        )

    def as_document(self) -> dict[str, object]:
        """Return the error as messages and attempts show it."""
        return {
            "code": self.code,
            "detail": self.detail,
            "retryable": self.retryable,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class Accepted:
    """The peer took it, and may have told its own id of it."""

    name: ClassVar[str] = "accepted"
    source_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """It had no effect, or a repeat has none; worth another try, `tries` in all if given."""

    name: ClassVar[str] = "retry"
    error: SendError
    after: timedelta | None = None
    tries: int | None = None


@dataclass(frozen=True, slots=True)
class Throttle:
    """The target takes nothing for a while; `wide` when that holds for the whole Meta app."""

    name: ClassVar[str] = "throttle"
    error: SendError
    after: timedelta
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Reauthenticate:
    """The channel itself is at fault, and takes this status and reason."""

    name: ClassVar[str] = "reauthenticate"
    error: SendError
    status: ChannelStatus
    reason: StatusReason


@dataclass(frozen=True, slots=True)
class WindowRefused:
    """The platform says that its messaging window is closed."""

    name: ClassVar[str] = "window"
    error: SendError


@dataclass(frozen=True, slots=True)
class Refused:
    """The peer refused it for good; `gone` when it wants nothing more at all (410)."""

    name: ClassVar[str] = "refused"
    error: SendError
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request left, wholly or partly, and nobody can say whether it had its effect."""

    name: ClassVar[str] = "unknown"
    error: SendError


@dataclass(frozen=True, slots=True)
class NotAttempted:
    """It was tried, but nothing left: no name, no address allowed, no connection."""

    name: ClassVar[str] = "not_attempted"
    error: SendError


@dataclass(frozen=True, slots=True)
class NotStarted:
    """It was not even tried: the process is ending, or the shard's lease is."""

    name: ClassVar[str] = "not_started"


Outcome: TypeAlias = (
    Accepted
    | Retry
    | Throttle
    | Reauthenticate
    | WindowRefused
    | Refused
    | Unknown
    | NotAttempted
    | NotStarted
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an attempt brought.

    Attributes:
        outcome: What it means.
        status: The HTTP status; None where no answer came.
        milliseconds: How long it took.
        body: The first KiB of the answer, printable; None where there was none.
        slow: The target hung or could not be reached: it gets one call at a time for now.
        fault_code: What the platform's error is counted by, if it answered one.
        spoken: What an endpoint says to the contact, by its place in the answer.
        note: What is wrong with an answer that counts all the same.
        blames_target: Whether a failure would be the target's; not where the gateway itself failed.
        usage: How much of the target's limits the platform says is used up.
        app_usage: How much of the limit of the whole Meta app.
    """

    outcome: Outcome
    status: int | None = None
    milliseconds: int = 0
    body: str | None = None
    slow: bool = False
    fault_code: str | None = None
    spoken: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    note: SendError | None = None
    blames_target: bool = True
    usage: Usage | None = None
    app_usage: Usage | None = None


def printable(body: bytes, *, secrets: tuple[str, ...] = ()) -> str:
    """Return the first KiB of an answer as text that is safe to store and to show.

    What does not print becomes U+FFFD; secrets of ours that the peer repeats are masked.
    """
    text = body.decode("utf-8", "replace")
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[masked]")
    text = text[:ANSWER_BYTES_KEPT]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)
