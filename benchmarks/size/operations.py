"""What the roles do with the database all the time, by the functions that they do it with."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from benchmarks.size.rows import DAYS, LARGE, MANY, MANY_CHANNELS, Extent
from gateway.contracts.topics import INBOUND
from gateway.db import maintenance
from gateway.db.app_limits import (
    AppDemand,
    lock_app_limits,
    note_demands,
    rest_app,
    save_app_limit,
)
from gateway.db.channel_writes import (
    find_connected_by,
    find_on_pages,
    find_sharing_page,
    list_channels,
)
from gateway.db.channels import find_channels, find_owners, get_channel
from gateway.db.contacts import get_contact, list_contacts
from gateway.db.conversation_views import get_conversation, list_conversations
from gateway.db.conversations import lock_conversations
from gateway.db.dead_letter_views import Wanted, list_dead_letters
from gateway.db.deliveries import (
    claim,
    find_due,
    find_in_flight,
    find_last_errors,
    find_overdue,
    find_waited_for,
    lock_deliveries,
    lock_open_deliveries,
    save_deliveries,
)
from gateway.db.delivery_views import (
    find_attempts,
    find_attempts_of_message,
    find_delivery_of_event,
    get_delivery,
    list_deliveries,
)
from gateway.db.feed import feed_bounds, read_feed
from gateway.db.first_contact import find_known
from gateway.db.held_deliveries import (
    cancel_deliveries,
    find_held_targets,
    hold_deliveries,
    release_deliveries,
)
from gateway.db.inbox import find_seen, remember_seen
from gateway.db.lanes import demote, find_forgotten_lanes, free_lanes, promote_lanes
from gateway.db.marks import take_marks
from gateway.db.messages import (
    find_arrived,
    find_by_source,
    find_conversations_of,
    find_messages,
    find_messages_by_id,
    find_unsent_automatic,
    get_message,
    list_messages,
)
from gateway.db.outbox import NewDelivery, NewEvent
from gateway.db.paces import TargetPace, get_sending, save_paces
from gateway.db.parking import (
    count_parked,
    find_drainable,
    find_parked_keys,
    first_parked,
)
from gateway.db.publishing import find_uncopied, find_unpublished, give_positions, mark_copied
from gateway.db.sending import find_endpoints, find_events, find_mids, find_recipients
from gateway.db.targets import find_limits, rest_target
from gateway.db.timers import NewTimer, write_timers
from gateway.db.timers import find_due as find_due_timers
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.delivery import TargetKind
from routing.listing import EnquiryFilter, list_enquiries
from routing.parties import count_inside, find_loads, lock_accounts, lock_agents
from routing.reports.figures import report
from routing.reports.spans import span_of
from routing.repository import (
    find_enquiries,
    find_last_words,
    get_enquiries,
    get_timeline,
    is_caught_up,
    save_enquiries,
)
from routing.waiting import find_waiting, find_where_some_wait, tell_channel, tell_first_queued

ALL_SHARDS: Final = range(256)
_PAGE: Final = 51
_APP: Final = "400500600"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the tables an operation looks.

    Attributes:
        name: `busy`, in the middle of the large account; `small`, a small account; `quiet`, the
            large account's channel that was silent since long.
        n: The conversation, and with it the rows of other tables.
    """

    name: str
    n: int
    extent: Extent

    @property
    def account(self) -> str:
        """The account's id."""
        if self.n % 10 < 6:
            return LARGE
        return f"acc_{1 + self.n % (self.extent.accounts - 1):06}"

    @property
    def channel(self) -> str:
        """The channel's id."""
        large = self.extent.channels // 5
        if self.n % 10 >= 6:
            return _id("chn", large + self.n % (self.extent.accounts - 1))
        if self.n < self.extent.rows // 50:
            return _id("chn", large - 1)
        return _id("chn", 0 if self.n % 3 == 0 else self.n % (large - 1))

    def ids(self, prefix: str, count: int = 20) -> list[str]:
        """Return the ids of rows around the place, of a table whose rows go by conversation."""
        return [_id(prefix, n) for n in range(self.n, self.n + count)]

    def id(self, prefix: str) -> str:
        """Return the id of the row at the place."""
        return _id(prefix, self.n)


def places(extent: Extent) -> Sequence[Place]:
    """Return where operations look."""
    last = extent.rows - extent.rows // 100
    return (
        Place("small", last - last % 10 + 7, extent),
        Place("busy", last - last % 30 + 30, extent),
        Place("quiet", extent.rows // 100 - extent.rows // 100 % 10 + 1, extent),
    )


def _id(prefix: str, n: int) -> str:
    return f"{prefix}_{n:09}"


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that a role does.

    Attributes:
        role: Whose it is.
        name: What it does.
        run: Does it, in a transaction that is rolled back.
        touches: How many rows it may have to read for what it does, whatever the tables' size.
    """

    role: str
    name: str
    run: Callable[[UnitOfWork, Place], Awaitable[object]]
    touches: int = 1000


async def _change_conversations(work: UnitOfWork, place: Place) -> None:
    held = await lock_conversations(work, place.ids("cnv"), account_id=None)
    for conversation in held.values():
        conversation.take_sequence()
        conversation.last_message_at = work.now
    await work.flush()


async def _announce(work: UnitOfWork, place: Place) -> None:
    for n, conversation_id in enumerate(place.ids("cnv")):
        work.announce(
            NewEvent(
                type="gateway.message.received.v1",
                account_id=place.account,
                data={},
                occurred_at=work.now,
                channel_id=place.channel,
                conversation_id=conversation_id,
                sequence=10**9 + n,
            )
        )
    await work.flush()


async def _deliver(work: UnitOfWork, place: Place) -> None:
    for conversation_id in place.ids("cnv"):
        work.deliver(
            NewDelivery(
                account_id=place.account,
                target_kind="page",
                target_id=place.channel,
                lane=conversation_id,
                kind="action",
                due_at=work.now,
                payload={"action": "typing_on"},
            )
        )
    await work.flush()


async def _save_enquiry(work: UnitOfWork, place: Place) -> None:
    for enquiry in (
        await get_enquiries(work.connection, place.account, [place.id("enq")])
    ).values():
        enquiry.updated_at = work.now
        offers = [(enquiry, offer) for offer in enquiry.offers]
        await save_enquiries(work.connection, [enquiry], offers=offers, timeline=[])


async def _sent(work: UnitOfWork, place: Place) -> None:
    conversations = [(place.account, conversation_id) for conversation_id in place.ids("cnv")]
    await find_arrived(
        work.connection,
        [(LARGE, _id("cnv", 0), work.now), *((*each, None) for each in conversations)],
    )


async def _take_marks(work: UnitOfWork, place: Place) -> None:
    message = await get_message(work.connection, place.account, _id("msg", 2 * place.n + 1))
    assert message is not None
    await take_marks(work.connection, message)


async def _relay(work: UnitOfWork, _place: Place) -> None:
    events = await find_unpublished(work.connection, ALL_SHARDS, limit=500)
    assert events
    await give_positions(work.connection, events)


async def _relay_woken(work: UnitOfWork, place: Place) -> None:
    await find_unpublished(work.connection, [place.n % 256], limit=500)


async def _copy_letters(work: UnitOfWork, _place: Place) -> None:
    letters = await find_uncopied(work.connection, limit=100)
    assert letters
    await mark_copied(work.connection, [letter.id for letter in letters], now=work.now)


async def _claim(work: UnitOfWork, _place: Place) -> None:
    horizon = work.now + timedelta(days=1)
    due = await find_due(work.connection, ALL_SHARDS, horizon=horizon, per_target=100)
    assert due
    ids = [each.id for each in due][:50]
    claimed = await claim(
        work.connection,
        ids,
        epochs=dict.fromkeys(ALL_SHARDS, 1),
        now=horizon,
        first_budget=timedelta(seconds=10),
        budget=timedelta(seconds=15),
    )
    await demote(work.connection, ids)
    await find_events(
        work.connection,
        [
            (each.event_id, each.event_created_at)
            for each in claimed
            if each.event_id is not None and each.event_created_at is not None
        ],
    )


async def _settle(work: UnitOfWork, place: Place) -> None:
    held = await lock_deliveries(work.connection, place.ids("dlv"))
    for delivery in held.values():
        delivery.holds_lane = False
    await save_deliveries(work.connection, held.values())
    await promote_lanes(work.connection, {(each.target_id, each.lane) for each in held.values()})


async def _share_app(work: UnitOfWork, place: Place) -> None:
    limits = await lock_app_limits(work.connection, [_APP])
    demand = AppDemand(app_id=_APP, account_id=place.account, wanted=3, made=1)
    await note_demands(
        work.connection, [demand], process_id="sender-1", app_ids=[_APP], now=place.extent.now
    )
    await save_app_limit(work.connection, limits[_APP])


async def _keep_paces(work: UnitOfWork, place: Place) -> None:
    pace = TargetPace(
        account_id=place.account, target_id=place.channel, usage_percent=11, pace=None
    )
    await save_paces(work.connection, [pace], now=work.now)
    await get_sending(work.connection, place.account, place.channel, now=work.now)


async def _look(work: UnitOfWork, _place: Place) -> None:
    await find_due(
        work.connection, ALL_SHARDS, horizon=work.now + timedelta(days=1), per_target=100
    )


async def _events_of_deliveries(work: UnitOfWork, place: Place) -> None:
    at = work.now - (place.extent.rows - place.n) * (
        (place.extent.now - place.extent.began) / place.extent.rows
    )
    await find_events(work.connection, [(_id("evt", 2 * place.n), at)])


async def _timers(work: UnitOfWork, place: Place) -> None:
    await write_timers(
        work,
        set_=[
            NewTimer(
                account_id=place.account,
                kind="waiting",
                subject_id=place.id("enq"),
                due_at=work.now,
                conversation_id=place.id("cnv"),
            )
        ],
        cleared=[(place.account, place.id("cnv"), kind) for kind in ("offer", "re-offer")],
    )


async def _drop_day(work: UnitOfWork, place: Place) -> None:
    for age in (2, 5):
        await maintenance.is_day_in_use(
            work.connection, (place.extent.now - timedelta(days=age)).date()
        )


_KEPT: Final = maintenance.Kept(inbox=timedelta(days=8))


async def _expire(work: UnitOfWork, _place: Place) -> None:
    for table in maintenance.EXPIRING:
        await maintenance.delete_batch(work, table, kept=_KEPT)


async def _pages(work: UnitOfWork, place: Place) -> None:
    await list_messages(
        work.connection, place.account, place.id("cnv"), order_by="sequence", descending=True,
        after=None, limit=_PAGE,
    )  # fmt: skip
    for order in ("sequence", "occurred_at"):
        for conversation_id in (place.id("cnv"), _id("cnv", 0)):
            await list_messages(
                work.connection,
                place.account if conversation_id != _id("cnv", 0) else LARGE,
                conversation_id,
                order_by="sequence" if order == "sequence" else "occurred_at",
                descending=order == "sequence",
                after=None,
                limit=_PAGE,
            )


def _conversations(*, channel: bool, contact: bool, later: bool) -> Operation:
    async def run(work: UnitOfWork, place: Place) -> None:
        await list_conversations(
            work.connection,
            place.account,
            channel_id=place.channel if channel else None,
            contact_id=place.id("con") if contact else None,
            before=(place.extent.now - timedelta(days=5), _id("cnv", 0)) if later else None,
            limit=_PAGE,
        )

    of = ", ".join(
        name for name, on in (("channel", channel), ("contact", contact), ("later", later)) if on
    )
    return Operation("api", f"list conversations ({of or 'all'})", run)


def _enquiries(name: str, wanted: Callable[[Place], EnquiryFilter]) -> Operation:
    async def run(work: UnitOfWork, place: Place) -> None:
        middle = place.extent.began + timedelta(days=DAYS / 2)
        for before in (None, (middle, _id("enq", place.extent.rows // 2))):
            await list_enquiries(
                work.connection, place.account, wanted(place), before=before, limit=_PAGE
            )

    return Operation("api", f"list enquiries ({name})", run)


async def _report(work: UnitOfWork, place: Place) -> None:
    span = span_of(begins=None, ends=None, zone="Europe/London", now=place.extent.now)
    await report(work.connection, place.account, span, group_by=["day"], only={})


def _deliveries(status: str | None) -> Operation:
    async def run(work: UnitOfWork, place: Place) -> None:
        for target in (_id("ept", 3), place.channel, _id("chn", 7)):
            for before in (None, _id("dlv", place.extent.rows // 2)):
                await list_deliveries(
                    work.connection, LARGE, target, status=status, before=before, limit=_PAGE
                )

    return Operation("api", f"list deliveries ({status or 'all'})", run, touches=2000)


def _letters(name: str, *, reason: str | None, stage: str | None) -> Operation:
    async def run(work: UnitOfWork, _place: Place) -> None:
        for account in (LARGE, None):
            await list_dead_letters(
                work.connection,
                account,
                Wanted(reason=reason, stage=stage),
                before=None,
                limit=_PAGE,
            )

    return Operation("api", f"list dead letters ({name})", run)


def _contacts(name: str, *, channel: bool = False, blocked: bool | None = None) -> Operation:
    async def run(work: UnitOfWork, place: Place) -> None:
        await list_contacts(
            work.connection,
            place.account,
            channel_id=place.channel if channel else None,
            search=None,
            blocked=blocked,
            before=None,
            limit=_PAGE,
        )

    return Operation("api", f"list contacts ({name})", run)


def _channels(
    name: str, *, touches: int, statuses: Sequence[str] = (), search: str | None = None
) -> Operation:
    """List channels of whoever is at the place, and of the account that has many."""

    async def run(work: UnitOfWork, place: Place) -> None:
        for account in (place.account, MANY):
            await list_channels(
                work.connection, account, statuses=statuses, kind=None, search=search,
                before=None, limit=_PAGE,
            )  # fmt: skip

    return Operation("api", f"list channels ({name})", run, touches=touches)


async def _sharing_page(work: UnitOfWork, _place: Place) -> None:
    channel = await get_channel(work.connection, MANY, _id("chm", 4711))
    assert channel is not None
    assert len(await find_sharing_page(work.connection, channel)) == 1


async def _search(work: UnitOfWork, place: Place) -> None:
    await list_contacts(
        work.connection, place.account, channel_id=None, search="zzzz", blocked=None, before=None,
        limit=_PAGE,
    )  # fmt: skip


def operations() -> Sequence[Operation]:
    """Return what the roles do."""
    return (
        Operation(
            "routing",
            "look for repeats",
            lambda w, p: find_seen(w.connection, [f"evt_{n:032x}" for n in range(p.n, p.n + 50)]),
        ),
        Operation(
            "routing",
            "note what was seen",
            lambda w, p: remember_seen(
                w.connection,
                {f"evt_new_{n}": b"0" * 32 for n in range(p.n, p.n + 50)},
                at=w.now,
            ),
        ),
        Operation(
            "routing",
            "find owners",
            lambda w, p: find_owners(
                w.connection, "messenger", [f"page_{p.channel[4:]}", "gone_000000003", "none"]
            ),
        ),
        Operation(
            "routing",
            "find parked keys",
            lambda w, p: find_parked_keys(
                w.connection,
                [("messenger", f"page_{n:09}", _id("p", n)) for n in range(p.n, p.n + 50)],
            ),
        ),
        Operation(
            "routing",
            "find contacts",
            lambda w, p: find_known(w, [(p.channel, _id("p", n)) for n in range(p.n, p.n + 50)]),
        ),
        Operation("routing", "lock and save conversations", _change_conversations),
        Operation(
            "routing",
            "find messages by mid",
            lambda w, p: find_by_source(w.connection, [(p.channel, m) for m in p.ids("m", 50)]),
        ),
        Operation(
            "routing",
            "find conversations of statuses",
            lambda w, p: find_conversations_of(w.connection, p.channel, p.ids("m", 50)),
        ),
        Operation(
            "routing",
            "find messages",
            lambda w, p: find_messages(w.connection, p.account, p.ids("msg", 50)),
        ),
        Operation(
            "routing",
            "find enquiries",
            lambda w, p: find_enquiries(w.connection, p.ids("enq", 50)),
        ),
        Operation(
            "routing",
            "unsent automatic messages",
            lambda w, _: find_unsent_automatic(w.connection, LARGE, _id("cnv", 0)),
        ),
        Operation("routing", "messages under a watermark", _sent, touches=8000),
        Operation("routing", "marks that came before", _take_marks),
        Operation("routing", "write events", _announce),
        Operation("routing", "write deliveries", _deliver),
        Operation("routing", "save an enquiry", _save_enquiry),
        Operation(
            "routing", "lock an account", lambda w, p: lock_accounts(w.connection, [p.account])
        ),
        Operation(
            "routing",
            "count who is inside",
            lambda w, p: count_inside(w.connection, [p.account]),
            touches=4000,
        ),
        Operation(
            "routing",
            "lock agents",
            lambda w, p: lock_agents(w.connection, [(p.account, _id("agt", n)) for n in range(20)]),
        ),
        Operation(
            "routing",
            "agents' loads",
            lambda w, p: find_loads(w.connection, [(p.account, _id("agt", n)) for n in range(20)]),
        ),
        Operation(
            "routing",
            "who waits for an agent",
            lambda w, p: find_waiting(w.connection, p.account, _id("agt", 9), limit=5),
            touches=4000,
        ),
        Operation(
            "routing",
            "first outside",
            lambda w, p: tell_first_queued(w, {p.account: 200}),
            touches=4000,
        ),
        Operation("routing", "tell a channel", lambda w, p: tell_channel(w, p.account, p.channel)),
        Operation(
            "routing",
            "last words",
            lambda w, p: find_last_words(w.connection, p.account, p.id("cnv")),
        ),
        Operation(
            "routing", "is caught up", lambda w, p: is_caught_up(w.connection, p.n % 64, at=w.now)
        ),
        Operation(
            "routing",
            "where some wait",
            lambda w, p: find_where_some_wait(w.connection, [p.account]),
        ),
        Operation("routing", "set and clear timers", _timers),
        Operation(
            "timers",
            "find due",
            lambda w, _: find_due_timers(
                w.connection,
                shards=ALL_SHARDS,
                kinds=["intermission", "waiting", "offer"],
                until=w.now,
                besides=[],
                limit=200,
            ),
            touches=20_000,
        ),
        Operation(
            "parking",
            "find drainable",
            lambda w, _: find_drainable(w.connection, now=w.now - timedelta(days=1), limit=100),
        ),
        Operation(
            "parking",
            "count parked",
            lambda w, _: count_parked(
                w.connection, ("messenger", "gone_000000003", ""), limit=10_000
            ),
            touches=10_000,
        ),
        Operation(
            "parking",
            "first parked",
            lambda w, p: first_parked(w.connection, ("messenger", "gone_000000003", p.id("p"))),
        ),
        Operation("relay", "find and mark", _relay, touches=2000),
        Operation("relay", "find when woken", _relay_woken),
        Operation("relay", "copy dead letters", _copy_letters),
        Operation("sender", "look for what is due", _look, touches=60_000),
        Operation("sender", "claim", _claim, touches=3000),
        Operation("sender", "settle", _settle),
        Operation("sender", "events to send", _events_of_deliveries),
        Operation(
            "sender",
            "messages to send",
            lambda w, p: find_messages_by_id(w.connection, p.ids("msg", 50)),
        ),
        Operation(
            "sender",
            "mids to answer",
            lambda w, p: find_mids(w.connection, p.ids("msg", 50)),
        ),
        Operation(
            "sender", "recipients", lambda w, p: find_recipients(w.connection, p.ids("cnv", 50))
        ),
        Operation(
            "sender", "channels", lambda w, p: find_channels(w.connection, [p.channel, "none"])
        ),
        Operation(
            "sender", "endpoints", lambda w, _: find_endpoints(w.connection, [_id("ept", 3)])
        ),
        Operation(
            "sender",
            "limits",
            lambda w, p: find_limits(w.connection, [p.channel, _id("ept", 3)], now=w.now),
        ),
        Operation(
            "sender",
            "rest a target",
            lambda w, p: rest_target(w.connection, TargetKind.PAGE, p.channel, until=w.now),
        ),
        Operation("sender", "rest an app", lambda w, _: rest_app(w.connection, _APP, until=w.now)),
        # The demands of all accounts, from each of four senders.
        Operation("sender", "share an app's limit", _share_app, touches=10_000),
        Operation("sender", "keep paces", _keep_paces),
        Operation(
            "sender",
            "calls in flight",
            lambda w, _: find_in_flight(w.connection, ALL_SHARDS),
            touches=2000,
        ),
        Operation(
            "sender",
            "calls that ended unseen",
            lambda w, _: find_overdue(w.connection, ALL_SHARDS, mine=[], limit=200),
            touches=2000,
        ),
        Operation(
            "sender",
            "waits that ended",
            lambda w, _: find_waited_for(
                w.connection, ALL_SHARDS, topic=INBOUND, now=w.now, limit=200
            ),
            touches=3000,
        ),
        Operation(
            "sender",
            "forgotten lanes",
            lambda w, _: find_forgotten_lanes(w.connection, range(32)),
            touches=20_000,
        ),
        Operation(
            "sender",
            "lanes held for long enough",
            lambda w, _: free_lanes(w.connection, ALL_SHARDS, now=w.now),
        ),
        Operation(
            "sender", "held targets", lambda w, _: find_held_targets(w.connection, ALL_SHARDS)
        ),
        Operation(
            "sender",
            "last errors",
            lambda w, p: find_last_errors(w.connection, p.ids("dlv", 50)),
        ),
        Operation(
            "sender",
            "open deliveries of a message",
            lambda w, p: lock_open_deliveries(w.connection, _id("msg", 2 * p.n + 1)),
        ),
        Operation(
            "sender",
            "hold a target",
            lambda w, p: hold_deliveries(w.connection, p.channel, shard=p.n % 256, now=w.now),
        ),
        Operation(
            "sender",
            "release a target",
            lambda w, p: release_deliveries(w.connection, p.channel, shard=p.n % 256, now=w.now),
        ),
        Operation(
            "sender",
            "drop a target",
            lambda w, p: cancel_deliveries(w.connection, p.channel, shard=p.n % 256, now=w.now),
        ),
        _conversations(channel=False, contact=False, later=False),
        _conversations(channel=False, contact=False, later=True),
        _conversations(channel=True, contact=False, later=False),
        _conversations(channel=True, contact=False, later=True),
        _conversations(channel=False, contact=True, later=False),
        Operation(
            "api",
            "read a conversation",
            lambda w, p: get_conversation(w.connection, p.account, p.id("cnv")),
        ),
        Operation(
            "api", "read a contact", lambda w, p: get_contact(w.connection, p.account, p.id("con"))
        ),
        Operation(
            "api", "read a channel", lambda w, p: get_channel(w.connection, p.account, p.channel)
        ),
        _channels("all", touches=300),
        # Each account's channels are read until the page is full, and no others.
        _channels("degraded", touches=MANY_CHANNELS + 300, statuses=("degraded",)),
        _channels("search", touches=MANY_CHANNELS + 300, search="zzzz"),
        Operation("api", "whose events a Page feeds", _sharing_page, touches=2),
        Operation(
            "api",
            "an account's channels on Pages",
            lambda w, p: find_on_pages(w.connection, MANY, _APP, p.ids("shop", 100)),
            touches=200,
        ),
        Operation(
            "api",
            "channels of a login",
            lambda w, _: find_connected_by(w.connection, _APP, "7003"),
            touches=500,
        ),
        Operation("api", "list messages", _pages),
        _contacts("all"),
        _contacts("channel", channel=True),
        _contacts("blocked", blocked=True),
        Operation("api", "search contacts", _search, touches=10**9),
        _enquiries("all", lambda _: EnquiryFilter()),
        _enquiries("status", lambda _: EnquiryFilter(status="missed")),
        _enquiries("channel", lambda p: EnquiryFilter(channel_id=p.channel)),
        _enquiries("contact", lambda p: EnquiryFilter(contact_id=p.id("con"))),
        _enquiries("agent", lambda _: EnquiryFilter(agent_id=_id("agt", 9))),
        _enquiries("destination", lambda _: EnquiryFilter(destination_id=_id("agt", 9))),
        _enquiries(
            "opened",
            lambda p: EnquiryFilter(
                opened_after=p.extent.began,
                opened_before=p.extent.began + timedelta(minutes=5),
            ),
        ),
        _enquiries(
            "status, agent", lambda _: EnquiryFilter(status="ongoing", agent_id=_id("agt", 9))
        ),
        _enquiries(
            "channel, status", lambda p: EnquiryFilter(channel_id=p.channel, status="closed")
        ),
        _enquiries(
            "channel, agent", lambda p: EnquiryFilter(channel_id=p.channel, agent_id=_id("agt", 9))
        ),
        _enquiries(
            "channel, destination",
            lambda p: EnquiryFilter(channel_id=p.channel, destination_id=_id("agt", 9)),
        ),
        _enquiries(
            "agent, destination",
            lambda _: EnquiryFilter(agent_id=_id("agt", 9), destination_id=_id("agt", 8)),
        ),
        Operation("api", "report on enquiries by day", _report, touches=10**9),
        Operation(
            "api",
            "read an enquiry's timeline",
            lambda w, p: get_timeline(w.connection, p.account, p.id("enq")),
        ),
        _deliveries(None),
        _deliveries("pending"),
        _deliveries("failed"),
        _deliveries("delivered"),
        Operation(
            "api",
            "read a delivery",
            lambda w, p: get_delivery(w.connection, p.account, p.id("dlv")),
        ),
        Operation(
            "api",
            "delivery of an event",
            lambda w, _: find_delivery_of_event(
                w.connection, LARGE, event_id=_id("evt", 80), target_id=_id("ept", 4)
            ),
        ),
        Operation(
            "api",
            "attempts",
            lambda w, p: find_attempts(w.connection, p.account, p.ids("dlv", 50)),
        ),
        Operation(
            "api",
            "attempts at a message",
            lambda w, p: find_attempts_of_message(w.connection, p.account, _id("msg", 2 * p.n + 1)),
        ),
        _letters("all", reason=None, stage=None),
        _letters("reason", reason="poison", stage=None),
        _letters("stage", reason=None, stage="sender"),
        _letters("an unknown reason", reason="other", stage=None),
        Operation("api", "the feed's bounds", lambda w, p: feed_bounds(w.connection, p.account)),
        Operation(
            "api",
            "read the feed",
            lambda w, p: read_feed(w.connection, p.account, after=p.n, limit=200),
        ),
        Operation("maintenance", "whether a day is in use", _drop_day),
        Operation("maintenance", "delete what expired", _expire, touches=8000),
    )
