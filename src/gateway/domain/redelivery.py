"""Doing a delivery again: whether it can be, and how."""

from enum import StrEnum
from typing import Final

from gateway.domain.delivery import DeliveryKind, DeliveryStatus

_SETTLED: Final = (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.CANCELLED)


class How(StrEnum):
    """How a delivery is done again."""

    # It begins anew, with the whole schedule.
    AGAIN = "again"
    # It waits for its next attempt, and has it now.
    AT_ONCE = "at_once"


class WhyNot(StrEnum):
    """Why it cannot be done again, in words for who asked."""

    IS_MESSAGE = "Messages are sent again by POST /v1/messages/{id}/resend."
    NO_ENDPOINT = "The endpoint has been deleted."
    NO_EVENT = "The event is not kept any more."
    UNDER_WAY = "An attempt is under way."


def how_to_redeliver(
    kind: DeliveryKind, status: DeliveryStatus, *, has_endpoint: bool, has_event: bool
) -> How | WhyNot:
    """Decide whether and how a delivery can be done again."""
    if kind is not DeliveryKind.EVENT:
        return WhyNot.IS_MESSAGE
    if not has_endpoint:
        return WhyNot.NO_ENDPOINT
    if not has_event:
        return WhyNot.NO_EVENT
    if status in _SETTLED:
        return How.AGAIN
    return How.AT_ONCE if status is DeliveryStatus.PENDING else WhyNot.UNDER_WAY
