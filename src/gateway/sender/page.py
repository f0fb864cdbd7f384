"""Messages and actions to people, through Graph."""

import time
from collections import OrderedDict
from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog

from gateway.db.channels import Channel
from gateway.db.meta_apps import MetaApp
from gateway.db.secrets import KeyRing, UndecryptableError
from gateway.domain.delivery import Answer, NotAttempted, Retry, SendError, Throttle, Unknown
from gateway.messaging.page_access import page_access
from gateway.messaging.resources import content_on_the_wire
from gateway.meta.graph import OTHER_FAULT, GraphClient, PageAccess
from gateway.meta.sending import PageAction, PageMessage
from gateway.sender.attempts import Attempt
from gateway.sender.metrics import GRAPH_ERRORS

# Pages whose secrets stay open.
_PAGES_KEPT: Final = 1000

log = structlog.get_logger()

UNREADABLE_SECRET: Final = SendError(
    "internal-error",
    "A secret that the call needs cannot be read.",
    "Tell whoever runs the gateway to look into its encryption keys.",
    retryable=True,
)
# Rows that go together go together; this is for the day on which they do not.
NOTHING_TO_SEND: Final = SendError(
    "internal-error",
    "Something that belongs to the delivery is missing from the database.",
    "Tell whoever runs the gateway.",
    retryable=True,
)


class GraphTransport:
    """Sends in the name of Pages."""

    def __init__(self, graph: GraphClient, *, keyring: KeyRing) -> None:
        self._graph = graph
        self._keyring = keyring
        # Opening secrets for each call would cost more than its JSON.
        self._opened: OrderedDict[str, tuple[Channel, MetaApp, PageAccess]] = OrderedDict()

    async def send(self, attempt: Attempt, *, seconds: float) -> Answer:
        """Send a message or show an action."""
        channel, app, recipient = attempt.channel, attempt.app, attempt.recipient
        if channel is None or app is None or recipient is None:
            return Answer(outcome=NotAttempted(NOTHING_TO_SEND), blames_target=False)
        try:
            access = self._access(channel, app)
        except UndecryptableError:
            log.error("secret.undecryptable", channel_id=channel.id)  # noqa: TRY400 - no traceback: it might show the secret
            return Answer(outcome=NotAttempted(UNREADABLE_SECRET), blames_target=False)
        budget = timedelta(seconds=seconds)
        if attempt.message is None:
            action = page_action(attempt, recipient.source_contact_id)
            answer = await self._graph.send_action(access, action, budget=budget)
        else:
            answer = await self._send(access, attempt, recipient.source_contact_id, budget)
        if answer.fault_code is not None:
            GRAPH_ERRORS.labels(answer.fault_code).inc()
        if answer.fault_code == OTHER_FAULT:
            # Codes are numbers of Meta's; nothing of the message or the person is in them.
            error: SendError | None = getattr(answer.outcome, "error", None)
            log.warning("graph.unfamiliar_error", code=None if error is None else error.code)
        return answer

    def _access(self, channel: Channel, app: MetaApp) -> PageAccess:
        """Return a Page's access, opened anew when its channel or app has changed.

        Raises:
            UndecryptableError: A secret cannot be read.
        """
        known = self._opened.get(channel.id)
        if known is not None and known[:2] == (channel, app):
            self._opened.move_to_end(channel.id)
            return known[2]
        access = page_access(self._keyring, channel, app)
        self._opened[channel.id] = (channel, app, access)
        if len(self._opened) > _PAGES_KEPT:
            self._opened.popitem(last=False)
        return access

    async def _send(
        self, access: PageAccess, attempt: Attempt, contact_id: str, budget: timedelta
    ) -> Answer:
        started = time.monotonic()
        if attempt.takes_thread:
            taken = await self._graph.take_thread(access, contact_id, budget=budget)
            match taken.outcome:
                case Unknown(error):
                    return replace(taken, outcome=Retry(error))
                case Retry() | Throttle() | NotAttempted():
                    return taken
                case _:
                    # Even refused: the send itself tells whether the thread is ours.
                    budget -= timedelta(seconds=time.monotonic() - started)
        message = page_message(attempt, contact_id)
        return await self._graph.send_message(access, message, budget=budget)


def page_message(attempt: Attempt, contact_id: str) -> PageMessage:
    """Return an attempt's message as Graph is given it; its metadata names the attempt."""
    message, readiness = attempt.message, attempt.readiness
    assert message is not None
    content = content_on_the_wire(message)
    if readiness is not None and readiness.attachment_id is not None:
        content = content | {"attachment_id": readiness.attachment_id}
    return PageMessage(
        contact_id=contact_id,
        content=content,
        metadata=f"{message.id}.{attempt.delivery.attempt}",
        tag=message.tag,
        reply_to_mid=attempt.reply_to_mid,
        persona_id=message.persona_id,
        comment_id=message.comment_id,
    )


def page_action(attempt: Attempt, contact_id: str) -> PageAction:
    """Return an attempt's action as Graph is given it."""
    payload = attempt.delivery.payload or {}
    return PageAction(
        contact_id=contact_id,
        action=payload["action"],
        mid=payload.get("source_message_id"),
        reaction=payload.get("reaction"),
    )
