"""Facebook Login: the dialog's address, and what is asked of Graph once a person has said yes.

Shapes: "Manually Build a Login Flow", "Get Long-Lived Tokens", `debug_token` and `/me/accounts` of
Meta's documentation. Secrets travel in headers and forms, never in an address.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

from pydantic import SecretStr

from gateway.domain.login import INSTAGRAM_PERMISSIONS, PERMISSIONS, WISHED, GrantedPage
from gateway.errors import UpstreamFailedError
from gateway.meta.graph_calls import GraphCalls, GraphRefusedError
from gateway.meta.page_findings import AppAccess

SCOPES: Final = (*PERMISSIONS, *INSTAGRAM_PERMISSIONS, *WISHED)

_PAGE_FIELDS: Final = "id,name,tasks,access_token,instagram_business_account"
_PER_LIST: Final = 100
# More Pages than this nobody manages by hand.
_MOST_LISTS: Final = 100
_MOST_UNLISTED: Final = 500
_AT_ONCE: Final = 8
_BAD_SECRET: Final = "client secret"  # noqa: S105 - words of Meta's complaint
# Of a code: wrong, expired, for another address, used.
_CODE_REFUSED: Final = 100
_MAX_NAME: Final = 255


class CodeRefusedError(Exception):
    """Meta does not take the code: it is wrong, too old, or was used."""


class SecretRefusedError(Exception):
    """Meta does not take the app's secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPage:
    """A Page that was granted, and its token."""

    page: GrantedPage
    token: SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a person granted.

    `user_id` is theirs for this app. `expires_at` is when the consent to it ends; None where Meta
    does not say.
    """

    user_id: str
    scopes: Sequence[str]
    pages: Sequence[FoundPage]
    expires_at: datetime | None


def dialog_url(
    base_url: str, app: AppAccess, *, redirect_uri: str, state: str, asks_again: bool
) -> str:
    """Return where a browser is sent to ask a person; `asks_again` for what was declined, too."""
    query = {
        "client_id": app.app_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "response_type": "code",
        "scope": ",".join(SCOPES),
    }
    if asks_again:
        query["auth_type"] = "rerequest"
    return f"{base_url.rstrip('/')}/{app.version}/dialog/oauth?{urlencode(query)}"


class FacebookLogin:
    """Turns the code of a dialog into what was granted."""

    def __init__(self, graph: GraphCalls) -> None:
        self._graph = graph

    async def grant_of(self, app: AppAccess, code: str, *, redirect_uri: str) -> Grant:
        """Return what a code stands for; it works once.

        Raises:
            CodeRefusedError: Meta does not take the code.
            SecretRefusedError: Meta does not take the app's secret.
            UpstreamFailedError: Meta did not answer, or not sensibly.
        """
        token = await self._exchange(app, {"redirect_uri": redirect_uri, "code": code})
        described = await self._described(app, token)
        if described.get("expires_at") != 0:
            form = {
                "grant_type": "fb_exchange_token",
                "fb_exchange_token": token.get_secret_value(),
            }
            token = await self._exchange(app, form)
            described = await self._described(app, token)
        user_id = described.get("user_id")
        if not isinstance(user_id, str) or not user_id:
            raise UpstreamFailedError("Meta did not say who logged in.")
        return Grant(
            user_id=user_id,
            scopes=_texts(described.get("scopes")),
            pages=await self._pages(app, token, _targets(described)),
            expires_at=_end(described),
        )

    async def _exchange(self, app: AppAccess, form: Mapping[str, str]) -> SecretStr:
        whole = {"client_id": app.app_id, "client_secret": app.secret.get_secret_value(), **form}
        try:
            answer = await self._graph.call(
                "POST", f"{app.version}/oauth/access_token", form=whole, once=True
            )
        except GraphRefusedError as error:
            if _BAD_SECRET in error.fault.message.lower():
                raise SecretRefusedError from error
            if error.fault.code == _CODE_REFUSED:
                raise CodeRefusedError from error
            raise UpstreamFailedError("Meta did not give a token.") from error
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise UpstreamFailedError("Meta did not give a token.")
        return SecretStr(token)

    async def _described(self, app: AppAccess, token: SecretStr) -> dict[str, Any]:
        form = {
            "input_token": token.get_secret_value(),
            "access_token": f"{app.app_id}|{app.secret.get_secret_value()}",
        }
        answer = await self._call("POST", f"{app.version}/debug_token", form=form)
        described = answer.get("data")
        if not isinstance(described, dict) or described.get("is_valid") is not True:
            raise UpstreamFailedError("Meta did not say what the token is good for.")
        return described

    async def _pages(
        self, app: AppAccess, token: SecretStr, granted: Iterable[str]
    ) -> list[FoundPage]:
        found = {each.page.page_id: each for each in await self._listed(app, token)}
        # Pages that a business owns may be missing in the list, although they are granted.
        unlisted = [page_id for page_id in granted if page_id not in found][:_MOST_UNLISTED]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def read(page_id: str) -> FoundPage | None:
            async with gate:
                return await self._read(app, token, page_id)

        for page in await asyncio.gather(*(read(page_id) for page_id in unlisted)):
            if page is not None:
                found[page.page.page_id] = page
        return list(found.values())

    async def _listed(self, app: AppAccess, token: SecretStr) -> list[FoundPage]:
        query = {
            "fields": _PAGE_FIELDS,
            "limit": str(_PER_LIST),
            "appsecret_proof": _proof(app, token),
        }
        found: list[FoundPage] = []
        for _ in range(_MOST_LISTS):
            try:
                answer = await self._graph.call(
                    "GET", f"{app.version}/me/accounts", query=query, token=token
                )
            except GraphRefusedError:
                # Without the permission to list Pages; those of the grant are read one by one.
                return found
            listed = answer.get("data")
            found += [
                page
                for each in (listed if isinstance(listed, list) else [])
                if (page := _page(each))
            ]
            paging = answer.get("paging")
            # The address of the next part holds the token; its cursor does not.
            after = _members(_members(paging).get("cursors")).get("after")
            if "next" not in _members(paging) or not isinstance(after, str):
                break
            query["after"] = after
        return found

    async def _read(self, app: AppAccess, token: SecretStr, page_id: str) -> FoundPage | None:
        query = {"fields": _PAGE_FIELDS, "appsecret_proof": _proof(app, token)}
        try:
            answer = await self._graph.call(
                "GET", f"{app.version}/{quote(page_id, safe='')}", query=query, token=token
            )
        except GraphRefusedError:
            return None
        return _page(answer)

    async def _call(self, method: str, path: str, *, form: Mapping[str, str]) -> dict[str, Any]:
        try:
            return await self._graph.call(method, path, form=form)
        except GraphRefusedError as error:
            raise UpstreamFailedError("Meta refused to describe the token.") from error


def _page(value: object) -> FoundPage | None:
    page = _members(value)
    page_id, name, token = page.get("id"), page.get("name"), page.get("access_token")
    if not isinstance(page_id, str) or not isinstance(token, str) or not token:
        return None
    instagram = _members(page.get("instagram_business_account")).get("id")
    return FoundPage(
        page=GrantedPage(
            page_id=page_id,
            name=name[:_MAX_NAME] if isinstance(name, str) and name.strip() else page_id,
            tasks=_texts(page.get("tasks")),
            instagram_id=instagram if isinstance(instagram, str) else None,
        ),
        token=SecretStr(token),
    )


def _targets(described: Mapping[str, Any]) -> list[str]:
    """Return the Pages that a token's permissions are for, where they name any."""
    granular = described.get("granular_scopes")
    targets: dict[str, None] = {}
    for each in granular if isinstance(granular, list) else []:
        if str(_members(each).get("scope")).startswith("pages_"):
            targets |= dict.fromkeys(_texts(_members(each).get("target_ids")))
    return list(targets)


def _end(described: Mapping[str, Any]) -> datetime | None:
    """Return when the person's consent to the use of their data ends, and all tokens with it."""
    ends = described.get("data_access_expires_at")
    return datetime.fromtimestamp(ends, UTC) if type(ends) is int and ends > 0 else None


def _proof(app: AppAccess, token: SecretStr) -> str:
    key, value = app.secret.get_secret_value(), token.get_secret_value()
    return hmac.new(key.encode(), value.encode(), hashlib.sha256).hexdigest()


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
