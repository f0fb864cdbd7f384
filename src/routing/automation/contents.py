"""What a bot or an endpoint wants to say, as its channel can say it.

What the channel cannot say is left out, and the rest is said all the same. Staff read in the
enquiry's timeline that something was left out and why, without a word of what it said.
"""

from typing import Any, Final

import structlog
from prometheus_client import Counter
from pydantic import TypeAdapter, ValidationError

from gateway.contracts.content import Content
from gateway.db.channels import Channel
from gateway.db.unit_of_work import UnitOfWork
from gateway.errors import GatewayError
from gateway.http.faults import faults_in
from gateway.messaging.contents import contents_of
from routing.enquiries import Actor
from routing.held import HeldEnquiry

# In the timeline.
CONTENT_LEFT_OUT: Final = "content_left_out"
_CONTENT: Final[TypeAdapter[Content]] = TypeAdapter(Content)
_LEFT_OUT = Counter(
    "gateway_automatic_contents_left_out_total",
    "What bots and endpoints wanted to say and the channel could not, by who wanted it.",
    ["speaker"],
)

log = structlog.get_logger()


async def sayable(
    work: UnitOfWork,
    channel: Channel,
    raw: Any,  # noqa: ANN401 - a content as it was kept, maybe under other rules
    *,
    speaker: Actor,
    held: HeldEnquiry | None,
    split: bool = False,
) -> list[dict[str, Any]]:
    """Return the contents of the messages that say something; none, where it cannot be said."""
    try:
        return await contents_of(work, channel, _CONTENT.validate_python(raw), split=split)
    except ValidationError as error:
        faults = faults_in(error, body=raw, prefix="/content")
    except GatewayError as error:
        faults = list(error.faults)
    reasons = [{"pointer": fault.pointer, "code": fault.code} for fault in faults]
    _LEFT_OUT.labels(speaker=speaker.kind).inc()
    log.warning(
        "automation.content_left_out",
        channel_id=channel.id,
        speaker=speaker.kind,
        speaker_id=speaker.id,
        faults=reasons,
    )
    if held is not None:
        held.note(CONTENT_LEFT_OUT, speaker, {"faults": reasons})
    return []
