"""Moves an enquiry along its arrows: the only place that does.

Each arrow changes the row, announces one event and adds one line to the timeline, both under the
next number of the conversation. What was changed is handed over by `save`, together with the timers
that the state then calls for, so that no state can be left without its timer.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from gateway.db.channels import Channel
from gateway.db.conversations import Conversation
from gateway.domain import ids
from gateway.errors import IllegalTransitionError
from routing.enquiries import (
    LIVE,
    PAGE,
    SYSTEM,
    Actor,
    Enquiry,
    EnquiryStatus,
    HandledBy,
    Offer,
    OfferStatus,
    Progress,
    allowed_from,
    may_move,
)
from routing.hall import Hall, Saved, Share
from routing.repository import TimelineEntry
from routing.rules import routing_of
from routing.state_timers import INTERMISSION_TIMER, STATE_TIMERS, timers_of, waits_until
from routing.telling import tell

if TYPE_CHECKING:
    from gateway.db.messages import Message


class HeldEnquiry:
    """An enquiry whose conversation this transaction has locked.

    Attributes:
        row: The enquiry as it stands in memory.
        freed_agents: Agents who have more room than before; others may be waiting for them.
        frees_place: True once it left the account's places, or their queue: somebody else may
            come in.
        was_missed: True from the moment at which nobody took it until it is saved.
        was_given: True from the moment at which a bot or an endpoint got it until it is saved.
        said: What the contact said that moves it, where that does.
    """

    def __init__(
        self,
        hall: Hall,
        conversation: Conversation,
        channel: Channel,
        row: Enquiry,
        *,
        new: bool = False,
    ) -> None:
        """Hold an enquiry as the hall knows it, or a `new` one that nobody has written."""
        self.hall = hall
        self.work = hall.work
        self.conversation = conversation
        self.channel = channel
        self.row = row
        self.routing = routing_of(channel.routing)
        self.freed_agents: set[str] = set()
        self.frees_place = False
        self.was_missed = False
        self.was_given = False
        self.said: Message | None = None
        # What it took when it was read or saved last.
        self.share = Share.none() if new else Share.of(row)
        self._ended_with: str | None = None
        self._changed_offers: dict[str, Offer] = {}
        self._timeline: list[TimelineEntry] = []
        self._intermission_ends: datetime | None = None

    @property
    def waits(self) -> bool:
        """True where nobody has it and nobody is asked, and the account has room for it."""
        return self.row.status is EnquiryStatus.OPEN and self.row.queued_at is None

    @property
    def waits_until(self) -> datetime | None:
        """When the waiting limit ends an enquiry that waits or is offered; None, never."""
        return waits_until(self.row, self.routing)

    @property
    def link(self) -> dict[str, Any]:
        """What answers on the channel, for this enquiry; the channel may have changed it since."""
        return self.row.progress.link or self.channel.link

    def refuse(self, detail: str) -> IllegalTransitionError:
        """Return the refusal of a move that the present state does not allow."""
        extra: dict[str, object] = {
            "state": self.row.status.value,
            "allowed": allowed_from(self.row.status),
        }
        if self.row.status is EnquiryStatus.ONGOING and self.row.agent_id is not None:
            extra["agent_id"] = self.row.agent_id
        return IllegalTransitionError(detail, extra=extra)

    def enter(self, actor: Actor, *, reason: str | None = None, told: bool = True) -> None:
        """Let an open enquiry take one of the account's places."""
        self.row.queued_at = None
        self.row.entered_at = self.work.now
        self.row.progress.link = self.channel.link
        if told:
            self._tell("opened", actor, reason=reason)

    def queue(self) -> None:
        """Let an open enquiry wait outside: the account has no place for it."""
        self.row.queued_at = self.work.now
        self._tell("queued", SYSTEM, reason="concurrent_contacts_limit")

    def offer(self, destination: dict[str, Any], agent_ids: Iterable[str], wait: timedelta) -> None:
        """Ask agents of a destination."""
        self._ask(destination, agent_ids, wait)
        self._tell("offered", SYSTEM)

    def transfer(
        self,
        actor: Actor,
        destination: dict[str, Any] | None,
        agent_ids: Iterable[str],
        wait: timedelta,
        *,
        progress: Progress,
    ) -> None:
        """Take it from who has it, and ask others; who was asked so far is not any more.

        Without a destination nobody is asked: `wait_for_somebody`, `give` or `miss` has to follow.
        """
        self.withdraw_pending("transferred")
        former = self.row.destination
        also_to = _endpoints(self.row)
        self._leave_agent()
        self.row.handled_by = None
        self.row.entered_at = self.work.now
        progress.since = self.work.now
        progress.link = self.row.progress.link
        self.row.progress = progress
        self._ask(destination, agent_ids, wait)
        self._tell("transferred", actor, also_to=also_to, former_destination=former)

    def wait_for_somebody(self) -> None:
        """Let it wait: it was transferred, and nobody can be asked now."""
        self._nobody_asked_any_more()
        self._tell("offer_withdrawn", SYSTEM, reason="nobody_free", agent_id=None)

    def accept(
        self, actor: Actor, *, agent_id: str, agent_name: str, reason: str | None = None
    ) -> None:
        """Let an agent take it; everybody else who was asked is not any more."""
        offer = self._pending_of(agent_id)
        if offer is None:
            self.row.destination = {"id": agent_id, "kind": "agent", "name": agent_name}
        else:
            self._settle_offer(offer, OfferStatus.ACCEPTED)
        withdrawn = self._withdraw_silently()
        self._move(EnquiryStatus.ONGOING)
        self.row.agent_id = agent_id
        self.row.agent_name = agent_name
        self.row.handled_by = HandledBy.AGENT
        self._tell("accepted", actor, reason=reason)
        self._tell_withdrawn(withdrawn, "accepted")

    def give(self, destination: dict[str, Any], *, bot_version: int | None = None) -> None:
        """Hand it to an endpoint or a bot, which take everything at once.

        `bot_version` is of the rules that a bot follows until its end with the enquiry.
        """
        self.row.destination = destination
        self._move(EnquiryStatus.ONGOING)
        self.row.handled_by = HandledBy(destination["kind"])
        self.row.progress.bot_version = bot_version
        self.was_given = True
        self._tell("accepted", Actor(destination["kind"], destination["id"]))

    def leave_to_page(self) -> None:
        """Note that somebody answered in the Page's own inbox."""
        withdrawn = self._withdraw_silently()
        self.row.queued_at = None
        self.row.destination = None
        self._move(EnquiryStatus.ONGOING)
        self.row.handled_by = HandledBy.PAGE_INBOX
        self._tell("accepted", PAGE, reason="page_inbox")
        self._tell_withdrawn(withdrawn, "page_inbox")

    def reject(self, actor: Actor, offer: Offer) -> None:
        """Note that an agent does not want it."""
        self._settle_offer(offer, OfferStatus.REJECTED)
        self.row.progress.tried[offer.agent_id] = "rejected"
        self._nobody_asked_any_more()
        self._tell("rejected", actor, agent_id=offer.agent_id)

    def expire(self, offer: Offer) -> None:
        """Note that an agent did not answer in time."""
        self._settle_offer(offer, OfferStatus.EXPIRED)
        self.row.progress.tried[offer.agent_id] = "timed_out"
        self._nobody_asked_any_more()
        self._tell("offer_withdrawn", SYSTEM, reason="expired", agent_id=offer.agent_id)

    def withdraw(self, offer: Offer, reason: str) -> None:
        """Take an offer back; its destination may be asked again."""
        self._settle_offer(offer, OfferStatus.WITHDRAWN)
        self._nobody_asked_any_more()
        self._tell("offer_withdrawn", SYSTEM, reason=reason, agent_id=offer.agent_id)

    def withdraw_pending(self, reason: str) -> None:
        """Take back every offer that nobody has answered."""
        for offer in self.row.pending_offers:
            self.withdraw(offer, reason)

    def miss(self, reason: str) -> None:
        """Note that nobody takes it."""
        withdrawn = self._withdraw_silently()
        self.row.destination = None
        self._move(EnquiryStatus.MISSED)
        self.row.missed_at = self.work.now
        self.was_missed = True
        self._tell("missed", SYSTEM, reason=reason)
        self._tell_withdrawn(withdrawn, reason)

    def follow_up(self, actor: Actor, *, agent_id: str | None, agent_name: str | None) -> None:
        """Note that somebody came back to a contact whose enquiry was missed."""
        self._move(EnquiryStatus.FOLLOWED_UP)
        self.row.agent_id = agent_id
        self.row.agent_name = agent_name
        self.row.followed_up_at = self.work.now
        self._tell("followed_up", actor)

    def resume(self, actor: Actor) -> None:
        """Let a contact's answer to a follow-up go to who followed up."""
        self._move(EnquiryStatus.ONGOING)
        if self.row.agent_id is not None:
            self.row.handled_by = HandledBy.AGENT
            self.row.destination = {
                "id": self.row.agent_id,
                "kind": "agent",
                "name": self.row.agent_name,
            }
        self._tell("accepted", actor, reason="contact_answered")

    def close(self, actor: Actor, *, reason: str) -> None:
        """End it."""
        withdrawn = self._withdraw_silently()
        self._ended_with = self.row.agent_id
        self._move(EnquiryStatus.CLOSED)
        self.row.queued_at = None
        self.row.closed_at = self.work.now
        self.row.close_reason = reason
        self._tell("closed", actor, reason=reason)
        self._tell_withdrawn(withdrawn, "closed")

    def reopen(self, actor: Actor, *, reason: str | None, first: str | None) -> None:
        """Let it begin anew; `first` is an agent who is asked before the rule is."""
        also_to = _endpoints(self.row)
        self._move(EnquiryStatus.OPEN)
        self.row.destination = None
        self.row.agent_id = self.row.agent_name = self.row.handled_by = None
        self.row.progress = Progress(first=first)
        self.row.assignment = None
        self.row.closed_at = self.row.close_reason = None
        self.row.missed_at = self.row.followed_up_at = None
        self.row.offered_at = self.row.accepted_at = None
        self.conversation.enquiry_id = self.row.id
        self.was_missed = False
        self._tell("reopened", actor, reason=reason, also_to=also_to)

    def note(self, type_: str, actor: Actor, data: dict[str, Any]) -> None:
        """Add a line to the timeline that tells of no arrow; it has the last event's number."""
        sequence = self.conversation.next_seq - 1
        before = [line for line in self._timeline if line.sequence == sequence]
        self._timeline.append(
            TimelineEntry(
                sequence=sequence,
                position=len(before),
                at=self.work.now,
                type=type_,
                actor=actor.as_json(),
                data=data,
            )
        )

    def note_our_message(self) -> None:
        """Count the intermission from now on: somebody on our side wrote."""
        self._intermission_ends = self.work.now + timedelta(
            minutes=self.channel.intermission_minutes
        )

    def note_first_response(self) -> None:
        """Note when the contact was first answered."""
        if self.row.first_response_at is None:
            self.row.first_response_at = self.work.now

    def save(self) -> None:
        """Have written what changed, and the timers that the state calls for."""
        self.row.updated_at = self.work.now
        timers = timers_of(
            self.row,
            self.routing,
            now=self.work.now,
            intermission_ends=self._intermission_ends,
        )
        kept = {INTERMISSION_TIMER} if self.row.status is EnquiryStatus.ONGOING else set()
        self.share = self.hall.save(
            self.row,
            self.share,
            Saved(
                offers=self._changed_offers.values(),
                timeline=self._timeline,
                timers=timers,
                cleared=STATE_TIMERS - kept - {timer.kind for timer in timers},
                ended_with=self._ended_with,
            ),
        )
        self._changed_offers = {}
        self._timeline = []
        self._intermission_ends = self._ended_with = None
        self.was_missed = self.was_given = False

    def _ask(
        self, destination: dict[str, Any] | None, agent_ids: Iterable[str], wait: timedelta
    ) -> None:
        self._move(EnquiryStatus.OFFERED)
        self.row.destination = destination
        self.row.offered_at = self.work.now
        if destination is None:
            return
        if destination["kind"] == "team":
            self.row.progress.asked_since.setdefault(destination["id"], self.work.now)
        for agent_id in agent_ids:
            offer = Offer(
                id=ids.new_id(ids.OFFER),
                agent_id=agent_id,
                destination_id=destination["id"],
                status=OfferStatus.PENDING,
                created_at=self.work.now,
                expires_at=self.work.now + wait,
            )
            self.row.offers.append(offer)
            self._changed_offers[offer.id] = offer

    def _pending_of(self, agent_id: str) -> Offer | None:
        pending = (offer for offer in self.row.pending_offers if offer.agent_id == agent_id)
        return next(pending, None)

    def _settle_offer(self, offer: Offer, status: OfferStatus) -> None:
        offer.status = status
        offer.settled_at = self.work.now
        self._changed_offers[offer.id] = offer
        if status is not OfferStatus.ACCEPTED:
            self.freed_agents.add(offer.agent_id)

    def _nobody_asked_any_more(self) -> None:
        if self.row.status is EnquiryStatus.OFFERED and not self.row.pending_offers:
            self._move(EnquiryStatus.OPEN)
            self.row.destination = None
            self.row.progress.transfer = None

    def _withdraw_silently(self) -> list[Offer]:
        pending = self.row.pending_offers
        for offer in pending:
            self._settle_offer(offer, OfferStatus.WITHDRAWN)
        return pending

    def _tell_withdrawn(self, offers: Iterable[Offer], reason: str) -> None:
        for offer in offers:
            self._tell("offer_withdrawn", SYSTEM, reason=reason, agent_id=offer.agent_id)

    def _leave_agent(self) -> None:
        if self.row.agent_id is not None:
            self.freed_agents.add(self.row.agent_id)
        self.row.agent_id = self.row.agent_name = None

    def _move(self, target: EnquiryStatus) -> None:
        source = self.row.status
        if not may_move(source, target):
            raise self.refuse(f"An enquiry that is {source} cannot become {target}.")
        if source in LIVE and target not in LIVE:
            self.frees_place = True
        if source is EnquiryStatus.ONGOING and self.row.agent_id is not None:
            self.freed_agents.add(self.row.agent_id)
        if target is EnquiryStatus.ONGOING:
            self.row.accepted_at = self.work.now
            # Should our message have been the last one, it counts; the timer will see.
            self.note_our_message()
        self.row.status = target

    def _tell(
        self,
        name: str,
        actor: Actor,
        *,
        reason: str | None = None,
        also_to: Collection[str] = (),
        **further: Any,  # noqa: ANN401 - JSON values beside the enquiry
    ) -> None:
        beside = ({} if reason is None else {"reason": reason}) | further
        line = tell(
            self.work,
            self.conversation,
            self.row,
            name,
            actor,
            event_type=f"gateway.enquiry.{name}.v1",
            beside=beside,
            also_to=also_to,
        )
        self._timeline.append(line)


def _endpoints(row: Enquiry) -> list[str]:
    return [] if row.endpoint_id is None else [row.endpoint_id]
