"""What must be true of an account's enquiries after every transaction, whoever did what.

await keep_promises(at)            # after any step
await forget_nobody(at)            # once everything that was due has happened
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tests.support.desk import Desk

from gateway.db.channels import Channel, find_channels
from gateway.db.conversations import lock_conversations
from routing.assignment import hold, lock_parties, route
from routing.automation.contents import CONTENT_LEFT_OUT
from routing.automation.words import BOT_MESSAGE
from routing.enquiries import ARROWS, LIVE, Enquiry, EnquiryStatus, earliest_expiry
from routing.hall import Hall
from routing.repository import get_enquiries
from routing.resources import enquiry_resource
from routing.rules import Routing, routing_of
from routing.state_timers import waits_until

# Nobody decides about these, so they find room where there is none.
_WHATEVER_ROOM: Final = frozenset({"contact_answered", "page_inbox"})
_STATE_TIMERS: Final = {"offer", "waiting", "hours", "intermission"}

_EVENTS: Final = """
    SELECT enquiry_id, sequence, type, data FROM events
    WHERE account_id = :id AND type LIKE 'gateway.enquiry.%' ORDER BY conversation_id, sequence
"""
_LINES: Final = """
    SELECT enquiry_id, sequence, type FROM timeline_entries
    WHERE account_id = :id AND NOT type = ANY(:notes) ORDER BY enquiry_id, sequence, position
"""
_LATEST: Final = """
    SELECT DISTINCT ON (conversation_id) conversation_id, direction FROM messages
    WHERE account_id = :id AND NOT late AND NOT (direction = 'outbound' AND status = 'failed')
    ORDER BY conversation_id, sequence DESC
"""


@dataclass(frozen=True)
class Told:
    """An event of an enquiry."""

    name: str
    sequence: int
    data: dict[str, Any]

    @property
    def status(self) -> EnquiryStatus:
        return EnquiryStatus(self.data["enquiry"]["status"])


@dataclass
class Picture:
    """An account as it stands between two transactions.

    `timers` are moments by conversation and kind; `answered` are conversations in which we wrote
    last; `current` are the enquiries that conversations take for theirs.
    """

    now: datetime
    limit: int
    capacity: dict[str, int]
    routings: dict[str, Routing | None]
    enquiries: list[Enquiry]
    events: dict[str, list[Told]]
    lines: dict[str, list[tuple[int, str]]]
    timers: dict[str, dict[str, datetime]]
    answered: set[str]
    current: set[str]

    @property
    def live(self) -> list[Enquiry]:
        return [each for each in self.enquiries if each.status in LIVE]

    @property
    def inside(self) -> list[Enquiry]:
        return [each for each in self.live if each.queued_at is None]

    @property
    def outside(self) -> list[Enquiry]:
        queue = [each for each in self.live if each.queued_at is not None]
        return sorted(queue, key=lambda each: (each.queued_at, each.id))

    def whatever_room(self, enquiry: Enquiry) -> bool:
        """Say whether an enquiry was taken up without asking for room."""
        accepted = [each for each in self.events[enquiry.id] if each.name == "accepted"]
        return bool(accepted) and accepted[-1].data.get("reason") in _WHATEVER_ROOM


async def look(at: Desk) -> Picture:
    """Read an account as it stands."""

    async def rows(statement: str, **parameters: Any) -> list[Any]:
        return await at.all(statement, id=at.account, **parameters)

    enquiries = await rows("SELECT id FROM enquiries WHERE account_id = :id ORDER BY opened_at, id")
    channels = await rows("SELECT id, routing FROM channels WHERE account_id = :id")
    async with at.database.unit_of_work() as work:
        found = await get_enquiries(work.connection, at.account, [row.id for row in enquiries])
    events: dict[str, list[Told]] = defaultdict(list)
    for row in await rows(_EVENTS):
        name = row.type.removeprefix("gateway.enquiry.").removesuffix(".v1")
        events[row.enquiry_id].append(Told(name, row.sequence, row.data))
    lines: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in await rows(_LINES, notes=[BOT_MESSAGE, CONTENT_LEFT_OUT]):
        lines[row.enquiry_id].append((row.sequence, row.type))
    timers: dict[str, dict[str, datetime]] = defaultdict(dict)
    for row in await rows(
        "SELECT conversation_id, kind, due_at FROM timers WHERE account_id = :id"
    ):
        if row.conversation_id is not None:
            earliest = timers[row.conversation_id].get(row.kind, row.due_at)
            timers[row.conversation_id][row.kind] = min(earliest, row.due_at)
    [account] = await rows("SELECT concurrent_contacts_limit AS most FROM accounts WHERE id = :id")
    agents = await rows("SELECT id, capacity FROM agents WHERE account_id = :id")
    conversations = await rows("SELECT enquiry_id FROM conversations WHERE account_id = :id")
    return Picture(
        now=at.clock.now(),
        limit=account.most,
        capacity={row.id: row.capacity for row in agents},
        routings={row.id: routing_of(row.routing) for row in channels},
        enquiries=[found[row.id] for row in enquiries],
        events=events,
        lines=lines,
        timers=timers,
        answered={row.conversation_id for row in await rows(_LATEST) if row.direction != "inbound"},
        current={row.enquiry_id for row in conversations},
    )


async def keep_promises(at: Desk) -> Picture:
    """Read an account, and raise where something is not as it must be at any time."""
    picture = await look(at)
    check(picture)
    return picture


def check(picture: Picture) -> None:
    """Raise where something is not as it must be at any time."""
    _one_at_a_time(picture)
    _as_much_as_fits(picture)
    for enquiry in picture.enquiries:
        _has_what_its_state_needs(enquiry)
        _is_as_told(enquiry, picture)
        for kind, due_at in _calls_for(enquiry, picture):
            has = picture.timers[enquiry.conversation_id].get(kind)
            assert has is not None, (kind, enquiry)
            # Where the rule was changed, it is looked at anew as soon as it can be.
            anew = "re-offer" in picture.timers[enquiry.conversation_id]
            assert anew or due_at is None or has <= due_at, (kind, has, due_at, enquiry)
        if enquiry.id in picture.current and enquiry.status not in LIVE:
            left = _STATE_TIMERS & picture.timers[enquiry.conversation_id].keys()
            assert not left, (left, enquiry)
    outside = picture.outside
    if outside and len(picture.inside) < picture.limit:
        told = ["admit" in picture.timers[each.conversation_id] for each in outside]
        assert any(told), outside[0]


async def forget_nobody(at: Desk) -> None:
    """Raise where somebody waits who need not; everything that is due has happened."""
    picture = await keep_promises(at)
    assert not picture.outside or len(picture.inside) >= picture.limit, picture.outside
    overdue = [
        (conversation, kind)
        for conversation, timers in picture.timers.items()
        for kind, due_at in timers.items()
        if due_at <= picture.now
    ]
    assert overdue == []
    async with at.database.unit_of_work() as work:
        channels = await find_channels(work.connection, {e.channel_id for e in picture.inside})
    for enquiry in picture.inside:
        if enquiry.status is EnquiryStatus.OPEN:
            await _waits_for_nobody_who_could(at, enquiry, channels[enquiry.channel_id])


class _UndoError(Exception):
    pass


async def _waits_for_nobody_who_could(at: Desk, enquiry: Enquiry, channel: Channel) -> None:
    """Route an enquiry that waits anew, in a transaction that is rolled back: nothing changes."""
    with suppress(_UndoError):
        async with at.database.unit_of_work() as work:
            wanted = [enquiry.conversation_id]
            locked = await lock_conversations(work, wanted, account_id=at.account)
            conversation = locked[enquiry.conversation_id]
            held = await hold(Hall(work), conversation, channel, enquiry.id)
            assert held is not None
            await lock_parties(held)
            await route(held)
            assert held.row.status is EnquiryStatus.OPEN, (enquiry, held.row)
            raise _UndoError


def _one_at_a_time(picture: Picture) -> None:
    live = Counter(each.conversation_id for each in picture.live)
    assert all(count == 1 for count in live.values()), live
    lost = [each for each in picture.live if each.id not in picture.current]
    assert lost == [], "no message and no timer finds these"


def _as_much_as_fits(picture: Picture) -> None:
    asked = [each for each in picture.enquiries if not picture.whatever_room(each)]
    inside = [each for each in picture.inside if not picture.whatever_room(each)]
    assert len(inside) <= picture.limit, inside
    held = Counter(agent for each in asked for agent in _agents_of(each))
    over = {agent: count for agent, count in held.items() if count > picture.capacity[agent]}
    assert over == {}, (over, asked)


def _agents_of(enquiry: Enquiry) -> Iterator[str]:
    yield from (offer.agent_id for offer in enquiry.pending_offers)
    if enquiry.status is EnquiryStatus.ONGOING and enquiry.agent_id is not None:
        yield enquiry.agent_id


def _has_what_its_state_needs(enquiry: Enquiry) -> None:
    pending = enquiry.pending_offers
    assert bool(pending) == (enquiry.status is EnquiryStatus.OFFERED), enquiry
    asked = [offer.agent_id for offer in pending]
    assert len(set(asked)) == len(asked), enquiry
    match enquiry.status:
        case EnquiryStatus.OPEN:
            nobody = (None, None, None)
            assert (enquiry.agent_id, enquiry.destination, enquiry.handled_by) == nobody, enquiry
        case EnquiryStatus.OFFERED:
            assert (enquiry.agent_id, enquiry.handled_by) == (None, None), enquiry
            to = {offer.destination_id for offer in pending}
            assert to == {(enquiry.destination or {}).get("id")}, enquiry
        case EnquiryStatus.ONGOING:
            # Who was followed up by nobody in particular is answered by nobody in particular.
            assert (enquiry.handled_by == "agent") == (enquiry.agent_id is not None), enquiry
        case _:
            pass


def _is_as_told(enquiry: Enquiry, picture: Picture) -> None:
    told = picture.events[enquiry.id]
    assert [(each.sequence, each.name) for each in told] == picture.lines[enquiry.id], enquiry.id
    last = told[-1].data["enquiry"]
    # When we first answered is not told of by an event of its own, nor is who was looked at last.
    silent = {name: last[name] for name in ("first_response_at", "assignment")}
    assert enquiry_resource(enquiry) | silent == last, enquiry
    assert told[0].status is EnquiryStatus.OPEN, told
    for before, after in itertools.pairwise(told):
        moved = before.status is not after.status
        assert not moved or after.status in ARROWS[before.status], (before, after)
        if before.status is after.status is EnquiryStatus.ONGOING:
            # Nobody else gets it without a transfer.
            assert after.name != "accepted", (before, after)
            assert before.data["enquiry"]["agent"] == after.data["enquiry"]["agent"], enquiry


def _calls_for(enquiry: Enquiry, picture: Picture) -> Iterator[tuple[str, datetime | None]]:
    """Yield the timers without which an enquiry might stay as it is for ever, and by when."""
    if enquiry.status not in LIVE or enquiry.queued_at is not None:
        return
    routing = picture.routings[enquiry.channel_id]
    if enquiry.status is EnquiryStatus.OFFERED:
        yield "offer", earliest_expiry(enquiry.pending_offers)
    if enquiry.status is EnquiryStatus.ONGOING:
        # One that waits for our answer waits for a person.
        if enquiry.conversation_id in picture.answered:
            yield "intermission", None
        return
    if routing is None:
        return
    limit = waits_until(enquiry, routing)
    assert limit is not None, enquiry
    yield "waiting", limit
    change = routing.next_change(picture.now, until=limit)
    if enquiry.status is EnquiryStatus.OPEN and change is not None:
        yield "hours", change
