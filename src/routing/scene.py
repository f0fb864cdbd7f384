"""What one transaction knows: everything its events need, read in a few statements at its start.

Effects read and change the scene; messages that they add are written together, by `settle`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from gateway.db.channels import Channel, find_owners
from gateway.db.conversations import Conversation, lock_conversations
from gateway.db.first_contact import Known, find_known, meet, rename_contact
from gateway.db.inbox import find_seen
from gateway.db.messages import (
    Message,
    find_by_source,
    find_conversations_of,
    find_messages,
    insert_messages,
)
from gateway.db.parking import Key, find_parked_keys
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.message import Direction
from routing.arrivals import ECHOES_AND_MARKS, MESSAGE_LIKE, STATUS, Arrival
from routing.ownership import Owned, Verdict, Waiting, owner_of
from routing.repository import EnquirySummary, find_enquiries

_META_ONLY = "meta"


@dataclass(slots=True)
class Scene:
    """The state around the events of one transaction."""

    work: UnitOfWork
    owners: dict[tuple[str, str], list[Channel]] = field(default_factory=dict)
    parked_keys: set[Key] = field(default_factory=set)
    seen: dict[str, bytes] = field(default_factory=dict)
    known: dict[tuple[str, str], Known] = field(default_factory=dict)
    messages: dict[tuple[str, Direction, str], Message] = field(default_factory=dict)
    ours: dict[str, Message] = field(default_factory=dict)
    enquiries: dict[str, EnquirySummary] = field(default_factory=dict)
    # Enquiries that an effect may have changed since they were read.
    decided: set[str] = field(default_factory=set)
    _unwritten: list[Message] = field(default_factory=list)

    @classmethod
    async def around(cls, work: UnitOfWork, arrivals: Sequence[Arrival]) -> Self:
        """Read what these events need and lock the conversations that they are about."""
        scene = cls(work)
        scene.seen = await find_seen(work.connection, {arrival.event.id for arrival in arrivals})
        await scene.read_owners_again(arrivals)
        scene.parked_keys = await find_parked_keys(
            work.connection, list({arrival.key for arrival in arrivals if arrival.has_contact})
        )
        owned = scene._owned(arrivals)
        scene.known = await find_known(
            work,
            list(
                {
                    (channel.id, arrival.event.contact_id)
                    for arrival, channel in owned
                    if arrival.has_contact
                }
            ),
        )
        owned = scene._owned(scene._up_to_a_stranger(arrivals))
        await lock_conversations(
            work,
            {
                scene.known[channel.id, arrival.event.contact_id].conversation_id
                for arrival, channel in owned
                if (channel.id, arrival.event.contact_id) in scene.known
            }
            | await scene._conversations_of_statuses(owned),
            account_id=None,
        )
        await scene._find_messages(owned)
        await scene._find_enquiries()
        return scene

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
        known = self.known.get((channel.id, arrival.event.contact_id))
        return None if known is None else self.work.conversations.get(known.conversation_id)

    def enquiry(self, conversation: Conversation) -> EnquirySummary | None:
        """Return the conversation's latest enquiry."""
        return self.enquiries.get(conversation.enquiry_id or "")

    async def listeners(self, enquiry_id: str | None) -> tuple[str, ...]:
        """Return the endpoint that has an enquiry, which gets its events whatever it subscribed.

        What the transaction decided about the enquiry counts.
        """
        if enquiry_id is None:
            return ()
        if enquiry_id in self.decided or enquiry_id not in self.enquiries:
            self.enquiries |= await find_enquiries(self.work.connection, [enquiry_id])
            self.decided.discard(enquiry_id)
        enquiry = self.enquiries.get(enquiry_id)
        return () if enquiry is None or enquiry.endpoint_id is None else (enquiry.endpoint_id,)

    async def meet(self, channel: Channel, arrival: Arrival) -> tuple[Known, Conversation]:
        """Return an event's contact and conversation, made when this is the first contact."""
        event = arrival.event
        pair = (channel.id, event.contact_id)
        formerly = event.data.get("prior_contact_id")
        if pair not in self.known and formerly:
            await rename_contact(
                self.work,
                channel,
                formerly=formerly,
                now_known_as=event.contact_id,
                partition=arrival.record.partition,
            )
        if pair not in self.known:
            self.known[pair], conversation = await meet(
                self.work,
                channel,
                event.contact_id,
                partition=arrival.record.partition,
                profile=event.data.get("contact"),
            )
            await self._find_enquiries()
            return self.known[pair], conversation
        return self.known[pair], self.work.conversations[self.known[pair].conversation_id]

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

    def remember(self, message: Message) -> None:
        """Take a message's object for the one that stands for its row from now on."""
        self.ours[message.id] = message
        if message.source_message_id is not None:
            place = (message.channel_id, message.direction, message.source_message_id)
            self.messages[place] = message

    async def settle(self) -> None:
        """Write the messages added so far; before anything that reads messages back."""
        unwritten, self._unwritten = self._unwritten, []
        await insert_messages(self.work.connection, unwritten)

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

    def _owned(self, arrivals: Iterable[Arrival]) -> list[tuple[Arrival, Channel]]:
        found = ((arrival, self.channel_of(arrival)) for arrival in arrivals)
        return [(arrival, channel) for arrival, channel in found if channel is not None]

    def _up_to_a_stranger(self, arrivals: Sequence[Arrival]) -> Sequence[Arrival]:
        """Return what may share this transaction: up to what waits, or is of somebody not met yet.

        These have transactions of their own, and lock a parked key or a conversation while they
        hold no other: conversations are locked in one go, and a key before its conversation.
        """
        for n, arrival in enumerate(arrivals):
            if self.must_wait(arrival, self.verdict(arrival)):
                return arrivals[:n]
            channel = self.channel_of(arrival)
            stranger = (
                channel is not None
                and arrival.has_contact
                and (channel.id, arrival.event.contact_id) not in self.known
            )
            if stranger:
                return arrivals[: max(n, 1)]
        return arrivals

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
        by_source: dict[str, set[str]] = {}
        by_id: dict[str, set[str]] = {}
        for arrival, channel in owned:
            by_source.setdefault(channel.id, set()).update(arrival.named_messages())
            by_id.setdefault(channel.account_id, set()).update(arrival.named_messages_of_ours())
        for account_id, message_ids in by_id.items():
            if message_ids:
                found = await find_messages(self.work.connection, account_id, message_ids)
                for message in found.values():
                    self.remember(message)
        for channel_id, source_ids in by_source.items():
            if source_ids:
                sent = await find_by_source(self.work.connection, channel_id, source_ids)
                for message in sent.values():
                    self.remember(self.ours.get(message.id, message))

    async def _find_enquiries(self) -> None:
        wanted = {
            conversation.enquiry_id
            for conversation in self.work.conversations.values()
            if conversation.enquiry_id is not None
        } - self.enquiries.keys()
        if wanted:
            self.enquiries |= await find_enquiries(self.work.connection, wanted)
