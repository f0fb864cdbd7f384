"""Connects Pages: what a token is good for, what the Page is, and which of its events we get.

Shapes: `POST /debug_token`, `GET /{page}`, and `POST`, `GET`, `DELETE /{page}/subscribed_apps` of
the Graph API.
"""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar
from urllib.parse import quote

from gateway.domain.channel import StatusReason
from gateway.errors import UpstreamFailedError
from gateway.meta.error_rules import find_rule
from gateway.meta.errors import GraphFault
from gateway.meta.graph import PageAccess
from gateway.meta.graph_calls import GraphCalls, GraphRefusedError
from gateway.meta.page_findings import (
    MESSAGES,
    AppAccess,
    ConnectedPage,
    Inspection,
    PageRefusedError,
    Wanted,
    connected,
    foreign_app,
    judge_token,
)

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

_INVALID_PARAMETER: Final = 100
_FIELD_REFUSED: Final = frozenset({10, 100, 200})

_T = TypeVar("_T")


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
        return connected(described, page, fields)

    async def probe(
        self, app: AppAccess, wanted: Wanted, *, expected: Collection[str]
    ) -> ConnectedPage:
        """Look how a connected Page does; subscribe to it again where `expected` fields are gone.

        Raises:
            PageRefusedError: The token or the Page is not what it has to be any more.
            UpstreamFailedError: Graph did not answer, or not sensibly.
        """
        inspection = await self.inspect(app, wanted, expected=expected)
        return inspection.judge(app, wanted)

    async def inspect(
        self, app: AppAccess, wanted: Wanted, *, expected: Collection[str]
    ) -> Inspection:
        """Probe a connected Page, and return all that was seen on the way.

        Nothing more is asked with a token that Meta refuses, nor once Graph was silent.
        """
        token = await _tried(self._describe_token(app, wanted))
        if isinstance(token, Exception) or token.get("is_valid") is not True:
            return Inspection(token=token)
        access = PageAccess(
            page_id=wanted.page_id,
            token=wanted.token,
            app_secret=app.secret,
            version=app.version,
        )
        page = await _tried(self._read_page(access, wanted))
        if isinstance(page, UpstreamFailedError):
            return Inspection(token=token, page=page)
        found = await _tried(self._subscribed_fields(access, app.app_id))
        seen = Inspection(token=token, page=page, found_fields=found, fields=found)
        if seen.is_sound(app, wanted) and seen.lacks(expected or (MESSAGES,)):
            return await self._subscribed_again(access, app, seen)
        return seen

    async def disconnect(self, access: PageAccess) -> None:
        """Take the app off a Page.

        Raises:
            PageRefusedError: Meta refused; the token may be dead, and then nothing comes anyway.
            UpstreamFailedError: Graph did not answer, or not sensibly.
        """
        query = {"appsecret_proof": access.proof}
        await self._in_name_of("DELETE", access, "/subscribed_apps", query=query)

    async def _check_token(self, app: AppAccess, wanted: Wanted) -> dict[str, Any]:
        described = await self._describe_token(app, wanted)
        judge_token(described, app_id=app.app_id, page_id=wanted.page_id)
        return described

    async def _describe_token(self, app: AppAccess, wanted: Wanted) -> dict[str, Any]:
        form = {
            "input_token": wanted.token.get_secret_value(),
            "access_token": f"{app.app_id}|{app.secret.get_secret_value()}",
        }
        try:
            answer = await self._graph.call("POST", f"{app.version}/debug_token", form=form)
        except GraphRefusedError as error:
            if error.fault.code == _INVALID_PARAMETER:
                raise foreign_app() from error
            raise UpstreamFailedError(
                "Meta did not accept the app's own credentials; check its secret."
            ) from error
        return _members(answer.get("data"))

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

    async def _subscribed_again(
        self, access: PageAccess, app: AppAccess, seen: Inspection
    ) -> Inspection:
        try:
            await self._subscribe(access)
        except PageRefusedError:
            # The Page can do all else; who may mend it is told by the channel's status.
            return seen
        except UpstreamFailedError as error:
            return replace(seen, fields=error)
        fields = await _tried(self._subscribed_fields(access, app.app_id))
        return replace(seen, fields=fields, resubscribed=True)

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


async def _tried(answer: Awaitable[_T]) -> _T | PageRefusedError | UpstreamFailedError:
    try:
        return await answer
    except (PageRefusedError, UpstreamFailedError) as error:
        return error


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


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
