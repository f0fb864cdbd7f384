"""What the resources need from parts that they may not import; `gateway.asgi` fills them.

`routing` implements all but the last one, which knows Kafka.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from gateway.db.channels import Channel
from gateway.db.conversations import Conversation
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.message import AuthorKind
from gateway.domain.traffic_checks import Takers


class RoutingRules(Protocol):
    """Knows what a routing configuration may look like."""

    async def accept(
        self, work: UnitOfWork, account_id: str, raw: object, *, pointer_prefix: str
    ) -> dict[str, Any]:
        """Return the configuration with its defaults filled in.

        Raises:
            InvalidFieldsError: It does not hold, or names destinations that the account does not
                have; pointers begin with the prefix.
        """
        ...


class Engagement(Protocol):
    """Knows the enquiries of conversations."""

    async def before_send(
        self,
        work: UnitOfWork,
        conversation: Conversation,
        channel: Channel,
        *,
        author_kind: AuthorKind,
        author_id: str | None,
        takeover: bool,
    ) -> str | None:
        """Let an author answer in a locked conversation and return the enquiry's id, if any.

        An agent's send to an open or offered enquiry accepts it.

        Raises:
            NotAssigneeError: It is ongoing with another agent, and `takeover` does not say so.
        """
        ...

    async def enquiry_resources(
        self, work: UnitOfWork, account_id: str, enquiry_ids: Iterable[str]
    ) -> Mapping[str, dict[str, Any]]:
        """Return the public form of those enquiries of an account that exist, by id."""
        ...


class Reach(Protocol):
    """Knows whom enquiries would reach."""

    async def takers(self, work: UnitOfWork, channel: Channel) -> Takers:
        """Return who would take an enquiry of a channel that came now; nothing is locked."""
        ...


class RoutingChanges(Protocol):
    """Learns of changes that may move enquiries; what follows happens by timers, afterwards.

    To be told in the transaction of the change, after it.
    """

    async def presence_changed(self, work: UnitOfWork, account_id: str, agent_id: str) -> None:
        """Consider anew the enquiries that wait for an agent, and watch its presence's expiry."""
        ...

    async def destination_changed(
        self, work: UnitOfWork, account_id: str, destination_id: str
    ) -> None:
        """Consider anew what waits for a destination that was paused, resumed or deleted."""
        ...

    async def routing_changed(self, work: UnitOfWork, account_id: str, channel_id: str) -> None:
        """Route anew what waits on a channel whose routing was changed."""
        ...

    async def link_moved(self, work: UnitOfWork, account_id: str, channel_id: str) -> None:
        """Move what runs on a channel to what its link says now."""
        ...

    async def contacts_limit_changed(self, work: UnitOfWork, account_id: str) -> None:
        """Let in who waits outside an account that may have more places now."""
        ...

    async def channel_deleted(self, work: UnitOfWork, account_id: str, channel_id: str) -> None:
        """Close the enquiries of a channel that live."""
        ...


class PartitionOf(Protocol):
    """Knows which partition of the inbound topic carries a contact's events."""

    async def __call__(self, key: str) -> int:
        """Return the partition of a Kafka key.

        Raises:
            NotReadyError: The topic has not been made yet.
        """
        ...
