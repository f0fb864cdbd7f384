"""Connects Pages: what a token is good for, what the Page is, and which of its events we get.

Shapes: `POST /debug_token`, `GET /{page}`, and `POST`, `GET`, `DELETE /{page}/subscribed_apps` of
the Graph API.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from pydantic import SecretStr

from gateway.domain.channel import StatusReason
from gateway.errors import UpstreamFailedError
from gateway.meta.error_rules import find_rule
from gateway.meta.errors import GraphFault
from gateway.meta.graph import PageAccess
from gateway.meta.graph_calls import GraphCalls, GraphRefusedError

# What a Page is subscribed to: every field that is normalised.
PAGE_FIELDS: Final = (
    "messages",
    "message_echoes",
    "message_edits",
    "message_deliveries",
    "message_reads",
    "message_reactions",
    "messaging_postbacks",
    "messaging_optins",
    "messaging_optouts",
    "messaging_referrals",
    "messaging_handovers",
    "standby",
    "messaging_policy_enforcement",
    "messaging_account_linking",
    "messaging_feedback",
    "response_feedback",
    "send_cart",
    "inbox_labels",
    "feed",
    "messaging_appointments",
    "mention",
    "ratings",
)
# Without these nothing can be sent, and nothing comes in.
NEEDED_PERMISSIONS: Final = ("pages_messaging", "pages_manage_metadata")
NOT_A_PAGE: Final = "You can only connect Facebook Pages; personal profiles cannot be connected."

_MAX_NAME: Final = 255
_HUMAN_AGENT: Final = "human_agent"
_MESSAGES: Final = "messages"
_MAX_SECONDS: Final = 1 << 36
_INVALID_PARAMETER: Final = 100
_BAD_TOKEN: Final = 190
_FIELD_REFUSED: Final = frozenset({10, 100, 200})


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


class PageConnector:
    """Makes and ends connections with Pages."""

    def __init__(self, graph: GraphCalls) -> None:
        self._graph = graph

    async def connect(self, app: AppAccess, wanted: Wanted) -> ConnectedPage:
        """Check a token, read its Page, subscribe to it and read that back.

        Raises:
            PageRefusedError: The token or the Page is not what it has to be.
            UpstreamFailedError: Graph did not answer, or not sensibly.
        """
        described = await self._check_token(app, wanted)
        access = PageAccess(
            page_id=wanted.page_id,
            token=wanted.token,
            app_secret=app.secret,
            version=app.version,
        )
        page = await self._read_page(access, wanted)
        await self._subscribe(access)
        fields = await self._subscribed_fields(access, app.app_id)
        return _connected(described, page, fields)

    async def probe(
        self, app: AppAccess, wanted: Wanted, *, expected: Collection[str]
    ) -> ConnectedPage:
        """Look how a connected Page does; subscribe to it again where `expected` fields are gone.

        Raises:
            PageRefusedError: The token or the Page is not what it has to be any more.
            UpstreamFailedError: Graph did not answer, or not sensibly.
        """
        described = await self._check_token(app, wanted)
        access = PageAccess(
            page_id=wanted.page_id,
            token=wanted.token,
            app_secret=app.secret,
            version=app.version,
        )
        page = await self._read_page(access, wanted)
        fields = await self._subscribed_fields(access, app.app_id)
        if not set(expected or (_MESSAGES,)) - set(fields):
            return _connected(described, page, fields)
        try:
            await self._subscribe(access)
        except PageRefusedError:
            # The Page can do all else; who may mend it is told by the channel's status.
            return _connected(described, page, fields)
        fields = await self._subscribed_fields(access, app.app_id)
        return _connected(described, page, fields, resubscribed=_MESSAGES in fields)

    async def disconnect(self, access: PageAccess) -> None:
        """Take the app off a Page.

        Raises:
            PageRefusedError: Meta refused; the token may be dead, and then nothing comes anyway.
            UpstreamFailedError: Graph did not answer, or not sensibly.
        """
        query = {"appsecret_proof": access.proof}
        await self._in_name_of("DELETE", access, "/subscribed_apps", query=query)

    async def _check_token(self, app: AppAccess, wanted: Wanted) -> dict[str, Any]:
        form = {
            "input_token": wanted.token.get_secret_value(),
            "access_token": f"{app.app_id}|{app.secret.get_secret_value()}",
        }
        try:
            answer = await self._graph.call("POST", f"{app.version}/debug_token", form=form)
        except GraphRefusedError as error:
            if error.fault.code == _INVALID_PARAMETER:
                raise _foreign_app() from error
            raise UpstreamFailedError(
                "Meta did not accept the app's own credentials; check its secret."
            ) from error
        described = _members(answer.get("data"))
        judge_token(described, app_id=app.app_id, page_id=wanted.page_id)
        return described

    async def _read_page(self, access: PageAccess, wanted: Wanted) -> dict[str, Any]:
        fields = "id,name,is_published"
        if wanted.instagram_id is not None:
            fields += ",instagram_business_account"
        query = {"fields": fields, "appsecret_proof": access.proof}
        page = await self._in_name_of("GET", access, "", query=query)
        if page.get("id") != wanted.page_id:
            raise PageRefusedError(
                "wrong-page",
                "This token is not of this Page.",
                reason=StatusReason.PAGE_NOT_GRANTED,
            )
        linked = _members(page.get("instagram_business_account")).get("id")
        if wanted.instagram_id is not None and linked != wanted.instagram_id:
            raise PageRefusedError(
                "not-linked",
                "This Instagram account is not linked to the Page.",
                reason=StatusReason.PAGE_NOT_GRANTED,
                field="instagram_id",
            )
        return page

    async def _subscribe(self, access: PageAccess) -> None:
        fields = list(PAGE_FIELDS)
        while fields:
            form = {"subscribed_fields": ",".join(fields), "appsecret_proof": access.proof}
            try:
                await self._graph.call(
                    "POST", self._edge(access, "/subscribed_apps"), form=form, token=access.token
                )
            except GraphRefusedError as error:
                # Meta refuses the whole list for a field that the app has no review for.
                left = [name for name in fields if not _names(error.fault, name)]
                if error.fault.code not in _FIELD_REFUSED or len(left) == len(fields):
                    raise _refusal(error.fault) from error
                fields = left
            else:
                return

    async def _subscribed_fields(self, access: PageAccess, app_id: str) -> Sequence[str]:
        query = {"appsecret_proof": access.proof}
        answer = await self._in_name_of("GET", access, "/subscribed_apps", query=query)
        apps = answer.get("data")
        for app in apps if isinstance(apps, list) else []:
            if str(_members(app).get("id")) == app_id:
                fields = _members(app).get("subscribed_fields")
                return [str(name) for name in fields] if isinstance(fields, list) else []
        return []

    async def _in_name_of(
        self, method: str, access: PageAccess, edge: str, *, query: Mapping[str, str]
    ) -> dict[str, Any]:
        try:
            return await self._graph.call(
                method, self._edge(access, edge), query=query, token=access.token
            )
        except GraphRefusedError as error:
            raise _refusal(error.fault) from error

    def _edge(self, access: PageAccess, edge: str) -> str:
        return f"{access.version}/{quote(access.page_id, safe='')}{edge}"


def _connected(
    described: Mapping[str, Any],
    page: Mapping[str, Any],
    fields: Sequence[str],
    *,
    resubscribed: bool = False,
) -> ConnectedPage:
    name = page.get("name")
    return ConnectedPage(
        name=name[:_MAX_NAME] if isinstance(name, str) else None,
        subscribed_fields=fields,
        trouble=_trouble(page, fields),
        human_agent=_HUMAN_AGENT in (described.get("scopes") or ()),
        expires_at=_end(described),
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
    return None if _MESSAGES in fields else StatusReason.SUBSCRIPTION_MISSING


def _end(described: Mapping[str, Any]) -> datetime | None:
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
        raise _foreign_app()
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


def _names(fault: GraphFault, field: str) -> bool:
    words = fault.message.replace(",", " ").replace("'", " ").replace('"', " ").split()
    return field in [word.strip(".:;()[]") for word in words]


def _refusal(fault: GraphFault) -> PageRefusedError:
    rule = find_rule(fault.code, fault.subcode)
    if rule is None or rule.reason is None:
        return PageRefusedError(
            fault.slug,
            f"Meta refused the Page ({fault.slug}).",
            reason=StatusReason.PAGE_NOT_GRANTED,
        )
    return PageRefusedError(fault.slug, rule.detail, reason=rule.reason)


def _foreign_app() -> PageRefusedError:
    return PageRefusedError("wrong-app", "This token was made for another Meta app.")


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
