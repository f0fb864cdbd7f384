"""One attempt at a delivery: what is known when it starts, and how its call ended."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from gateway.db.channels import Channel
from gateway.db.deliveries import Delivery, Due
from gateway.db.endpoints import Endpoint
from gateway.db.messages import Message
from gateway.db.meta_apps import MetaApp
from gateway.db.sending import PublicEvent, Recipient
from gateway.domain.delivery import (
    Accepted,
    Answer,
    NotAttempted,
    NotStarted,
    Retry,
    Throttle,
    Unknown,
)
from gateway.domain.ramp import CallEnd
from gateway.domain.usage import Usage
from gateway.domain.verdict import Disposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What came of getting a message's media ready.

    Attributes:
        attachment_id: By which Meta knows the file, where it has to have it before.
        answer: What the attempt comes to without a call: the media cannot be sent, or not now.
    """

    attachment_id: str | None = None
    answer: Answer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A delivery whose call starts now, and all that the call needs.

    Attributes:
        delivery: The row as it was claimed.
        called_at: The product's time of the claim; the platform's time of a message without echo.
        ends_by: Monotonic time at which the call has ended, whatever the peer does.
        channel: Of a message or an action.
        app: Of a Page's channel.
        recipient: The contact of a message or an action.
        message: What a delivery of that kind carries.
        reply_to_mid: The source's id of the message that it answers.
        takes_thread: Somebody else has the thread, and the message is to take it.
        readiness: Of a message with media that had to be got ready.
        endpoint: Where an event goes.
        event: What a delivery of that kind carries.
    """

    delivery: Delivery
    called_at: datetime
    ends_by: float
    channel: Channel | None = None
    app: MetaApp | None = None
    recipient: Recipient | None = None
    message: Message | None = None
    reply_to_mid: str | None = None
    takes_thread: bool = False
    readiness: Readiness | None = None
    endpoint: Endpoint | None = None
    event: PublicEvent | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt whose call has ended, with what it brought."""

    attempt: Attempt
    answer: Answer

    @property
    def delivery_id(self) -> str:
        """The delivery's id."""
        return self.attempt.delivery.id

    @property
    def conversation_id(self) -> str | None:
        """The conversation to lock, if it carries a message."""
        delivery = self.attempt.delivery
        return None if delivery.message_id is None else delivery.conversation_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an answer told of limits.

    Attributes:
        target_id: Whom the call was to.
        called_at: When it began, by the product's clock.
        usage: How much of the target's limits is used up, if the platform said so.
        refused: It was refused because of the target's limit.
        app_id: The Meta app through which it went.
        app_usage: How much of the app's limit is used up.
        app_refused: It was refused because of the app's limit.
    """

    target_id: str
    called_at: datetime
    usage: Usage | None
    refused: bool
    app_id: str | None
    app_usage: Usage | None
    app_refused: bool


def told_by(ended: Ended) -> Told | None:
    """Return what a call told of limits; None where nothing was understood."""
    attempt, answer = ended.attempt, ended.answer
    outcome = answer.outcome
    refused = isinstance(outcome, Throttle)
    if not (refused or answer.usage or answer.app_usage or isinstance(outcome, Accepted)):
        return None
    wide = isinstance(outcome, Throttle) and outcome.wide
    return Told(
        target_id=attempt.delivery.target_id,
        called_at=attempt.called_at,
        usage=answer.usage,
        refused=refused and not wide,
        app_id=None if attempt.app is None else attempt.app.app_id,
        app_usage=answer.app_usage,
        app_refused=wide,
    )


@dataclass(frozen=True, slots=True)
class Stopped:
    """A delivery that must not leave now, which was found out just before its call."""

    due: Due
    verdict: Disposal

    @property
    def delivery_id(self) -> str:
        """The delivery's id."""
        return self.due.id

    @property
    def conversation_id(self) -> str | None:
        """The conversation to lock, if it carries a message."""
        return None if self.due.message_id is None else self.due.conversation_id


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """A delivery of whose claim nobody knows whether it was committed: the commit got no answer."""

    due: Due
    epoch: int

    @property
    def delivery_id(self) -> str:
        """The delivery's id."""
        return self.due.id

    @property
    def conversation_id(self) -> str | None:
        """The conversation to lock, if it carries a message."""
        return None if self.due.message_id is None else self.due.conversation_id


# What settlement takes.
Result: TypeAlias = Ended | Stopped | Unclaimed


def call_end(result: Result) -> CallEnd | None:
    """Return what a call showed of its target; None where there was none, or nobody knows."""
    if not isinstance(result, Ended) or isinstance(result.answer.outcome, NotStarted):
        return None
    if not result.answer.blames_target:
        return None
    if result.answer.slow:
        return CallEnd.HUNG
    match result.answer.outcome:
        # A retry of so many tries and no more is the message's fault.
        case Throttle() | NotAttempted() | Unknown() | Retry(tries=None):
            return CallEnd.FAILED
        case _:
            return CallEnd.WELL


class Transport(Protocol):
    """Carries deliveries to one kind of target."""

    async def send(self, attempt: Attempt, *, seconds: float) -> Answer:
        """Make the call and return what it brought, within so many seconds; never raises.

        Only cancellation gets through: the process is ending, and nobody knows what came of it.
        """
        ...
