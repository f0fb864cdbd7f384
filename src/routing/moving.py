"""Moves what runs on a channel to what its link says since it was changed: only when asked to.

An enquiry keeps the link under which it came in (`Progress.link`), so that nothing that happens to
it later sends it elsewhere by itself. Whoever asks inserts due timers, one conversation each, and
one that looks again for those that were just coming in.
"""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import text

from gateway.db.channels import get_channel
from gateway.db.timers import NewTimer, Timer, take_timer, write_timers
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from routing.assignment import conclude, hand_over, linked_to, lock_parties, route, transfer
from routing.enquiries import LIVE, SYSTEM, EnquiryStatus, HandledBy, Progress
from routing.held import HeldEnquiry

MOVE_TIMER: Final = "move"
MOVE_REST_TIMER: Final = "move-rest"
LINK_CHANGED: Final = "link_changed"
# Longer than any transaction may last that still sees the link as it was.
_LAST_OPENINGS: Final = timedelta(seconds=15)
_TO: Final = "to"
_AUTOMATIC: Final = frozenset({HandledBy.BOT, HandledBy.ENDPOINT})

# Those that wait outside meet the link as it is when they come in.
_LEFT_BEHIND: Final = text(
    """
    SELECT e.conversation_id FROM enquiries e
    JOIN channels c ON c.account_id = e.account_id AND c.id = e.channel_id
    WHERE e.account_id = :account_id AND e.channel_id = :channel_id
      AND e.status = ANY(CAST(:statuses AS text[])) AND e.queued_at IS NULL
      AND e.progress -> 'link' IS DISTINCT FROM c.link
    ORDER BY e.conversation_id
    """
)


async def move_running(work: UnitOfWork, account_id: str, channel_id: str) -> None:
    """Have every running enquiry moved that does not follow the channel's link as it is now."""
    channel = await get_channel(work.connection, account_id, channel_id)
    if channel is None:
        return
    await _tell(work, account_id, channel_id, channel.link)
    rest = NewTimer(
        account_id=account_id,
        kind=MOVE_REST_TIMER,
        subject_id=channel_id,
        conversation_id=None,
        due_at=work.now + _LAST_OPENINGS,
        data={_TO: channel.link},
    )
    await write_timers(work, set_=[rest])


async def move_rest_due(work: UnitOfWork, timer: Timer) -> None:
    """Have those moved that were coming in while the link was changed."""
    if not await take_timer(work, timer):
        return
    channel = await get_channel(work.connection, timer.account_id, timer.subject_id)
    if channel is not None and channel.link == timer.data[_TO]:
        await _tell(work, timer.account_id, timer.subject_id, channel.link)


async def move(held: HeldEnquiry, timer: Timer) -> None:
    """Let an enquiry follow its channel's link, if that is still what somebody asked for.

    People who have it keep it where the link says people, as does whoever answers in the Page's
    inbox wherever it leads. Who was asked to take it is not any more where a bot or an endpoint
    has the channel.
    """
    link = held.channel.link
    outside = held.row.status not in LIVE or held.row.queued_at is not None
    if outside or held.row.progress.link == link or timer.data[_TO] != link:
        return
    if held.row.handled_by is HandledBy.PAGE_INBOX:
        return
    await lock_parties(held)
    if link["mode"] == "chat":
        await _to_people(held)
    else:
        await _to_linked(held)
    await conclude(held)


async def _to_people(held: HeldEnquiry) -> None:
    held.row.progress.link = held.channel.link
    if held.row.status is not EnquiryStatus.ONGOING:
        await route(held)
        return
    destination = held.row.destination or {}
    listed = [] if held.routing is None else held.routing.destination_ids
    # Whom the rule names as well, the rule may have chosen.
    if held.row.handled_by in _AUTOMATIC and destination.get("id") not in listed:
        await hand_over(held, SYSTEM)


async def _to_linked(held: HeldEnquiry) -> None:
    former = held.row.progress
    # A bot that handed over before is asked again.
    held.row.progress = Progress(
        since=former.since, bot_version=former.bot_version, link=held.channel.link
    )
    if held.row.status is not EnquiryStatus.ONGOING:
        held.withdraw_pending(LINK_CHANGED)
        await route(held)
        return
    linked = linked_to(held)
    if linked is not None and (held.row.destination or {}).get("id") != linked.id:
        await transfer(held, SYSTEM, linked)


async def _tell(work: UnitOfWork, account_id: str, channel_id: str, link: dict[str, Any]) -> None:
    rows = await work.connection.execute(
        _LEFT_BEHIND,
        {
            "account_id": account_id,
            "channel_id": channel_id,
            "statuses": [status.value for status in LIVE],
        },
    )
    timers = [
        NewTimer(
            account_id=account_id,
            kind=MOVE_TIMER,
            subject_id=ids.new_id(ids.TIMER),
            conversation_id=conversation_id,
            due_at=work.now,
            data={_TO: link},
        )
        for conversation_id in rows.scalars()
    ]
    await write_timers(work, set_=timers)
