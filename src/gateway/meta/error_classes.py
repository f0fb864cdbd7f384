"""What an error of Graph's can ask of the sender."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.channel import ChannelStatus, StatusReason, hold_reason


class GraphClass(StrEnum):
    """What a Graph error asks of the sender."""

    RETRY = "retry"
    THROTTLE = "throttle"
    REAUTHENTICATE = "reauthenticate"
    WINDOW = "window"
    PERMANENT = "permanent"


@dataclass(frozen=True, slots=True)
class GraphRule:
    """What one code means.

    Attributes:
        graph_class: What it asks of the sender.
        detail: What happened, for the person who sent the message.
        remedy: What that person can do.
        status: The status that the channel takes, with `reason`, where it is at fault.
        tries: How many attempts a retry makes in all; None: until the deadline.
        wide: The limit is the app's, not the Page's.
    """

    graph_class: GraphClass
    detail: str
    remedy: str
    status: ChannelStatus | None = None
    reason: StatusReason | None = None
    tries: int | None = None
    wide: bool = False

    @property
    def retried(self) -> bool:
        """Whether the same message is tried again by itself."""
        return self.graph_class in (GraphClass.RETRY, GraphClass.THROTTLE)

    @property
    def holds(self) -> bool:
        """Whether the channel's messages, this one included, wait until the channel is well."""
        return self.status is not None and hold_reason(self.status, self.reason) is not None
