"""Facebook Login for back ends: begun here, granted in a person's browser, finished here."""

from fastapi import APIRouter, Request
from pydantic import Field

from gateway.api.channel_bodies import Address, SourceId
from gateway.api.channel_resources import existing_channel
from gateway.api.connecting import app_access
from gateway.api.logins.connecting import Choice, PageResults, connect_chosen
from gateway.api.logins.resources import LoginResource, login_resource
from gateway.api.logins.starting import start_login
from gateway.api.parts import Parts
from gateway.db.logins import Login, get_login
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind
from gateway.errors import NotFoundError, NotSupportedByChannelError
from gateway.http.refusals import request_id_of
from gateway.http.routes import READ, WRITE, AccountId, Caller, GatewayRoute, Outside, Work
from gateway.http.schemas import Body, Reference

router = APIRouter(tags=["Facebook Login"], route_class=GatewayRoute)


class Return(Body):
    """Where the person's browser goes in the end."""

    return_url: Address | None = Field(
        default=None,
        description="Gets `?login_id=…` once Pages were granted; of an origin that the operator "
        "allows. Without it, a page of the gateway lets the person choose Pages.",
    )


class NewLogin(Return):
    """A login to be begun."""

    meta_app_id: SourceId
    channel_id: Reference | None = Field(
        default=None, description="The channel to be re-authenticated."
    )


@router.post("/v1/facebook/logins", status_code=201, dependencies=[WRITE])
async def begin_login(
    body: NewLogin, caller: Caller, account_id: AccountId, parts: Parts, work: Work
) -> LoginResource:
    """Begin a login: send the person's browser to `url`, within ten minutes.

    Then read the login until it is `granted`, and connect some of its Pages; or leave it to the
    person, who may choose them on the page that follows.
    """
    await app_access(work, body.meta_app_id)
    if body.channel_id is not None:
        await existing_channel(work, account_id, body.channel_id, alive=True)
    login = await start_login(
        work,
        parts,
        account_id,
        caller.key_id,
        meta_app_id=body.meta_app_id,
        channel_id=body.channel_id,
        return_url=body.return_url,
    )
    return await login_resource(work, parts, login)


@router.post("/v1/channels/{channel_id}/reauthenticate", dependencies=[WRITE])
async def reauthenticate_channel(
    channel_id: str,
    caller: Caller,
    account_id: AccountId,
    parts: Parts,
    work: Work,
    body: Return | None = None,
) -> LoginResource:
    """Begin a login that renews a channel's token, by the same or another administrator.

    All of the account's channels whose Pages are granted get their new tokens by it; none is added.
    """
    channel = await existing_channel(work, account_id, channel_id, alive=True)
    if channel.kind is ChannelKind.THIRD_PARTY or channel.meta_app_id is None:
        raise NotSupportedByChannelError("A third-party channel has no login.")
    login = await start_login(
        work,
        parts,
        account_id,
        caller.key_id,
        meta_app_id=channel.meta_app_id,
        channel_id=channel_id,
        return_url=None if body is None else body.return_url,
    )
    return await login_resource(work, parts, login)


@router.get("/v1/facebook/logins/{login_id}", dependencies=[READ])
async def read_login(
    login_id: str, account_id: AccountId, parts: Parts, work: Work
) -> LoginResource:
    """Read how a login stands, and which Pages it brought."""
    return await login_resource(work, parts, await _existing(work, account_id, login_id))


@router.post("/v1/facebook/logins/{login_id}/connect", dependencies=[WRITE])
async def connect_pages(
    login_id: str,
    body: Choice,
    request: Request,
    account_id: AccountId,
    parts: Parts,
    outside: Outside,
) -> PageResults:
    """Connect Pages of a login; each succeeds or fails by itself."""
    async with outside.glance() as work:
        login = await _existing(work, account_id, login_id)
    results = await connect_chosen(
        outside, parts, login, body.pages, instance=request_id_of(request)
    )
    return PageResults(data=results)


async def _existing(work: UnitOfWork, account_id: str, login_id: str) -> Login:
    login = await get_login(work.connection, login_id, account_id=account_id)
    if login is None:
        raise NotFoundError("There is no such login.")
    return login
