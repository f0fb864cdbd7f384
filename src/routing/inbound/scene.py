"""What one transaction knows: everything its events need, read in a few statements at its start.

Effects read and change the scene; messages that they add are written together, by `settle`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Self, TypeAlias

from gateway.db.channels import Channel, find_owners
from gateway.db.comments import find_apart, keep_comments
from gateway.db.conversations import Conversation, lock_conversations
from gateway.db.erasures import find_erasures
from gateway.db.errands import NewErrand, offer_errands
from gateway.db.first_contact import (
    Known,
    Stranger,
    find_known,
    lock_contacts,
    meet,
    meet_strangers,
    rename_contact,
)
from gateway.db.inbox import find_seen
from gateway.db.merging import Merge, merge_contacts
from gateway.db.messages import (
    Message,
    find_arrived,
    find_by_source,
    find_conversations_of,
    find_messages,
    insert_messages,
)
from gateway.db.parking import Key, find_parked_keys
from gateway.db.timers import NewTimer, write_timers
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.conversation import commenter_name
from gateway.domain.message import Direction
from gateway.messaging.contact_profiles import profile_errand
from routing.assignment import concerned
from routing.enquiries import CLOSED_WITH_MERGE
from routing.enquiry_effects import needs_decision
from routing.hall import Hall, UnforeseenError
from routing.inbound.arrivals import (
    CONTACT,
    ECHO,
    ECHOES_AND_MARKS,
    MARKS,
    MESSAGE_LIKE,
    SPEAKS,
    STATUS,
    Arrival,
)
from routing.inbound.comments import comments_in
from routing.inbound.ownership import Owned, Verdict, Waiting, owner_of
from routing.repository import EnquirySummary, find_enquiries
from routing.waiting import CLOSE_REASON, CLOSE_TIMER

_META_ONLY: Final = "meta"

Pair: TypeAlias = tuple[str, str]


@dataclass(slots=True)
class Scene:
    """The state around the events of one transaction.

    It is read in two steps: `around` what tells which events may share the transaction, then
    `set_for` those, under lock.
    """

    work: UnitOfWork
    hall: Hall
    owners: dict[tuple[str, str], list[Channel]] = field(default_factory=dict)
    parked_keys: set[Key] = field(default_factory=set)
    seen: dict[str, bytes] = field(default_factory=dict)
    known: dict[Pair, Known] = field(default_factory=dict)
    # Of those who are not known, or wrote where all may read: when they were erased who were.
    erased: dict[Pair, datetime] = field(default_factory=dict)
    messages: dict[tuple[str, Direction, str], Message] = field(default_factory=dict)
    ours: dict[str, Message] = field(default_factory=dict)
    enquiries: dict[str, EnquirySummary] = field(default_factory=dict)
    # True where the transaction is of one event, which may lock what it finds that it needs.
    alone: bool = False
    # Our messages that echoes tell of and that may stand apart from their contact's conversation.
    apart: dict[str, str] = field(default_factory=dict)
    # How long before a messaging window closes that is to be told; None: never.
    window_notice: timedelta | None = None
    _timers: list[NewTimer] = field(default_factory=list)
    _profiles: dict[str, NewErrand] = field(default_factory=dict)
    _sent: dict[str, dict[str, Message]] = field(default_factory=dict)
    _unwritten: list[Message] = field(default_factory=list)

    @classmethod
    async def around(
        cls,
        work: UnitOfWork,
        arrivals: Sequence[Arrival],
        *,
        window_notice: timedelta | None,
    ) -> Self:
        """Read whose these events are, and which of their contacts are known; lock nothing."""
        work.gathers = True
        scene = cls(work, Hall(work, gathers=True), window_notice=window_notice)
        scene.seen = await find_seen(work.connection, {arrival.event.id for arrival in arrivals})
        await scene.read_owners_again(arrivals)
        scene.parked_keys = await find_parked_keys(
            work.connection, list({arrival.key for arrival in arrivals if arrival.has_contact})
        )
        pairs = {
            (channel.id, name)
            for arrival, channel in scene._owned(arrivals)
            for name in arrival.names_of_contact()
        }
        scene.known = await find_known(work, list(pairs))
        echoed = (arrival.own_attempt() for arrival, _ in scene._owned(arrivals))
        scene.apart = await find_apart(work.connection, {own[0] for own in echoed if own})
        writers = {
            (channel.id, writer_id)
            for arrival, channel in scene._owned(arrivals)
            if (writer_id := arrival.writer_id()) is not None
        }
        scene.erased = await find_erasures(work.connection, (pairs - scene.known.keys()) | writers)
        return scene

    def is_alone(self, arrival: Arrival) -> bool:
        """Say whether an event needs a transaction of its own, and so ends the batch before it.

        What waits locks a parked key before its conversation. Other hands on the thread, and a
        contact's new name, need what only they tell.
        """
        if self.must_wait(arrival, self.verdict(arrival)):
            return True
        channel = self.channel_of(arrival)
        if channel is None:
            return False
        if arrival.event.type == ECHO:
            own = arrival.own_attempt()
            return own is None or own[0] in self.apart
        return arrival.prior_contact_id is not None

    async def set_for(self, arrivals: Sequence[Arrival]) -> None:
        """Meet the strangers among these events' contacts, and lock and read all that is needed.

        The order is the one that everybody keeps: contacts, conversations, accounts, agents.
        """
        self.alone = len(arrivals) == 1
        fresh = [
            arrival
            for arrival in arrivals
            if arrival.event.id not in self.seen and not self.is_forgotten(arrival)
        ]
        owned = self._owned(fresh)
        await keep_comments(self.work.connection, comments_in(owned), now=self.work.now)
        await self._meet_strangers(owned)
        await self._lock_contacts(owned)
        met = {
            known.conversation_id
            for arrival, channel in owned
            for name in arrival.names_of_contact()
            if (known := self.known.get((channel.id, name))) is not None
        }
        await lock_conversations(
            self.work,
            met | self._conversations_apart(owned) | await self._conversations_of_statuses(owned),
            account_id=None,
        )
        await self._find_messages(owned)
        await self._find_sent(owned)
        await self._find_enquiries()
        await self._foresee(owned)

    def verdict(self, arrival: Arrival) -> Verdict:
        """Return whose event it is."""
        event = arrival.event
        return owner_of(
            self.owners.get((event.kind, event.source_id), ()),
            meta_app_id=event.meta_app_id,
            arrived_at=arrival.arrived_at,
        )

    def channel_of(self, arrival: Arrival) -> Channel | None:
        """Return the channel on which an event has its effect at once, if there is one.

        A suspended channel still hears what becomes of its messages.
        """
        match self.verdict(arrival):
            case Owned(channel):
                return channel
            case Waiting(channel) if arrival.event.type in ECHOES_AND_MARKS:
                return channel
            case _:
                return None

    def is_forgotten(self, arrival: Arrival) -> bool:
        """Say whether an event is of the time before its person was erased: it has no effect."""
        channel = self.channel_of(arrival)
        if channel is None:
            return False
        known = self._known(arrival, channel)
        person = arrival.event.contact_id if arrival.has_contact else arrival.writer_id()
        moment = self.erased.get((channel.id, person or "")) if known is None else known.heard_from
        return moment is not None and arrival.event.occurred_at < moment

    def must_wait(self, arrival: Arrival, verdict: Verdict) -> bool:
        """Say whether an event waits for its source, by itself or behind others of its key."""
        if arrival.parked or arrival.event.type in ECHOES_AND_MARKS:
            return False
        match verdict:
            case Waiting(channel=None):
                return arrival.event.type in MESSAGE_LIKE
            case Waiting():
                return True
            case Owned():
                return arrival.key in self.parked_keys
            case _:
                return False

    def conversation(self, channel: Channel, arrival: Arrival) -> Conversation | None:
        """Return the conversation of an event, if its contact is known."""
        known = self._known(arrival, channel)
        return None if known is None else self.work.conversations.get(known.conversation_id)

    def enquiry(self, conversation: Conversation) -> EnquirySummary | None:
        """Return the conversation's latest enquiry."""
        return self.enquiries.get(conversation.enquiry_id or "")

    def listeners(self, enquiry_id: str | None) -> tuple[str, ...]:
        """Return the endpoint that has an enquiry, which gets its events whatever it subscribed."""
        enquiry = self.enquiries.get(enquiry_id or "")
        return () if enquiry is None or enquiry.endpoint_id is None else (enquiry.endpoint_id,)

    def note_decided(self, enquiry_id: str | None) -> None:
        """Take an enquiry for what the transaction has made of it."""
        row = self.hall.known(enquiry_id or "")
        if row is not None:
            self.enquiries[row.id] = EnquirySummary.of(row)

    async def meet(self, channel: Channel, arrival: Arrival) -> tuple[Known, Conversation]:
        """Return an event's contact and conversation, made when this is the first contact.

        Raises:
            UnforeseenError: It was not met before, and other events have their locks already.
        """
        event = arrival.event
        pair = (channel.id, event.contact_id)
        formerly = arrival.prior_contact_id
        if pair in self.known:
            if formerly is not None:
                await self._merge(channel, formerly, self.known[pair])
            return self.known[pair], self.work.conversations[self.known[pair].conversation_id]
        if not self.alone:
            raise UnforeseenError
        if formerly:
            await rename_contact(
                self.work,
                channel,
                formerly=formerly,
                now_known_as=event.contact_id,
                partition=arrival.record.partition,
            )
        self.known[pair], conversation = await meet(
            self.work,
            channel,
            event.contact_id,
            partition=arrival.record.partition,
            profile=event.data.get("contact"),
        )
        await self._find_enquiries()
        return self.known[pair], conversation

    async def _merge(self, channel: Channel, formerly: str, into: Known) -> None:
        """Let who was known by another name be the contact that they turn out to be."""
        former = self.known.get((channel.id, formerly))
        if former is None or former.contact_id == into.contact_id:
            return
        await merge_contacts(self.work, Merge(channel, former, into))
        self.known[channel.id, formerly] = into
        # One enquiry at a time is alive with a contact: the one that the newest message is in.
        self.set_timer(
            NewTimer(
                account_id=channel.account_id,
                kind=CLOSE_TIMER,
                subject_id=former.conversation_id,
                conversation_id=former.conversation_id,
                due_at=self.work.now,
                data={CLOSE_REASON: CLOSED_WITH_MERGE},
            )
        )

    async def bind_commenter(self, channel: Channel, arrival: Arrival, comment_id: str) -> None:
        """Let who wrote a comment go by the id that the echo of the private reply tells."""
        await rename_contact(
            self.work,
            channel,
            formerly=commenter_name(comment_id),
            now_known_as=arrival.event.contact_id,
            partition=arrival.record.partition,
        )

    def message(
        self, channel: Channel, direction: Direction, source_message_id: str | None
    ) -> Message | None:
        """Return a message that the scene was read with, or that an effect added."""
        return self.messages.get((channel.id, direction, source_message_id or ""))

    def named(self, channel: Channel, source_message_id: str | None) -> Message | None:
        """Return a message of either direction."""
        return self.message(channel, Direction.OUTBOUND, source_message_id) or self.message(
            channel, Direction.INBOUND, source_message_id
        )

    def add(self, message: Message) -> None:
        """Write a message with this transaction."""
        self._unwritten.append(message)
        self.remember(message)

    def want_profile(self, channel: Channel, known: Known, source_contact_id: str) -> None:
        """Have the platform asked what a contact who has just written is called, if it is due."""
        errand = profile_errand(self.work, channel, known, source_contact_id)
        if errand is not None:
            self._profiles[known.contact_id] = errand

    def set_timer(self, timer: NewTimer) -> None:
        """Set a timer with this transaction."""
        self._timers.append(timer)

    def sent_before(self, conversation: Conversation, moment: datetime) -> list[Message]:
        """Return what was sent in a conversation up to a moment of the platform, in order.

        What is known to be read may be missing.
        """
        covered = (
            message
            for message in self._sent.get(conversation.id, {}).values()
            if message.platform_at is not None and message.platform_at <= moment
        )
        return sorted(covered, key=lambda message: message.sequence)

    def remember(self, message: Message) -> None:
        """Take a message's object for the one that stands for its row from now on."""
        self.ours[message.id] = message
        if message.direction is Direction.OUTBOUND:
            self._sent.setdefault(message.conversation_id, {})[message.id] = message
        if message.source_message_id is not None:
            place = (message.channel_id, message.direction, message.source_message_id)
            self.messages[place] = message

    async def settle(self) -> None:
        """Write what was added and decided; the transaction may commit afterwards."""
        unwritten, self._unwritten = self._unwritten, []
        await insert_messages(self.work.connection, unwritten)
        await self.work.write_messages()
        await self.hall.finish()
        profiles, self._profiles = self._profiles, {}
        await offer_errands(self.work, profiles.values())
        timers, self._timers = self._timers, []
        await write_timers(self.work, set_=timers)

    async def read_owners_again(self, arrivals: Iterable[Arrival]) -> None:
        """Read who owns the sources of these events, now."""
        sources: dict[str, set[str]] = {}
        for arrival in arrivals:
            if arrival.event.kind != _META_ONLY:
                sources.setdefault(arrival.event.kind, set()).add(arrival.event.source_id)
        for kind, source_ids in sources.items():
            found = await find_owners(self.work.connection, kind, source_ids)
            for source_id, channels in found.items():
                self.owners[kind, source_id] = channels

    def _known(self, arrival: Arrival, channel: Channel) -> Known | None:
        return self.known.get((channel.id, arrival.event.contact_id))

    def _owned(self, arrivals: Iterable[Arrival]) -> list[tuple[Arrival, Channel]]:
        found = ((arrival, self.channel_of(arrival)) for arrival in arrivals)
        return [(arrival, channel) for arrival, channel in found if channel is not None]

    def _conversations_apart(self, owned: Iterable[tuple[Arrival, Channel]]) -> set[str]:
        echoed = (arrival.own_attempt() for arrival, _ in owned)
        return {self.apart[own[0]] for own in echoed if own and own[0] in self.apart}

    async def _meet_strangers(self, owned: Iterable[tuple[Arrival, Channel]]) -> None:
        first: dict[Pair, tuple[Arrival, Channel]] = {}
        for arrival, channel in owned:
            event = arrival.event
            met = not arrival.has_contact or self._known(arrival, channel) is not None
            # These say nothing of a contact that was not known before.
            of_ours = event.type in ECHOES_AND_MARKS
            if not met and not of_ours and arrival.prior_contact_id is None:
                first.setdefault((channel.id, event.contact_id), (arrival, channel))
        if not first:
            return
        # A message that came under another name before makes nobody known.
        said = {
            (channel.id, mid)
            for arrival, channel in first.values()
            if arrival.event.type in SPEAKS and (mid := arrival.event.data.get("id"))
        }
        for message in await find_by_source(self.work.connection, said):
            self.remember(message)
        strangers = [
            Stranger(
                channel,
                arrival.event.contact_id,
                arrival.record.partition,
                arrival.event.data.get("contact") or {},
                heard_from=self.erased.get((channel.id, arrival.event.contact_id)),
                traceparent=arrival.event.traceparent,
            )
            for arrival, channel in first.values()
            if self.message(channel, Direction.INBOUND, arrival.event.data.get("id")) is None
        ]
        self.known |= await meet_strangers(self.work, strangers)

    async def _lock_contacts(self, owned: Iterable[tuple[Arrival, Channel]]) -> None:
        """Lock the contacts whose profiles may change: before the account that numbers events."""
        named = {
            (channel.account_id, known.contact_id)
            for arrival, channel in owned
            if arrival.event.type == CONTACT or arrival.prior_contact_id is not None
            for name in arrival.names_of_contact()
            if (known := self.known.get((channel.id, name))) is not None
        }
        await lock_contacts(self.work.connection, named)

    async def _foresee(self, owned: Iterable[tuple[Arrival, Channel]]) -> None:
        """Lock whom the decisions of these events may concern, and read what they rest on."""
        accounts = {event.account_id for event in self.work.announced if event.sequence is None}
        deciding: dict[str, tuple[Conversation, Channel]] = {}
        for arrival, channel in owned:
            if _is_of_account(arrival):
                accounts.add(channel.account_id)
            conversation = self.conversation(channel, arrival)
            if conversation is None or not self._may_decide(arrival, channel, conversation):
                continue
            accounts.add(channel.account_id)
            deciding[conversation.id] = (conversation, channel)
        await self.hall.fetch(
            [
                (conversation.account_id, conversation.enquiry_id)
                for conversation, _ in deciding.values()
                if conversation.enquiry_id is not None
            ]
        )
        destinations = {
            (channel.account_id, destination_id)
            for conversation, channel in deciding.values()
            for destination_id in concerned(
                self.hall.known(conversation.enquiry_id or ""), channel, conversation
            )
        }
        await self.hall.lock(accounts, destinations)

    def _may_decide(self, arrival: Arrival, channel: Channel, conversation: Conversation) -> bool:
        if arrival.event.type not in SPEAKS or arrival.event.standby:
            return False
        latest = self.enquiry(conversation)
        return needs_decision(conversation, latest, channel, now=self.work.now)

    async def _conversations_of_statuses(
        self, owned: Iterable[tuple[Arrival, Channel]]
    ) -> set[str]:
        # A third party's status names a message, and no contact.
        by_channel: dict[str, set[str]] = {}
        for arrival, channel in owned:
            if arrival.event.type == STATUS:
                by_channel.setdefault(channel.id, set()).add(arrival.event.data["message_id"])
        found: set[str] = set()
        for channel_id, names in by_channel.items():
            found |= await find_conversations_of(self.work.connection, channel_id, names)
        return found

    async def _find_messages(self, owned: Iterable[tuple[Arrival, Channel]]) -> None:
        by_source: set[tuple[str, str]] = set()
        by_id: dict[str, set[str]] = {}
        for arrival, channel in owned:
            by_source |= {(channel.id, name) for name in arrival.named_messages()}
            by_id.setdefault(channel.account_id, set()).update(arrival.named_messages_of_ours())
        for account_id, message_ids in by_id.items():
            if message_ids:
                found = await find_messages(self.work.connection, account_id, message_ids)
                for message in found.values():
                    self.remember(message)
        for message in await find_by_source(self.work.connection, by_source):
            self.remember(self.ours.get(message.id, message))

    async def _find_sent(self, owned: Iterable[tuple[Arrival, Channel]]) -> None:
        """Read what the marks among these events may cover."""
        moments: dict[tuple[str, str], datetime | None] = {}
        for arrival, channel in owned:
            conversation = self.conversation(channel, arrival)
            if arrival.event.type not in MARKS or conversation is None:
                continue
            place = (conversation.account_id, conversation.id)
            moment = arrival.watermark()
            before = moments.get(place, moment)
            # A message's time, which a mark without a watermark goes by, may be learnt later.
            if moment is None or before is None:
                moments[place] = None
            else:
                moments[place] = max(moment, before)
        sent = await find_arrived(
            self.work.connection, [(*place, moment) for place, moment in moments.items()]
        )
        for message in sent:
            self.remember(self.ours.get(message.id, message))

    async def _find_enquiries(self) -> None:
        wanted = {
            conversation.enquiry_id
            for conversation in self.work.conversations.values()
            if conversation.enquiry_id is not None
        } - self.enquiries.keys()
        if wanted:
            self.enquiries |= await find_enquiries(self.work.connection, wanted)


def _is_of_account(arrival: Arrival) -> bool:
    """Say whether what is told of an event has the account's number, not a conversation's."""
    if arrival.has_contact:
        return arrival.event.type == CONTACT
    return arrival.event.type not in ECHOES_AND_MARKS
