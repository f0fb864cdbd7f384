"""The checks of a diagnosis that are about a Page: what Meta tells of it, and what that means.

They are the steps that people are asked to go through when a Page is silent, in the same order.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.domain.channel import StatusReason
from gateway.domain.channel_reasons import REASONS
from gateway.domain.diagnosis import (
    Check,
    Unseen,
    failed,
    minute_of,
    ok,
    unknown,
    warning,
)
from gateway.domain.login import INSTAGRAM_PERMISSIONS, PERMISSIONS, Permission
from gateway.domain.token_warnings import WARNINGS

# Meta looks at new Pages and at those under review for so long.
_REVIEW: Final = timedelta(hours=48)
_WAIT_FOR_REVIEW: Final = "Wait 24 to 48 hours, then write to the Page once more."
_SEND_TELLS: Final = "See the Page's quality in Meta Business Suite; a refused send shows here."
_BY_US_ALONE: Final = (
    "Take the app off the Page in the Page's settings at Facebook, then re-authenticate the "
    "channel here; connect Pages through the gateway alone."
)
_TICK: Final = (
    "Re-authenticate the channel and tick the Page; or, on Facebook, open Settings, Business "
    "Integrations, this app, “View and edit”, and tick it there."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """What a token is good for.

    Attributes:
        alive: Whether Meta accepts it at all.
        granted: The permissions that it has for this Page.
        elsewhere: The permissions that it has, but for other Pages alone.
        ends_at: When it, or the consent behind it, ends by itself.
    """

    alive: bool
    granted: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageState:
    """What a Page says of itself; None where it does not."""

    published: bool | None = None
    restricted: bool | None = None
    under_review: bool | None = None
    messages_allowed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionFacts:
    """Which of a Page's fields the app gets.

    Attributes:
        wanted: All that the gateway understands.
        expected: Those that it got when the Page was connected or looked at last.
        found: Those that it was found with.
        now: Those that it has now.
    """

    wanted: Sequence[str]
    expected: Collection[str]
    found: Collection[str]
    now: Collection[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why Meta has the Page not for us."""

    reason: StatusReason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFacts:
    """All that a diagnosis knows of a Page.

    Attributes:
        token: Unseen where Meta did not say, None where the channel has none.
        refusal: Why Meta has the Page not for us, if it has not.
        was: What the channel suffered from before the diagnosis.
        reason: What it suffers from now.
        by_login: Whether a person's login stands behind the token.
        instagram: Whether the channel is an Instagram account's.
        connected_at: When the channel was connected.
        last_event_at: When an event of it happened last that reached the gateway.
        changed_at: When the channel's own state changed last.
    """

    now: datetime
    token: TokenFacts | Unseen | None
    page: PageState | Unseen
    subscription: SubscriptionFacts | Unseen
    refusal: Refusal | None
    was: StatusReason | None
    reason: StatusReason | None
    by_login: bool
    instagram: bool
    connected_at: datetime
    last_event_at: datetime | None
    changed_at: datetime


def state_checks(facts: PageFacts) -> Iterator[Check]:
    """Yield how the Page is: published, restricted, under review, open to messages."""
    yield _published(facts.page)
    yield _told_or_shown(
        "page_restricted",
        facts,
        trouble=StatusReason.PAGE_RESTRICTED,
        told=None if isinstance(facts.page, Unseen) else facts.page.restricted,
        fine="Meta does not restrict the Page.",
    )
    yield _under_review(facts)
    allowed = None if isinstance(facts.page, Unseen) else facts.page.messages_allowed
    yield _told_or_shown(
        "message_access",
        facts,
        trouble=StatusReason.MESSAGES_NOT_ALLOWED,
        told=None if allowed is None else not allowed,
        fine="People may write to the Page, and apps may read it.",
    )


def access_checks(facts: PageFacts) -> Iterator[Check]:
    """Yield what the gateway may do: the permissions, the token, the subscription."""
    wanted: Mapping[str, Permission] = PERMISSIONS
    if facts.instagram:
        wanted = {**PERMISSIONS, **INSTAGRAM_PERMISSIONS}
    for permission in wanted.values():
        yield _permission(permission, facts.token)
    yield _token(facts)
    yield _subscription(facts.subscription)


def integration_checks(facts: PageFacts) -> Iterator[Check]:
    """Yield how the Page came to be connected, and whether it still is at Facebook."""
    yield _business_integration(facts)
    yield _connected_by_hand(facts)


def _published(page: PageState | Unseen) -> Check:
    check = "page_published"
    if isinstance(page, Unseen):
        return unknown(check, page)
    match page.published:
        case True:
            return ok(check, "The Page is published.")
        case False:
            return failed(check, *REASONS[StatusReason.PAGE_UNPUBLISHED])
        case None:
            return unknown(
                check,
                Unseen("Meta does not tell.", "Look whether the Page can be seen on Facebook."),
            )


def _told_or_shown(
    check: str, facts: PageFacts, *, trouble: StatusReason, told: bool | None, fine: str
) -> Check:
    """Return a check of what Pages of the sandbox tell, and Meta's by refusing sends alone."""
    detail, remedy = REASONS[trouble]
    if told is True:
        return failed(check, detail, remedy)
    if told is False:
        return ok(check, fine)
    if facts.was is trouble:
        seen = f"{detail} A refused send showed it; the next one shows whether it lasts."
        return failed(check, seen, remedy)
    if isinstance(facts.page, Unseen):
        return unknown(check, facts.page)
    why = "Meta tells of it by refusing sends alone, and has refused none."
    return unknown(check, Unseen(why, _SEND_TELLS))


def _under_review(facts: PageFacts) -> Check:
    check = "page_under_review"
    told = None if isinstance(facts.page, Unseen) else facts.page.under_review
    if told is True:
        return warning(check, "Meta is reviewing the Page.", _WAIT_FOR_REVIEW)
    if told is False:
        return ok(check, "The Page is not under review.")
    if facts.last_event_at is not None:
        return ok(check, "Events of the Page come in, so it is not held back by a review.")
    if facts.now - facts.connected_at < _REVIEW:
        seen = "The Page was connected less than 48 hours ago, and nothing has come in yet."
        return warning(check, seen, _WAIT_FOR_REVIEW)
    return unknown(check, Unseen("Meta does not tell.", _WAIT_FOR_REVIEW))


def _permission(permission: Permission, token: TokenFacts | Unseen | None) -> Check:
    check, name = f"permission.{permission.permission}", f"“{permission.name}”"
    if token is None or isinstance(token, Unseen):
        return unknown(check, token or _NO_TOKEN)
    if not token.alive:
        why = "Meta does not tell what a token may do that it no longer accepts."
        return unknown(check, Unseen(why, "Re-authenticate the channel first."))
    if permission.permission in token.granted:
        return ok(check, f"{name} is granted.")
    if permission.permission in token.elsewhere:
        return failed(check, f"{name} is granted, but not for this Page.", _TICK)
    return failed(check, f"{name} is not granted.", permission.remedy)


def _token(facts: PageFacts) -> Check:
    check, token, refusal = "token", facts.token, facts.refusal
    if token is None:
        reason = facts.reason
        remedy = _NO_TOKEN.remedy if reason is None else REASONS[reason][1]
        return failed(check, _NO_TOKEN.why, remedy)
    if isinstance(token, Unseen):
        return unknown(check, token)
    # What a permission lacks is told by its own check; the token itself is good.
    if refusal is not None and refusal.reason is not StatusReason.PERMISSION_MISSING:
        return failed(check, refusal.detail, REASONS[refusal.reason][1])
    return _end_of_token(check, token.ends_at, now=facts.now)


def _end_of_token(check: str, ends_at: datetime | None, *, now: datetime) -> Check:
    if ends_at is None:
        return ok(check, "Meta accepts the token, and tells no end of it.")
    seen = f"Meta accepts the token; access ends on {minute_of(ends_at)}."
    if ends_at - now <= timedelta(days=max(WARNINGS)):
        return warning(check, seen, "Re-authenticate the channel before then.")
    return ok(check, seen)


def _subscription(facts: SubscriptionFacts | Unseen) -> Check:
    check = "subscription"
    if isinstance(facts, Unseen):
        return unknown(check, facts)
    if "messages" not in facts.now:
        return failed(check, *REASONS[StatusReason.SUBSCRIPTION_MISSING])
    again = [name for name in facts.wanted if name in facts.now and name not in facts.found]
    if again:
        seen = f"The app was not subscribed to {_listed(again)}; it has just been subscribed again."
        remedy = (
            "Nothing for now: what was missed is fetched. If it is gone again later, look who "
            "takes the app off the Page."
        )
        return warning(check, seen, remedy)
    refused = [name for name in facts.wanted if name not in facts.now]
    if refused:
        seen = f"The app gets {_counted(facts)} fields of the Page, but not {_listed(refused)}."
        return warning(check, seen, "Ask Meta's App Review for what these fields need.")
    return ok(check, f"The app gets all {len(facts.wanted)} fields of the Page.")


def _business_integration(facts: PageFacts) -> Check:
    check, refusal = "business_integration", facts.refusal
    removed = StatusReason.APP_REMOVED in (facts.reason, refusal and refusal.reason)
    if removed:
        return failed(check, *REASONS[StatusReason.APP_REMOVED])
    if refusal is not None and refusal.reason is StatusReason.PAGE_NOT_GRANTED:
        return failed(check, "The app's Business Integration does not have this Page.", _TICK)
    if facts.token is None or isinstance(facts.token, Unseen):
        return unknown(check, facts.token or _NO_TOKEN)
    if not facts.token.alive:
        why = "Meta does not tell, because it no longer accepts the token."
        return unknown(check, Unseen(why, "Re-authenticate the channel first."))
    return ok(check, "The app is among the Business Integrations, and may use this Page.")


def _connected_by_hand(facts: PageFacts) -> Check:
    check, subscription = "connected_by_hand", facts.subscription
    if _came_without_us(facts):
        assert facts.last_event_at is not None
        seen = (
            f"The app was removed here, yet an event of the Page came in from "
            f"{minute_of(facts.last_event_at)}: the app was put back on the Page at Facebook."
        )
        return failed(check, seen, _BY_US_ALONE)
    if isinstance(subscription, Unseen):
        return unknown(check, subscription)
    lost = set(subscription.expected) - set(subscription.found)
    if lost and subscription.found:
        seen = (
            f"The app was found with {len(subscription.found)} of the {len(subscription.expected)} "
            "fields that the gateway had subscribed: it was connected at Facebook by hand since."
        )
        return warning(check, seen, _BY_US_ALONE)
    if facts.by_login:
        return ok(check, "The Page was connected through the gateway, by Facebook Login.")
    return ok(check, "The Page was connected through the gateway, with a token given to it.")


def _came_without_us(facts: PageFacts) -> bool:
    """Say whether events go on to come although whoever connected the Page removed the app."""
    gone = facts.token is None and facts.reason is StatusReason.APP_REMOVED
    last = facts.last_event_at
    return gone and last is not None and last > facts.changed_at


def _counted(facts: SubscriptionFacts) -> str:
    return f"{len(set(facts.wanted) & set(facts.now))} of {len(facts.wanted)}"


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


_NO_TOKEN: Final = Unseen(
    "The channel has no token to ask Meta with.",
    "Connect the Page again: re-authenticate the channel, or give it a Page token.",
)
