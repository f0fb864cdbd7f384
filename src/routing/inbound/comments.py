"""What inbound events tell of comments that may be replied to privately."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from gateway.contracts.moments import from_rfc3339
from gateway.db.channels import Channel
from gateway.db.comments import Comment
from routing.inbound.arrivals import COMMENT, Arrival

_REMOVED: Final = "remove"


def comments_in(owned: Iterable[tuple[Arrival, Channel]]) -> list[Comment]:
    """Return the comments that some events tell of: when each was written, and by whom."""
    return [
        Comment(
            account_id=channel.account_id,
            channel_id=channel.id,
            comment_id=arrival.event.data["id"],
            author_id=arrival.writer_id(),
            commented_at=_written_at(arrival),
        )
        for arrival, channel in owned
        if arrival.event.type == COMMENT and arrival.event.data.get("verb") != _REMOVED
    ]


def _written_at(arrival: Arrival) -> datetime:
    told = arrival.event.data.get("created_at")
    return arrival.event.occurred_at if told is None else from_rfc3339(told)
