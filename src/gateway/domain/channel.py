"""What a channel is, what its kind can do, and when its sends are held."""

from enum import StrEnum
from typing import Final


class ChannelKind(StrEnum):
    """What a channel is fed by."""

    MESSENGER = "messenger"
    INSTAGRAM = "instagram"
    THIRD_PARTY = "third_party"


class ChannelStatus(StrEnum):
    """Where a channel stands."""

    ACTIVE = "active"
    DEGRADED = "degraded"
    DISCONNECTED = "disconnected"
    SUSPENDED = "suspended"
    DELETED = "deleted"


class StatusReason(StrEnum):
    """Why a channel is degraded or disconnected; `hold.reason` uses the same words."""

    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a reason, not a secret
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a reason, not a secret
    APP_REMOVED = "app_removed"
    PERMISSION_MISSING = "permission_missing"
    PAGE_NOT_GRANTED = "page_not_granted"
    ROLE_LOST = "role_lost"
    PAGE_UNPUBLISHED = "page_unpublished"
    PAGE_RESTRICTED = "page_restricted"
    MESSAGES_NOT_ALLOWED = "messages_not_allowed"
    SUBSCRIPTION_MISSING = "subscription_missing"
    CHALLENGE_FAILED = "challenge_failed"


def status_with(trouble: StatusReason | None) -> ChannelStatus:
    """Return the status of a channel whose source holds, but for some trouble if it has any."""
    return ChannelStatus.ACTIVE if trouble is None else ChannelStatus.DEGRADED


_HOLD_WHILE_DEGRADED: Final = frozenset(
    {StatusReason.PAGE_UNPUBLISHED, StatusReason.PAGE_RESTRICTED, StatusReason.CHALLENGE_FAILED}
)


def hold_reason(
    status: ChannelStatus, reason: StatusReason | None, *, on_suspend: str = "keep"
) -> str | None:
    """Return why a channel's messages wait unsent, or None when they may leave.

    A suspended channel that keeps its messages holds them with the reason `suspended`.
    """
    match status:
        case ChannelStatus.DISCONNECTED:
            return (reason or StatusReason.TOKEN_EXPIRED).value
        case ChannelStatus.DEGRADED if reason in _HOLD_WHILE_DEGRADED:
            return reason.value
        case ChannelStatus.SUSPENDED if on_suspend == "keep":
            return "suspended"
        case _:
            return None


def has_window(kind: ChannelKind) -> bool:
    """Say whether the platform closes a messaging window on this kind of channel."""
    return kind is not ChannelKind.THIRD_PARTY


def platform_text_limit(kind: ChannelKind) -> int:
    """Return the most characters that a text may have: Messenger 2,000, Instagram 1,000."""
    return 1000 if kind is ChannelKind.INSTAGRAM else 2000
