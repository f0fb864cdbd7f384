"""Says what an endpoint answered at once, in its 200 to an event."""

import structlog
from prometheus_client import Counter

from gateway.db.channels import Channel, get_channel
from gateway.db.conversations import Conversation, lock_conversations
from gateway.db.endpoints import Endpoint, get_endpoint
from gateway.db.messages import find_causes
from gateway.db.timers import Timer, take_timer
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.message import AuthorKind
from gateway.messaging.acceptance import Outgoing
from gateway.messaging.automatic import say
from gateway.messaging.inline_answers import CONTENTS, ENDPOINT, EVENT, answer_cause
from routing.assignment import hold, save
from routing.automation.contents import sayable
from routing.enquiries import Actor, EnquiryStatus, HandledBy
from routing.hall import Hall
from routing.held import HeldEnquiry

_ANSWERED = Counter(
    "gateway_inline_answers_total",
    "Messages in endpoints' answers, by what became of them.",
    ["outcome"],
)

log = structlog.get_logger()


async def answer_due(work: UnitOfWork, timer: Timer) -> None:
    """Send what an endpoint answered, each message of an event once.

    It speaks where the channel is linked to it, unless an agent or a bot has the enquiry, and
    where it has the enquiry itself. An answer of any other endpoint, or one that comes too late,
    says nothing.
    """
    wanted = timer.conversation_id or ""
    locked = await lock_conversations(work, [wanted], account_id=timer.account_id)
    if not await take_timer(work, timer) or wanted not in locked:
        return
    conversation = locked[wanted]
    channel = await get_channel(work.connection, timer.account_id, conversation.channel_id)
    endpoint = await get_endpoint(work.connection, timer.account_id, timer.data[ENDPOINT])
    if channel is None or endpoint is None:
        return
    held = None
    if conversation.enquiry_id is not None:
        held = await hold(Hall(work), conversation, channel, conversation.enquiry_id)
    if not _may_speak(endpoint, channel, held):
        log.info("inline_answer.not_wanted", endpoint_id=endpoint.id, channel_id=channel.id)
        _ANSWERED.labels(outcome="not_wanted").inc(len(timer.data[CONTENTS]))
        return
    spoke = await _speak(work, conversation, channel, endpoint, held, timer)
    if held is None or held.row.status is not EnquiryStatus.ONGOING:
        return
    if spoke:
        held.note_our_message()
        held.note_first_response()
    # What was left out stands in its timeline.
    await save(held)


def _may_speak(endpoint: Endpoint, channel: Channel, held: HeldEnquiry | None) -> bool:
    has_it = (
        held is not None
        and held.row.status is EnquiryStatus.ONGOING
        and held.row.endpoint_id == endpoint.id
    )
    if has_it:
        return True
    linked = channel.link.get("mode") == "external_endpoint"
    if not linked or channel.link.get("endpoint_id") != endpoint.id:
        return False
    return not (
        held is not None
        and held.row.status is EnquiryStatus.ONGOING
        and held.row.handled_by in (HandledBy.AGENT, HandledBy.BOT)
    )


async def _speak(
    work: UnitOfWork,
    conversation: Conversation,
    channel: Channel,
    endpoint: Endpoint,
    held: HeldEnquiry | None,
    timer: Timer,
) -> bool:
    causes = {index: answer_cause(timer.data[EVENT], index) for index, _ in timer.data[CONTENTS]}
    had = await find_causes(work.connection, timer.account_id, set(causes.values()))
    alive = held is not None and held.row.status is not EnquiryStatus.CLOSED
    spoke = False
    for index, raw in timer.data[CONTENTS]:
        if causes[index] in had:
            _ANSWERED.labels(outcome="repeated").inc()
            continue
        speaker = Actor("endpoint", endpoint.id)
        contents = await sayable(work, channel, raw, speaker=speaker, held=held)
        if not contents:
            _ANSWERED.labels(outcome="refused").inc()
            continue
        outgoing = Outgoing(
            content=contents[0],
            author_kind=AuthorKind.BOT,
            author_id=endpoint.id,
            author_name=endpoint.name,
            automation_cause=causes[index],
            enquiry_id=held.row.id if held is not None and alive else None,
        )
        said = await say(work, conversation, channel, outgoing)
        _ANSWERED.labels(outcome="silenced" if said is None else "accepted").inc()
        spoke = spoke or said is not None
    return spoke
