"""Accounts: one tenant each; made and kept by the instance's administrator."""

from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Body as FromBody
from pydantic import Field

from gateway.api.filters import Search
from gateway.api.parts import Parts
from gateway.db.accounts import (
    Account,
    change_account,
    count_channels,
    get_account,
    insert_account,
    list_accounts,
)
from gateway.db.departments import count_departments
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.errors import ConflictError, DepartmentsExhaustedError, NotFoundError
from gateway.http.pagination import Paging
from gateway.http.patches import Patch
from gateway.http.routes import INSTANCE, GatewayRoute, Work
from gateway.http.schemas import Body, Flag, Line, Moment, Page, Resource, Whole
from gateway.http.versions import IfMatch, tag_version

router = APIRouter(
    prefix="/v1/accounts", tags=["Accounts"], route_class=GatewayRoute, dependencies=[INSTANCE]
)


class AccountSettings(Body):
    """What can be set of an account."""

    name: Line = Field(examples=["Acme Ltd"])
    concurrent_contacts_limit: Annotated[Whole, Field(ge=1, le=1_000_000)] = Field(
        default=200,
        description="How many contacts may be served at once; further ones are queued.",
    )
    channels_limit: Annotated[Whole, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, description="How many channels it may have; null for no limit."
    )
    departments_enabled: Flag = Field(
        default=False, description="Every channel then belongs to a department."
    )
    retention_days: Annotated[Whole, Field(ge=1, le=36_500)] | None = Field(
        default=None,
        description=(
            "How many days what people said, and their files, are kept; null for ever. Messages "
            "stay as empty shells."
        ),
    )


class AccountResource(Resource):
    """One tenant: it owns channels, destinations and keys."""

    id: str = Field(examples=["acc_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    name: str = Field(examples=["Acme Ltd"])
    concurrent_contacts_limit: int
    channels_limit: int | None
    departments_enabled: bool
    retention_days: int | None
    created_at: Moment
    version: int


@router.post("", status_code=201)
async def create_account(body: AccountSettings, response: Response, work: Work) -> AccountResource:
    """Make an account; give it an API key next."""
    account = Account(
        id=ids.new_id(ids.ACCOUNT),
        **body.model_dump(),
        version=1,
        created_at=work.now,
        deleted_at=None,
    )
    await insert_account(work.connection, account, now=work.now)
    return _shown(account, response)


@router.get("")
async def list_all_accounts(
    work: Work, paging: Paging, search: Search = None
) -> Page[AccountResource]:
    """List the accounts, the newest first."""
    place = paging.place("accounts", str)
    rows = await list_accounts(
        work.connection,
        search=search,
        before=None if place is None else place[0],
        limit=paging.limit + 1,
    )
    shown, cursor = paging.page(rows, "accounts", lambda account: [account.id])
    return Page(data=[_resource(account) for account in shown], next_cursor=cursor)


@router.get("/{account_id}")
async def read_account(account_id: str, response: Response, work: Work) -> AccountResource:
    """Read an account."""
    return _shown(await _existing(work, account_id), response)


@router.patch("/{account_id}")
async def change_account_settings(
    account_id: str,
    body: Annotated[Patch[AccountSettings], FromBody()],
    parts: Parts,
    response: Response,
    work: Work,
    if_match: IfMatch,
) -> AccountResource:
    """Change an account."""
    account = await _existing(work, account_id, lock=True)
    if_match.check(account.version)
    wanted = body.apply_to(AccountSettings.model_validate(account, from_attributes=True))
    if wanted.departments_enabled and not account.departments_enabled:
        await _check_departments(work, account_id)
    await change_account(work.connection, account_id, now=work.now, **wanted.model_dump())
    if wanted.concurrent_contacts_limit > account.concurrent_contacts_limit:
        await parts.routing_changes.contacts_limit_changed(work, account_id)
    return _shown(await _existing(work, account_id), response)


@router.delete("/{account_id}", status_code=204)
async def delete_account(account_id: str, work: Work) -> None:
    """Delete an account that has no channels left; its API keys end at once."""
    await _existing(work, account_id, lock=True)
    if await count_channels(work.connection, account_id):
        raise ConflictError("The account still has channels; delete them first.")
    await change_account(work.connection, account_id, now=work.now, deleted_at=work.now)


async def _existing(work: UnitOfWork, account_id: str, *, lock: bool = False) -> Account:
    account = await get_account(work.connection, account_id, lock=lock)
    if account is None:
        raise NotFoundError("There is no such account.")
    return account


async def _check_departments(work: UnitOfWork, account_id: str) -> None:
    channels = await count_channels(work.connection, account_id)
    departments = await count_departments(work.connection, account_id)
    if channels > departments:
        raise DepartmentsExhaustedError(
            f"The account has more channels ({channels}) than departments ({departments})."
        )


def _shown(account: Account, response: Response) -> AccountResource:
    tag_version(response, account.version)
    return _resource(account)


def _resource(account: Account) -> AccountResource:
    return AccountResource.model_validate(account, from_attributes=True)
