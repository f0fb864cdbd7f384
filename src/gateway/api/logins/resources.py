"""Logins as the REST API and the hosted page show them."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from gateway.api.parts import ApiParts
from gateway.db.channel_writes import find_holders, find_on_pages
from gateway.db.channels import find_channels
from gateway.db.logins import Login
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind, StatusReason
from gateway.domain.channel_reasons import REASONS
from gateway.domain.login import (
    GrantedPage,
    LoginState,
    missing_permissions,
    why_not_connectable,
)
from gateway.http.schemas import Moment, Resource


class MissingPermission(Resource):
    """A permission that channels need and that was not granted."""

    permission: str = Field(examples=["pages_messaging"])
    name: str = Field(examples=["Manage and access Page conversations in Messenger"])
    remedy: str


class GrantedPageResource(Resource):
    """A Page that was granted."""

    page_id: str
    name: str
    connectable: bool
    reason: str | None = Field(default=None, description="Why it cannot be connected.")
    channel_id: str | None = Field(
        default=None, description="The account's own channel on this Page, if there is one."
    )


class LostChannel(Resource):
    """A channel of the account whose Page the grant left out."""

    channel_id: str
    page_id: str
    name: str
    remedy: str


class LoginError(Resource):
    """What went wrong, and what to do about it."""

    code: str = Field(examples=["code-refused"])
    detail: str
    remedy: str


class LoginResource(Resource):
    """A login by Facebook, from its start to what was connected."""

    id: str = Field(examples=["lgn_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    url: str = Field(description="Where the person's browser goes.")
    state: Literal["started", "granted", "denied", "failed", "expired", "finished"]
    meta_app_id: str
    channel_id: str | None = Field(description="The channel that is re-authenticated by it.")
    return_url: str | None
    error: LoginError | None
    missing_permissions: list[MissingPermission]
    pages: list[GrantedPageResource] = Field(description="Empty before the grant.")
    lost: list[LostChannel]
    created_at: Moment


def login_url(parts: ApiParts, login_id: str) -> str:
    """Return where a person's browser begins a login."""
    return f"{parts.public_url.rstrip('/')}/oauth/facebook/logins/{login_id}"


def granted_pages(login: Login) -> list[GrantedPage]:
    """Return the Pages of a login's grant."""
    return [GrantedPage(**each) for each in login.pages]


async def login_resource(work: UnitOfWork, parts: ApiParts, login: Login) -> LoginResource:
    """Return a login's public form."""
    granted = login.user_id is not None and login.state in (
        LoginState.GRANTED,
        LoginState.FINISHED,
    )
    return LoginResource(
        id=login.id,
        url=login_url(parts, login.id),
        state=state_now(login, work).value,
        meta_app_id=login.meta_app_id,
        channel_id=login.channel_id,
        return_url=login.return_url,
        error=None if login.error is None else LoginError.model_validate(login.error),
        missing_permissions=[
            MissingPermission(permission=each.permission, name=each.name, remedy=each.remedy)
            for each in (missing_permissions(login.scopes) if granted else ())
        ],
        pages=await page_resources(work, login),
        lost=await _lost(work, login),
        created_at=login.created_at,
    )


def state_now(login: Login, work: UnitOfWork) -> LoginState:
    """Return where a login stands: one that nobody came back to in time has expired."""
    if login.state is LoginState.STARTED and work.now > login.expires_at:
        return LoginState.EXPIRED
    return login.state


async def page_resources(work: UnitOfWork, login: Login) -> list[GrantedPageResource]:
    """Return the Pages of a login's grant, each with whether it can be connected."""
    pages = granted_pages(login)
    page_ids = [page.page_id for page in pages]
    own = {
        channel.source_id: channel.id
        for channel in await find_on_pages(
            work.connection, login.account_id, login.meta_app_id, page_ids
        )
        if channel.kind is ChannelKind.MESSENGER and channel.holds_source
    }
    held = await find_holders(work.connection, ChannelKind.MESSENGER, page_ids)
    return [_page_resource(page, login, own, held) for page in pages]


def _page_resource(
    page: GrantedPage, login: Login, own: Mapping[str, str], held: Mapping[str, str]
) -> GrantedPageResource:
    holder = held.get(page.page_id)
    own_channel = own.get(page.page_id)
    reason = why_not_connectable(
        page, taken=holder is not None and own_channel is None, scopes=login.scopes
    )
    if reason is None and own_channel is not None:
        reason = "This Page is connected already."
    return GrantedPageResource(
        page_id=page.page_id,
        name=page.name,
        connectable=reason is None,
        reason=reason,
        channel_id=own_channel,
    )


async def _lost(work: UnitOfWork, login: Login) -> list[LostChannel]:
    channels = await find_channels(work.connection, login.lost) if login.lost else {}
    remedy = REASONS[StatusReason.PAGE_NOT_GRANTED][1]
    return [
        LostChannel(
            channel_id=each.id,
            page_id=each.page_id or each.source_id,
            name=each.page_name or each.name,
            remedy=remedy,
        )
        for each in channels.values()
        if each.account_id == login.account_id
    ]
