"""API keys of an account; kept by its own administrators and by the instance's."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from gateway.api.rotation import Rotation
from gateway.db.accounts import get_account
from gateway.db.api_keys import (
    ApiKeyRow,
    get_key,
    insert_key,
    list_keys,
    replace_secret,
    revoke_key,
)
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.errors import NotFoundError
from gateway.http.api_keys import new_key
from gateway.http.auth import Principal
from gateway.http.pagination import Paging
from gateway.http.routes import ADMIN_OR_INSTANCE, Caller, GatewayRoute, Work
from gateway.http.schemas import Body, Line, Moment, Page, Resource

router = APIRouter(
    prefix="/v1/accounts/{account_id}/api-keys",
    tags=["API keys"],
    route_class=GatewayRoute,
    dependencies=[ADMIN_OR_INSTANCE],
)

ScopeName = Literal["read", "write", "send", "admin"]


def _each_once(scopes: Sequence[ScopeName]) -> list[ScopeName]:
    return list(dict.fromkeys(scopes))


class NewApiKey(Body):
    """An API key to be made."""

    name: Line = Field(examples=["Helpdesk back end"])
    scopes: Annotated[list[ScopeName], Field(min_length=1), AfterValidator(_each_once)] = Field(
        description="`read` looks, `write` changes settings and enquiries, `send` sends, `admin` "
        "does all of it and keeps keys.",
        examples=[["read", "send"]],
    )


class ApiKeyResource(Resource):
    """An API key; its secret is shown when it is made or rotated, and never again."""

    id: str = Field(examples=["key_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    name: str
    scopes: list[ScopeName]
    created_at: Moment
    previous_expires_at: Moment | None = Field(
        description="Until when the secret before the present one works."
    )


class ShownApiKey(ApiKeyResource):
    """An API key with its secret."""

    secret: str = Field(
        description="What goes after `Bearer`. Keep it: it is not shown again.",
        examples=["cgk_01kb2x5h8ve0xrn1y2z3a4b5c6_2b…"],
    )


@router.post("", status_code=201)
async def create_api_key(
    account_id: str, body: NewApiKey, caller: Caller, work: Work
) -> ShownApiKey:
    """Make an API key."""
    await _check_account(work, caller, account_id)
    key = new_key(ids.new_id(ids.API_KEY))
    row = ApiKeyRow(
        account_id=account_id,
        id=key.id,
        name=body.name,
        scopes=list(body.scopes),
        secret_hash=key.digest,
        previous_secret_hash=None,
        previous_expires_at=None,
        created_at=work.now,
    )
    await insert_key(work.connection, row)
    return _with_secret(row, str(key), previous_expires_at=None)


@router.get("")
async def list_api_keys(
    account_id: str, caller: Caller, work: Work, paging: Paging
) -> Page[ApiKeyResource]:
    """List the live API keys of an account, the newest first."""
    await _check_account(work, caller, account_id)
    place = paging.place("api-keys", str)
    rows = await list_keys(
        work.connection,
        account_id,
        before=None if place is None else place[0],
        limit=paging.limit + 1,
    )
    shown, cursor = paging.page(rows, "api-keys", lambda row: [row.id])
    return Page(
        data=[ApiKeyResource.model_validate(row, from_attributes=True) for row in shown],
        next_cursor=cursor,
    )


@router.post("/{key_id}/rotate")
async def rotate_api_key(
    account_id: str, key_id: str, caller: Caller, work: Work, body: Rotation | None = None
) -> ShownApiKey:
    """Give an API key another secret; the one before works for a while yet."""
    await _check_account(work, caller, account_id)
    row = await get_key(work.connection, account_id, key_id)
    if row is None:
        raise _no_key()
    key = new_key(key_id)
    previous_until = work.now + timedelta(seconds=(body or Rotation()).overlap_seconds)
    await replace_secret(
        work.connection, row, secret_hash=key.digest, previous_until=previous_until
    )
    return _with_secret(row, str(key), previous_expires_at=previous_until)


@router.delete("/{key_id}", status_code=204)
async def revoke_api_key(account_id: str, key_id: str, caller: Caller, work: Work) -> None:
    """End an API key at once."""
    await _check_account(work, caller, account_id)
    if not await revoke_key(work.connection, account_id, key_id, now=work.now):
        raise _no_key()


async def _check_account(work: UnitOfWork, caller: Principal, account_id: str) -> None:
    foreign = caller.account_id not in (None, account_id)
    if foreign or await get_account(work.connection, account_id) is None:
        raise NotFoundError("There is no such account.")


def _with_secret(
    row: ApiKeyRow, secret: str, *, previous_expires_at: datetime | None
) -> ShownApiKey:
    return ShownApiKey.model_validate(
        {
            "id": row.id,
            "name": row.name,
            "scopes": row.scopes,
            "created_at": row.created_at,
            "previous_expires_at": previous_expires_at,
            "secret": secret,
        }
    )


def _no_key() -> NotFoundError:
    return NotFoundError("There is no such API key.")
