"""The life of an enquiry: its states, the arrows between them, and what a contact's message does.

```
            ┌──────────────── reopened ────────────────┐
            ▼                                          │
opened ─▶ open ◀──▶ offered ─▶ ongoing ─▶ closed ◀─────┤
            │          │  ▲       │          ▲         │
            └────┬─────┘  └───────┘          │         │
                 ▼        transferred        │         │
               missed ──▶ followed_up ───────┘         │
                 └─────────────────────────────────────┘
```
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from typing import Any, Final, Protocol


class EnquiryStatus(StrEnum):
    """Where an enquiry stands; it is in exactly one state."""

    OPEN = "open"
    OFFERED = "offered"
    ONGOING = "ongoing"
    CLOSED = "closed"
    MISSED = "missed"
    FOLLOWED_UP = "followed_up"


class OfferStatus(StrEnum):
    """What became of an offer to one agent."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class HandledBy(StrEnum):
    """What kind of destination answers an ongoing enquiry."""

    AGENT = "agent"
    BOT = "bot"
    ENDPOINT = "endpoint"
    PAGE_INBOX = "page_inbox"


ARROWS: Final[dict[EnquiryStatus, frozenset[EnquiryStatus]]] = {
    EnquiryStatus.OPEN: frozenset(
        {
            EnquiryStatus.OFFERED,
            EnquiryStatus.ONGOING,
            EnquiryStatus.MISSED,
            EnquiryStatus.CLOSED,
        }
    ),
    EnquiryStatus.OFFERED: frozenset(
        {
            EnquiryStatus.OPEN,
            EnquiryStatus.ONGOING,
            EnquiryStatus.MISSED,
            EnquiryStatus.CLOSED,
        }
    ),
    EnquiryStatus.ONGOING: frozenset({EnquiryStatus.OFFERED, EnquiryStatus.CLOSED}),
    EnquiryStatus.MISSED: frozenset(
        {EnquiryStatus.FOLLOWED_UP, EnquiryStatus.OPEN, EnquiryStatus.CLOSED}
    ),
    EnquiryStatus.FOLLOWED_UP: frozenset({EnquiryStatus.ONGOING, EnquiryStatus.CLOSED}),
    EnquiryStatus.CLOSED: frozenset({EnquiryStatus.OPEN}),
}

# A conversation has at most one enquiry in these states, and each of them that is not queued takes
# one of the account's places.
LIVE: Final = frozenset({EnquiryStatus.OPEN, EnquiryStatus.OFFERED, EnquiryStatus.ONGOING})

# Why an enquiry was closed, where a person or a back end did not simply ask for it.
CLOSED_BY_INTERMISSION: Final = "intermission"
CLOSED_WITH_CHANNEL: Final = "channel-deleted"
CLOSED_WITH_CONTACT: Final = "contact-erased"
CLOSED_WITH_MERGE: Final = "contact-merged"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something to an enquiry."""

    kind: str
    id: str | None = None

    def as_json(self) -> dict[str, str]:
        """Return its public form."""
        return {"kind": self.kind} if self.id is None else {"kind": self.kind, "id": self.id}


SYSTEM: Final = Actor("system")
PAGE: Final = Actor("page")


@dataclass(slots=True)
class Progress:
    """How far routing has come with an enquiry since it was last routed anew.

    Attributes:
        tried: What became of asking agents, bots and endpoints: `rejected`, `timed_out` or
            `handed_over`.
        asked_since: When a team was first asked.
        first: An agent or a team that is asked before the rule is: who served the contact last,
            who wrote first, or whom somebody chose by hand.
        transfer: An agent whom somebody chose by hand; presence does not take that offer away.
        since: From when on the waiting limit counts: when somebody was looked for first.
        bot_version: Of the rules of the bot that has it.
        link: What answered on the channel when it came in, or when it was moved to that.
    """

    tried: dict[str, str] = field(default_factory=dict)
    asked_since: dict[str, datetime] = field(default_factory=dict)
    first: str | None = None
    transfer: str | None = None
    since: datetime | None = None
    bot_version: int | None = None
    link: dict[str, Any] | None = None

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Progress":
        """Read what `as_json` wrote; members that are missing are empty."""
        since = raw.get("since")
        return cls(
            tried=dict(raw.get("tried") or {}),
            asked_since={
                team_id: datetime.fromisoformat(at)
                for team_id, at in (raw.get("asked_since") or {}).items()
            },
            first=raw.get("first"),
            transfer=raw.get("transfer"),
            since=None if since is None else datetime.fromisoformat(since),
            bot_version=raw.get("bot_version"),
            link=raw.get("link"),
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as the database keeps it, without empty members."""
        members = {
            "tried": self.tried,
            "asked_since": {team_id: at.isoformat() for team_id, at in self.asked_since.items()},
            "first": self.first,
            "transfer": self.transfer,
            "since": None if self.since is None else self.since.isoformat(),
            "bot_version": self.bot_version,
            "link": self.link,
        }
        return {name: value for name, value in members.items() if value}


@dataclass(slots=True, kw_only=True)
class Offer:
    """An enquiry offered to one agent, as the destination or as a member of it."""

    id: str
    agent_id: str
    destination_id: str
    status: OfferStatus
    created_at: datetime
    expires_at: datetime | None
    settled_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Enquiry:
    """An enquiry's row; `offers` are all that it ever had, oldest first."""

    account_id: str
    id: str
    channel_id: str
    conversation_id: str
    contact_id: str
    opened_at: datetime
    updated_at: datetime
    status: EnquiryStatus = EnquiryStatus.OPEN
    destination: dict[str, Any] | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    handled_by: HandledBy | None = None
    progress: Progress = field(default_factory=Progress)
    assignment: dict[str, Any] | None = None
    custom_info: str | None = None
    close_reason: str | None = None
    late: bool = False
    queued_at: datetime | None = None
    entered_at: datetime | None = None
    offered_at: datetime | None = None
    accepted_at: datetime | None = None
    first_response_at: datetime | None = None
    closed_at: datetime | None = None
    missed_at: datetime | None = None
    followed_up_at: datetime | None = None
    # When it had its away message; it never has another.
    away_at: datetime | None = None
    offers: list[Offer] = field(default_factory=list)

    @property
    def pending_offers(self) -> list[Offer]:
        """The offers that nobody has answered yet."""
        return [offer for offer in self.offers if offer.status is OfferStatus.PENDING]

    @property
    def endpoint_id(self) -> str | None:
        """The endpoint that has it, and so gets its events whatever it subscribed to."""
        return endpoint_of(self.destination)


def endpoint_of(destination: dict[str, Any] | None) -> str | None:
    """Return the id of a destination that is an endpoint."""
    if destination is None or destination["kind"] != HandledBy.ENDPOINT:
        return None
    endpoint_id: str = destination["id"]
    return endpoint_id


def may_move(source: EnquiryStatus, target: EnquiryStatus) -> bool:
    """Say whether an enquiry may move from one state to another."""
    return target in ARROWS[source]


def allowed_from(source: EnquiryStatus) -> list[str]:
    """Return the states that can be reached from one, as a refusal names them."""
    return sorted(ARROWS[source])


def earliest_expiry(offers: Iterable[Offer]) -> datetime | None:
    """Return when the first of these offers runs out."""
    return min((offer.expires_at for offer in offers if offer.expires_at), default=None)


class Continuation(Enum):
    """What a contact's message does to the conversation's latest enquiry."""

    JOIN = auto()
    RESUME = auto()
    REOPEN = auto()
    OPEN_ANOTHER = auto()


class Latest(Protocol):
    """What has to be known of a conversation's latest enquiry."""

    @property
    def status(self) -> EnquiryStatus:
        """Its state."""
        ...

    @property
    def closed_at(self) -> datetime | None:
        """When it was closed, if it is."""
        ...

    @property
    def missed_at(self) -> datetime | None:
        """When it was missed, if it is."""
        ...

    @property
    def close_reason(self) -> str | None:
        """Why it was closed."""
        ...


def continuation(
    latest: Latest | None, *, policy: str, intermission: timedelta, at: datetime
) -> Continuation:
    """Return what a message of a moment does.

    Args:
        latest: The conversation's latest enquiry, if it ever had one.
        policy: The channel's `closed_enquiry_policy`: `intermission`, `never` or `always`.
        intermission: How long after its end an enquiry is still reopened.
        at: When the contact wrote.
    """
    if latest is not None and latest.status in LIVE:
        return Continuation.JOIN
    if latest is not None and latest.status is EnquiryStatus.FOLLOWED_UP:
        return Continuation.RESUME
    if latest is None or policy == "always":
        return Continuation.OPEN_ANOTHER
    ended_at = latest.closed_at
    if latest.status is EnquiryStatus.MISSED:
        ended_at = latest.missed_at
    elif latest.close_reason == CLOSED_BY_INTERMISSION:
        # It has passed once already.
        ended_at = None
    recent = ended_at is not None and at < ended_at + intermission
    return Continuation.REOPEN if recent or policy == "never" else Continuation.OPEN_ANOTHER
