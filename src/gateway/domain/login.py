"""Facebook Login: what a grant must hold, and which of its Pages can be connected."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

# How long a dialog may stay open.
STATE_LIFE: Final = timedelta(minutes=10)
# How long a person may take to choose Pages on our page.
GRANT_LIFE: Final = timedelta(hours=1)


class LoginState(StrEnum):
    """Where a login stands."""

    STARTED = "started"
    GRANTED = "granted"
    DENIED = "denied"
    FAILED = "failed"
    EXPIRED = "expired"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission that channels need, in the words of Meta's dialog, and how to give it."""

    permission: str
    name: str
    remedy: str


def _permission(permission: str, name: str) -> Permission:
    remedy = (
        f"Ask again and leave “{name}” switched on. Or, on Facebook, open Settings, Business "
        "Integrations, this app, “View and edit”, and switch it on there; or remove the "
        "integration and connect again."
    )
    return Permission(permission, name, remedy)


PERMISSIONS: Final[Mapping[str, Permission]] = {
    each.permission: each
    for each in (
        _permission("pages_messaging", "Manage and access Page conversations in Messenger"),
        _permission("pages_show_list", "Show a list of the Pages you manage"),
        _permission("pages_read_engagement", "Read content posted on the Page"),
        _permission("pages_manage_metadata", "Manage accounts, settings, and webhooks for a Page"),
    )
}
INSTAGRAM_PERMISSIONS: Final[Mapping[str, Permission]] = {
    each.permission: each
    for each in (
        _permission("instagram_basic", "Access profile and posts of the Instagram account"),
        _permission("instagram_manage_messages", "Manage and access conversations on Instagram"),
    )
}
# Asked for as well: Pages of businesses are found by it. Nobody is bothered who declines it.
WISHED: Final = ("business_management",)

_SENDS: Final = "MESSAGING"
_SUBSCRIBES: Final = frozenset({"MODERATE", "MANAGE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedPage:
    """A Page that a person granted, and the tasks that they may do on it."""

    page_id: str
    name: str
    tasks: Sequence[str]
    instagram_id: str | None = None


def missing_permissions(scopes: Collection[str]) -> list[Permission]:
    """Return which of the four permissions a grant lacks, in the order in which they are asked."""
    return [each for each in PERMISSIONS.values() if each.permission not in scopes]


def why_not_connectable(page: GrantedPage, *, taken: bool, scopes: Collection[str]) -> str | None:
    """Return why a Page cannot be connected, in a sentence; None where it can.

    `taken` says that another account has it. What a channel of the same account has can be
    chosen: it is connected already, and the caller says so.
    """
    if taken:
        return "This Page is connected to a channel of another account."
    if _SENDS not in page.tasks:
        return "Your role on this Page may not send messages: it lacks the task Messages."
    if _SUBSCRIBES.isdisjoint(page.tasks):
        return "Your role on this Page may not connect apps: it lacks the tasks of a moderator."
    missing = missing_permissions(scopes)
    if missing:
        return f"A permission is missing: {missing[0].name}."
    return None
