"""Signed webhooks: messages to third parties, events to endpoints.

Standard Webhooks: the same `webhook-id` on each retry, a new timestamp, a signature for each secret
that is valid. What nobody answered is simply sent again: receivers drop repeats by the id.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from gateway import __version__
from gateway.clock import Clock, true_now
from gateway.contracts.inline_answers import CAUSED_BY_CONTACTS, read_answer
from gateway.contracts.webhooks import MESSAGE_SEND, webhook_body
from gateway.db.media_links import MediaLinks
from gateway.db.secrets import KeyRing, UndecryptableError
from gateway.db.sending import PublicEvent
from gateway.domain import ids
from gateway.domain.backoff import parse_retry_after
from gateway.domain.delivery import (
    TRIED_AGAIN,
    Accepted,
    Answer,
    NotAttempted,
    Outcome,
    Refused,
    Retry,
    SendError,
    Throttle,
    printable,
)
from gateway.messaging.endpoint_headers import headers_of
from gateway.messaging.resources import Link, content_on_the_wire, message_resource, shown_content
from gateway.net.egress import Egress, EgressAnswer, NoAnswerError, UnreachableError
from gateway.net.signing import sign
from gateway.sender.attempts import Attempt
from gateway.sender.metrics import INLINE_REFUSED
from gateway.sender.page import NOTHING_TO_SEND, UNREADABLE_SECRET

log = structlog.get_logger()

# How long a target rests that asked for it without saying for how long.
THROTTLE_WAIT: Final = timedelta(seconds=5)
_OK: Final = range(200, 300)
_GONE: Final = 410
_ANSWERED: Final = 200
_THROTTLES: Final = frozenset({429, 502, 503, 504})
_MAX_MESSAGE_ID: Final = 255
_GONE_REMEDY: Final = "The webhook wants nothing more (410); give it a new address."
_ANSWER_REMEDY: Final = "Answer with contents as `POST …/messages` takes them; these were left out."
_REMEDY: Final = f"See that the webhook answers 2xx within ten seconds. {TRIED_AGAIN}"


class ThirdPartyTransport:
    """POSTs messages to the outgoing webhooks of third-party channels."""

    def __init__(
        self, egress: Egress, *, keyring: KeyRing, clock: Clock, links: MediaLinks
    ) -> None:
        self._egress = egress
        self._keyring = keyring
        self._clock = clock
        self._links = links

    async def send(self, attempt: Attempt, *, seconds: float) -> Answer:
        """POST a message; a 2xx answer may tell the third party's own id of it."""
        channel = attempt.channel
        if channel is None or attempt.message is None:
            return Answer(outcome=NotAttempted(NOTHING_TO_SEND), blames_target=False)
        try:
            secrets = channel.open_signing_secrets(self._keyring, self._clock.now())
        except UndecryptableError:
            log.error("secret.undecryptable", channel_id=channel.id)  # noqa: TRY400 - no traceback: it might show the secret
            return Answer(outcome=NotAttempted(UNREADABLE_SECRET), blames_target=False)
        return await post(
            self._egress,
            channel.outgoing_webhook_url or "",
            message_body(attempt, link=partial(self._links.link, now=self._clock.now())),
            # An event's id that no event has: the message's, so that it is the same on each retry
            # and when somebody sends the message again.
            webhook_id=ids.EVENT + attempt.message.id.removeprefix(ids.MESSAGE),
            attempt=attempt,
            secrets=secrets,
            own_headers={},
            seconds=seconds,
        )


class EndpointTransport:
    """POSTs events to endpoints."""

    def __init__(self, egress: Egress, *, keyring: KeyRing, clock: Clock) -> None:
        self._egress = egress
        self._keyring = keyring
        self._clock = clock

    async def send(self, attempt: Attempt, *, seconds: float) -> Answer:
        """POST an event."""
        endpoint, event = attempt.endpoint, attempt.event
        if endpoint is None or event is None:
            return Answer(outcome=NotAttempted(NOTHING_TO_SEND), blames_target=False)
        try:
            secrets = endpoint.open_signing_secrets(self._keyring, self._clock.now())
            headers = headers_of(endpoint, self._keyring)
        except UndecryptableError:
            log.error("secret.undecryptable", endpoint_id=endpoint.id)  # noqa: TRY400 - no traceback: it might show the secret
            return Answer(outcome=NotAttempted(UNREADABLE_SECRET), blames_target=False)
        return await post(
            self._egress,
            endpoint.url,
            event_body(attempt),
            webhook_id=event.id,
            attempt=attempt,
            secrets=secrets,
            own_headers=headers,
            seconds=seconds,
            read=_read_answer if _may_be_answered(event) else None,
        )


async def post(
    egress: Egress,
    url: str,
    body: bytes,
    *,
    webhook_id: str,
    attempt: Attempt,
    secrets: Sequence[str],
    own_headers: Mapping[str, str],
    seconds: float,
    read: Callable[[bytes, Answer], Answer] | None = None,
) -> Answer:
    """POST a signed webhook and return what it brought.

    `own_headers` are the receiver's own; what we say ourselves they cannot say otherwise. `read`
    adds what a 200 says.
    """
    delivery = attempt.delivery
    headers = {
        **sign(body, webhook_id=webhook_id, at=true_now(), signing_secrets=secrets),
        "Content-Type": "application/json",
        "User-Agent": f"channel-gateway/{__version__}",
        "X-Gateway-Attempt": str(delivery.attempt),
    }
    if delivery.traceparent is not None:
        headers["traceparent"] = delivery.traceparent
    ours = {name.lower() for name in headers}
    extra = {name: value for name, value in own_headers.items() if name.lower() not in ours}
    started = time.monotonic()
    answer: EgressAnswer | None = None
    slow = False
    try:
        answer = await egress.post(
            url,
            headers={**extra, **headers},
            body=body,
            budget=timedelta(seconds=seconds),
            scope=delivery.target_id,
        )
    except UnreachableError as error:
        code = "address-not-allowed" if error.denied else "upstream-failed"
        outcome: Outcome = NotAttempted(SendError(code, str(error), _REMEDY, retryable=True))
        slow = error.slow
    except NoAnswerError as error:
        outcome = Retry(SendError("upstream-failed", str(error), _REMEDY, retryable=True))
        slow = error.slow
    else:
        outcome = judge(answer, now=true_now())
    brought = Answer(
        outcome=outcome,
        status=None if answer is None else answer.status,
        milliseconds=round((time.monotonic() - started) * 1000),
        body=None if answer is None else printable(answer.body),
        slow=slow,
    )
    if answer is None or answer.status != _ANSWERED or read is None:
        return brought
    return read(answer.body, brought)


def judge(answer: EgressAnswer, *, now: datetime) -> Outcome:
    """Return what a webhook's answer comes to; `now` is true time."""
    if answer.status in _OK:
        return Accepted(_message_id(answer.body))
    error = SendError(
        "upstream-failed", f"The webhook answered {answer.status}.", _REMEDY, retryable=True
    )
    if answer.status == _GONE:
        return Refused(replace(error, retryable=False, remedy=_GONE_REMEDY), gone=True)
    after = parse_retry_after(answer.header_values("retry-after"), now=now)
    if answer.status in _THROTTLES:
        return Throttle(error, after or THROTTLE_WAIT)
    return Retry(error, after)


def message_body(attempt: Attempt, *, link: Link) -> bytes:
    """Return the body that carries a message to a third party; `link` makes media's addresses."""
    message, recipient = attempt.message, attempt.recipient
    assert message is not None
    assert recipient is not None
    contact = {
        "id": recipient.contact_id,
        "source_contact_id": recipient.source_contact_id,
        "name": recipient.name,
    }
    return webhook_body(
        MESSAGE_SEND,
        timestamp=message.accepted_at,
        sequence=message.sequence,
        data={
            "message": message_resource(message, link=link)
            | {"content": shown_content(message.account_id, content_on_the_wire(message), link)},
            "contact": contact,
            "reply_to_source_message_id": attempt.reply_to_mid,
        },
        account_id=message.account_id,
        channel_id=message.channel_id,
        conversation_id=message.conversation_id,
        enquiry_id=message.enquiry_id,
    )


def event_body(attempt: Attempt) -> bytes:
    """Return the body that carries an event to an endpoint; the same on each attempt."""
    event = attempt.event
    assert event is not None
    return webhook_body(
        event.type,
        timestamp=event.occurred_at,
        sequence=event.sequence,
        data=event.data,
        account_id=event.account_id,
        channel_id=event.channel_id,
        conversation_id=event.conversation_id,
        enquiry_id=event.enquiry_id,
    )


def _may_be_answered(event: PublicEvent) -> bool:
    return event.conversation_id is not None and event.type in CAUSED_BY_CONTACTS


def _read_answer(body: bytes, brought: Answer) -> Answer:
    spoken = read_answer(body)
    if not spoken.faults:
        return replace(brought, spoken=spoken.contents)
    faults = len(spoken.faults)
    INLINE_REFUSED.inc(faults)
    log.warning("inline_answer.malformed", faults=faults)
    note = SendError("validation-failed", "; ".join(spoken.faults), _ANSWER_REMEDY)
    return replace(brought, spoken=spoken.contents, note=note)


def _message_id(body: bytes) -> str | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    given = document.get("message_id") if isinstance(document, dict) else None
    if isinstance(given, str) and 0 < len(given) <= _MAX_MESSAGE_ID and given.isprintable():
        return given
    return None
