"""Reads what a diagnosis has to know out of what Meta tells of a Page."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.diagnosis import ASK_LATER, Unseen
from gateway.domain.page_checks import PageState, SubscriptionFacts, TokenFacts
from gateway.errors import UpstreamFailedError
from gateway.meta.page_findings import Inspection, PageRefusedError, token_end
from gateway.meta.pages import PAGE_FIELDS

_SEE_ACCESS: Final = "See the checks of the token and the permissions first."
_NOT_ASKED: Final = Unseen("Meta was not asked, because it refused the token.", _SEE_ACCESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFacts:
    """What is known of a Page, each part or why it is not; no token: the channel has none."""

    token: TokenFacts | Unseen | None
    page: PageState | Unseen
    subscription: SubscriptionFacts | Unseen


def facts_of(inspection: Inspection, *, page_id: str, expected: Collection[str]) -> SeenFacts:
    """Return what an inspection of a Page has found.

    Args:
        inspection: What was seen.
        page_id: The Page that the token should be for.
        expected: The fields that the app was subscribed to before.
    """
    token, page = inspection.token, inspection.page
    found, now = inspection.found_fields, inspection.fields
    if isinstance(found, Exception) or found is None:
        subscription: SubscriptionFacts | Unseen = _unseen(found, silent=_silence_of(inspection))
    elif isinstance(now, Exception) or now is None:
        subscription = _unseen(now, silent=None)
    else:
        subscription = SubscriptionFacts(
            wanted=PAGE_FIELDS, expected=expected, found=found, now=now
        )
    return SeenFacts(
        token=_unseen(token, silent=None)
        if isinstance(token, Exception)
        else _token(token, page_id),
        page=_unseen(page, silent=_silence_of(inspection))
        if isinstance(page, Exception) or page is None
        else _state(page),
        subscription=subscription,
    )


def nothing_seen(why: Unseen) -> SeenFacts:
    """Return what is known of a Page that Meta could not be asked about."""
    return SeenFacts(token=why, page=why, subscription=why)


def _silence_of(inspection: Inspection) -> UpstreamFailedError | None:
    """Return how Meta fell silent, after which nothing more was asked."""
    parts = (inspection.token, inspection.page)
    return next((each for each in parts if isinstance(each, UpstreamFailedError)), None)


def _unseen(
    error: PageRefusedError | UpstreamFailedError | None, *, silent: UpstreamFailedError | None
) -> Unseen:
    match error or silent:
        case PageRefusedError() as refused:
            return Unseen(f"Meta did not tell: {refused.detail}", _SEE_ACCESS)
        case UpstreamFailedError() as failed:
            return Unseen(str(failed), ASK_LATER)
        case None:
            return _NOT_ASKED


def _token(described: Mapping[str, Any], page_id: str) -> TokenFacts:
    named = described.get("scopes")
    scopes = {each for each in named if isinstance(each, str)} if isinstance(named, list) else set()
    elsewhere = scopes & set(_only_elsewhere(described, page_id))
    return TokenFacts(
        alive=described.get("is_valid") is True,
        granted=frozenset(scopes - elsewhere),
        elsewhere=frozenset(elsewhere),
        ends_at=token_end(described),
    )


def _only_elsewhere(described: Mapping[str, Any], page_id: str) -> Iterator[str]:
    """Yield the permissions that name the Pages they are for, and do not name this one."""
    granular = described.get("granular_scopes")
    for each in granular if isinstance(granular, list) else []:
        targets = each.get("target_ids") if isinstance(each, dict) else None
        scope = each.get("scope") if isinstance(each, dict) else None
        # Those of Instagram name its accounts.
        of_pages = isinstance(scope, str) and scope.startswith("pages_")
        if of_pages and isinstance(targets, list) and page_id not in map(str, targets):
            yield str(scope)


def _state(page: Mapping[str, Any]) -> PageState:
    return PageState(
        published=_flag(page, "is_published"),
        restricted=_flag(page, "restricted"),
        under_review=_flag(page, "under_review"),
        messages_allowed=_flag(page, "messages_allowed"),
    )


def _flag(page: Mapping[str, Any], name: str) -> bool | None:
    value = page.get(name)
    return value if isinstance(value, bool) else None
