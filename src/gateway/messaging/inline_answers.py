"""What endpoints answer at once, on its way from the call to the conversation.

The sender, which holds no conversation while it settles webhooks, leaves an answer as a timer that
is due at once; routing takes it up under the conversation's lock.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from gateway.db.deliveries import Delivery
from gateway.db.timers import NewTimer

ANSWER_TIMER: Final = "inline_answer"

EVENT: Final = "event_id"
ENDPOINT: Final = "endpoint_id"
CONTENTS: Final = "contents"


def answer_timer(
    delivery: Delivery, contents: Mapping[int, dict[str, Any]], *, at: datetime
) -> NewTimer:
    """Return the timer that carries what an endpoint answered to a delivery's event.

    The delivery is its subject: a repeated answer replaces one that has not been taken up.
    """
    return NewTimer(
        account_id=delivery.account_id,
        kind=ANSWER_TIMER,
        subject_id=delivery.id,
        conversation_id=delivery.conversation_id,
        due_at=at,
        data={
            EVENT: delivery.event_id,
            ENDPOINT: delivery.target_id,
            CONTENTS: [[index, content] for index, content in sorted(contents.items())],
        },
    )


def answer_cause(event_id: str, index: int) -> str:
    """Return what makes an answered message one: the event, and the message's place."""
    return f"answer:{event_id}:{index}"
