"""The checks of a diagnosis that are about traffic: what comes in, goes out, and who takes it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.domain.channel import ChannelKind, has_window
from gateway.domain.conversation import WindowState, window_at
from gateway.domain.diagnosis import Check, Unseen, failed, minute_of, ok, unknown, warning

_WRITE_ONCE: Final = (
    "Write to the Page as somebody who has no role on it. If nothing comes in, see the webhook's "
    "address, verify token and fields in the Meta app, and that the app is live."
)
_POST_ONCE: Final = "Let the third party post a message to the channel's incoming address."


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficFacts:
    """What was seen of a channel's conversations.

    Attributes:
        last_event_at: When an event happened last that reached the gateway.
        last_action_at: When a contact last did what opens the messaging window.
        other_apps: How many threads another app holds now.
        inboxes: How many threads people in the Page's inbox hold now.
    """

    kind: ChannelKind
    now: datetime
    human_agent: bool
    last_event_at: datetime | None
    last_action_at: datetime | None
    other_apps: int
    inboxes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Takers:
    """Who would take an enquiry that came now.

    Attributes:
        ready: Somebody would be asked, or would take it, at once.
        waiting: It would wait for somebody, and not be missed at once.
        words: The same in a sentence or two.
    """

    ready: bool
    waiting: bool
    words: str


def traffic_checks(facts: TrafficFacts, takers: Takers) -> Iterator[Check]:
    """Yield what comes in, whose the threads are, what may go out, and who takes enquiries."""
    yield _last_webhook(facts)
    if has_window(facts.kind):
        yield _thread_owner(facts)
        yield _window(facts)
    yield _destinations(takers)


def _last_webhook(facts: TrafficFacts) -> Check:
    check = "last_webhook"
    if facts.last_event_at is not None:
        return ok(check, f"The latest event that came in is from {minute_of(facts.last_event_at)}.")
    remedy = _WRITE_ONCE if has_window(facts.kind) else _POST_ONCE
    return unknown(check, Unseen("Nothing has come in from a contact yet.", remedy))


def _thread_owner(facts: TrafficFacts) -> Check:
    check = "thread_owner"
    if facts.other_apps:
        seen = f"Another app holds {_threads(facts.other_apps)} of this channel."
        remedy = (
            "Take such a thread (`take_thread` with a message, or the conversation's "
            "thread-control), or make this app the Page's default in its messaging settings."
        )
        return warning(check, seen, remedy)
    if facts.inboxes:
        return ok(
            check, f"People in the Page's inbox hold {_threads(facts.inboxes)}; no other app."
        )
    return ok(check, "No other app holds a thread of this channel.")


def _window(facts: TrafficFacts) -> Check:
    check, acted_at = "window", facts.last_action_at
    if acted_at is None:
        why = "No contact has written yet; nobody can be written to before."
        return unknown(check, Unseen(why, "Write to the Page as somebody who has no role on it."))
    window = window_at(
        facts.now, kind=facts.kind, last_action_at=acted_at, human_agent=facts.human_agent
    )
    wrote = f"The contact who wrote last did so on {minute_of(acted_at)}"
    wait = "Wait until a contact writes again."
    match window.state:
        case WindowState.OPEN:
            assert window.open_until is not None
            return ok(check, f"{wrote} and can be answered until {minute_of(window.open_until)}.")
        case WindowState.HUMAN_AGENT:
            return warning(check, f"{wrote}; only agents can answer, with HUMAN_AGENT.", wait)
        case WindowState.CLOSED:
            return warning(check, f"{wrote}; nobody can be written to now.", wait)


def _destinations(takers: Takers) -> Check:
    check = "destinations"
    if takers.ready:
        return ok(check, takers.words)
    remedy = (
        "Set an agent who serves the channel active, resume the endpoint, or change the channel's "
        "routing or link."
    )
    return (warning if takers.waiting else failed)(check, takers.words, remedy)


def _threads(many: int) -> str:
    return "one thread" if many == 1 else f"{many} threads"
