"""What Meta tells of a Page and its token, and what follows of it.

Shapes: the answers of `debug_token`, `GET /{page}` and `GET /{page}/subscribed_apps`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from pydantic import SecretStr

from gateway.domain.channel import StatusReason
from gateway.errors import UpstreamFailedError
from gateway.meta.error_rules import find_rule

# Without these nothing can be sent, and nothing comes in.
NEEDED_PERMISSIONS: Final = ("pages_messaging", "pages_manage_metadata")
NOT_A_PAGE: Final = "You can only connect Facebook Pages; personal profiles cannot be connected."
MESSAGES: Final = "messages"

_MAX_NAME: Final = 255
_HUMAN_AGENT: Final = "human_agent"
_MAX_SECONDS: Final = 1 << 36
_BAD_TOKEN: Final = 190

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAccess:
    """The Meta app in whose name a Page is connected."""

    app_id: str
    secret: SecretStr
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The Page to be connected, with the Instagram account behind it if that is the source."""

    page_id: str
    token: SecretStr
    instagram_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectedPage:
    """A Page whose token holds and whose events we get.

    `trouble` is why the channel can nevertheless not do all that it should; `human_agent` says that
    the app has that feature here. `expires_at` is when the token, or the consent behind it, ends by
    itself. `resubscribed` says that the subscription was missing, and events may have been missed.
    """

    name: str | None
    subscribed_fields: Sequence[str]
    trouble: StatusReason | None
    human_agent: bool = False
    expires_at: datetime | None = None
    resubscribed: bool = False


class PageRefusedError(Exception):
    """Meta has this Page not for us.

    `code` and `detail` are fit for the caller's eyes; `reason` is what a channel that lives with
    this token suffers from; `field` is the part of the source at fault.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        reason: StatusReason = StatusReason.TOKEN_EXPIRED,
        field: str = "page_access_token",
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.reason = reason
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was seen of a connected Page, each part of it or the error in its place.

    Attributes:
        token: What `debug_token` says.
        page: The Page's own fields; None where they were not asked for.
        found_fields: Which of the Page's fields the app was found subscribed to.
        fields: Which it is subscribed to now.
        resubscribed: Whether it was subscribed again in between.
    """

    token: dict[str, Any] | PageRefusedError | UpstreamFailedError
    page: dict[str, Any] | PageRefusedError | UpstreamFailedError | None = None
    found_fields: Sequence[str] | PageRefusedError | UpstreamFailedError | None = None
    fields: Sequence[str] | PageRefusedError | UpstreamFailedError | None = None
    resubscribed: bool = False

    def judge(self, app: AppAccess, wanted: Wanted) -> ConnectedPage:
        """Return how the Page is.

        Raises:
            PageRefusedError: The token or the Page is not what it has to be any more.
            UpstreamFailedError: Graph did not answer, or not sensibly.
        """
        token = _or_raise(self.token)
        judge_token(token, app_id=app.app_id, page_id=wanted.page_id)
        page = _or_raise(self.page)
        fields = _or_raise(self.fields)
        return connected(token, page, fields, resubscribed=self.resubscribed and MESSAGES in fields)

    def is_sound(self, app: AppAccess, wanted: Wanted) -> bool:
        """Say whether nothing was refused, and Graph answered."""
        try:
            self.judge(app, wanted)
        except (PageRefusedError, UpstreamFailedError):
            return False
        return True

    def lacks(self, expected: Collection[str]) -> bool:
        """Say whether the app was found without one of these fields; no where it is not known."""
        found = self.found_fields
        return isinstance(found, Sequence) and not set(expected) <= set(found)


def connected(
    described: Mapping[str, Any],
    page: Mapping[str, Any],
    fields: Sequence[str],
    *,
    resubscribed: bool = False,
) -> ConnectedPage:
    """Return how a Page is, by what its token and itself say and what the app is subscribed to."""
    name = page.get("name")
    return ConnectedPage(
        name=name[:_MAX_NAME] if isinstance(name, str) else None,
        subscribed_fields=fields,
        trouble=_trouble(page, fields),
        human_agent=_HUMAN_AGENT in (described.get("scopes") or ()),
        expires_at=token_end(described),
        resubscribed=resubscribed,
    )


def _trouble(page: Mapping[str, Any], fields: Sequence[str]) -> StatusReason | None:
    """Return what a Page suffers from; Meta tells of restrictions by refused sends alone."""
    if page.get("is_published") is False:
        return StatusReason.PAGE_UNPUBLISHED
    if page.get("restricted") is True:
        return StatusReason.PAGE_RESTRICTED
    if page.get("messages_allowed") is False:
        return StatusReason.MESSAGES_NOT_ALLOWED
    return None if MESSAGES in fields else StatusReason.SUBSCRIPTION_MISSING


def token_end(described: Mapping[str, Any]) -> datetime | None:
    """Return when a token ends by itself, or else when the consent to the use of data does."""
    for name in ("expires_at", "data_access_expires_at"):
        seconds = described.get(name)
        if type(seconds) is int and 0 < seconds < _MAX_SECONDS:
            return datetime.fromtimestamp(seconds, UTC)
    return None


def judge_token(described: Mapping[str, Any], *, app_id: str, page_id: str) -> None:
    """Pass where `debug_token` says that a token is this Page's, for this app, and alive.

    Raises:
        PageRefusedError: It says otherwise.
    """
    if described.get("is_valid") is not True:
        subcode = _members(described.get("error")).get("subcode")
        rule = find_rule(_BAD_TOKEN, subcode if type(subcode) is int else None)
        reason = None if rule is None else rule.reason
        raise PageRefusedError(
            "invalid-token",
            "Meta does not accept this token." if rule is None else rule.detail,
            reason=reason or StatusReason.TOKEN_EXPIRED,
        )
    if str(described.get("app_id")) != app_id:
        raise foreign_app()
    if described.get("type") != "PAGE":
        raise PageRefusedError("not-a-page", NOT_A_PAGE)
    if described.get("profile_id") is not None and str(described["profile_id"]) != page_id:
        raise PageRefusedError(
            "wrong-page", "This token is of another Page.", reason=StatusReason.PAGE_NOT_GRANTED
        )
    scopes = described.get("scopes")
    missing = [
        name for name in NEEDED_PERMISSIONS if not isinstance(scopes, list) or name not in scopes
    ]
    if missing:
        raise PageRefusedError(
            "permission-missing",
            f"The token lacks the permission {' and '.join(missing)}.",
            reason=StatusReason.PERMISSION_MISSING,
        )
    if page_id not in _granted_pages(described, default=page_id):
        raise PageRefusedError(
            "page-not-granted",
            "The Page is not among those that were granted.",
            reason=StatusReason.PAGE_NOT_GRANTED,
        )


def _granted_pages(described: Mapping[str, Any], *, default: str) -> Sequence[str]:
    """Return the Pages that a token may send for; the default where it is not told."""
    granular = described.get("granular_scopes")
    for each in granular if isinstance(granular, list) else []:
        targets = _members(each).get("target_ids")
        if _members(each).get("scope") == NEEDED_PERMISSIONS[0] and isinstance(targets, list):
            return [str(target) for target in targets]
    return [default]


def foreign_app() -> PageRefusedError:
    """Return the refusal of a token that another Meta app was given."""
    return PageRefusedError("wrong-app", "This token was made for another Meta app.")


def _or_raise(part: _T | PageRefusedError | UpstreamFailedError | None) -> _T:
    if isinstance(part, PageRefusedError | UpstreamFailedError):
        raise part
    assert part is not None
    return part


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
