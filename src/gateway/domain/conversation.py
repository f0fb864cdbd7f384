"""The messaging window, computed from the events' own timestamps."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from gateway.domain.channel import ChannelKind, has_window

STANDARD_WINDOW: Final = timedelta(hours=24)
HUMAN_AGENT_WINDOW: Final = timedelta(days=7)
PRIVATE_REPLY_WINDOW: Final = timedelta(days=7)
THREAD_OWNERSHIP: Final = timedelta(hours=24)
# What the inboxes for people call themselves as apps: the Page's, which Meta prints in two ways,
# and Instagram's.
PAGE_INBOX_APP: Final = "263902037430900"
INSTAGRAM_INBOX_APP: Final = "1217981644879628"
INBOX_APPS: Final = frozenset({PAGE_INBOX_APP, "26390203743090", INSTAGRAM_INBOX_APP})
_COMMENTER: Final = "comment."
WINDOW_CLOSED_SENTENCE: Final = (
    "Sorry, your message can no longer send; the 24-hour message window has lapsed. "
    "Close this enquiry, or wait until the visitor sends a message again."
)


class WindowState(StrEnum):
    """What may be sent to a contact now."""

    OPEN = "open"
    HUMAN_AGENT = "human_agent"
    CLOSED = "closed"


class ThreadOwner(StrEnum):
    """Who holds the thread at the platform."""

    US = "us"
    OTHER_APP = "other_app"
    PAGE_INBOX = "page_inbox"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Window:
    """A conversation's messaging window at one moment."""

    state: WindowState
    open_until: datetime | None
    human_agent_until: datetime | None


def window_at(
    now: datetime, *, kind: ChannelKind, last_action_at: datetime | None, human_agent: bool
) -> Window:
    """Return the window at a moment, from the contact's last qualifying action.

    The window is open up to and including 24 hours after the action; HUMAN_AGENT, where the Page
    has it, up to seven days. Third-party channels have no window and are always open.
    """
    if not has_window(kind):
        return Window(WindowState.OPEN, None, None)
    if last_action_at is None:
        return Window(WindowState.CLOSED, None, None)
    open_until = last_action_at + STANDARD_WINDOW
    human_agent_until = last_action_at + HUMAN_AGENT_WINDOW if human_agent else None
    if now <= open_until:
        state = WindowState.OPEN
    elif human_agent_until is not None and now <= human_agent_until:
        state = WindowState.HUMAN_AGENT
    else:
        state = WindowState.CLOSED
    return Window(state, open_until, human_agent_until)


def thread_owner_at(now: datetime, owner: ThreadOwner, since: datetime | None) -> ThreadOwner:
    """Return who owns the thread now; ownership falls back to idle after 24 hours.

    `since` is when the owner last showed.
    """
    if owner is ThreadOwner.IDLE or since is None:
        return owner
    return owner if now < since + THREAD_OWNERSHIP else ThreadOwner.IDLE


def inbox_of(kind: ChannelKind) -> str:
    """Return what the inbox for people calls itself as an app."""
    return INSTAGRAM_INBOX_APP if kind is ChannelKind.INSTAGRAM else PAGE_INBOX_APP


def owner_named(app_id: str, *, ours: str | None) -> ThreadOwner:
    """Return what an app is to a thread: we, an inbox for people, or another."""
    if app_id == ours:
        return ThreadOwner.US
    return ThreadOwner.PAGE_INBOX if app_id in INBOX_APPS else ThreadOwner.OTHER_APP


def commenter_name(comment_id: str) -> str:
    """Return what a contact goes by of whom only a comment is known."""
    return f"{_COMMENTER}{comment_id}"


def comment_of(source_contact_id: str) -> str | None:
    """Return the comment by which alone a contact is known; None for those who have an id."""
    if not source_contact_id.startswith(_COMMENTER):
        return None
    return source_contact_id.removeprefix(_COMMENTER)
