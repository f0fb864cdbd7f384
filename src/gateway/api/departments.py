"""Departments: to each of them belongs at least one channel, where an account uses them."""

from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Body as FromBody
from pydantic import Field

from gateway.api.filters import Search
from gateway.db.accounts import count_channels, get_account
from gateway.db.departments import (
    DEPARTMENTS,
    Department,
    count_channels_of,
    count_departments,
)
from gateway.db.search import matches
from gateway.db.tables import departments
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.errors import ConflictError, DepartmentsExhaustedError, NotFoundError
from gateway.http.pagination import Paging
from gateway.http.patches import Patch
from gateway.http.routes import READ, WRITE, AccountId, GatewayRoute, Work
from gateway.http.schemas import Body, Line, Moment, Page, Resource
from gateway.http.versions import IfMatch, tag_version

router = APIRouter(prefix="/v1/departments", tags=["Departments"], route_class=GatewayRoute)


class DepartmentSettings(Body):
    """What can be set of a department."""

    name: Line = Field(examples=["After-sales"])


class DepartmentResource(Resource):
    """A part of the company that has channels."""

    id: str = Field(examples=["dpt_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    name: str
    created_at: Moment
    version: int


@router.post("", status_code=201, dependencies=[WRITE])
async def create_department(
    body: DepartmentSettings, account_id: AccountId, work: Work, response: Response
) -> DepartmentResource:
    """Make a department."""
    department = Department(
        account_id=account_id,
        id=ids.new_id(ids.DEPARTMENT),
        name=body.name,
        version=1,
        created_at=work.now,
        deleted_at=None,
    )
    await DEPARTMENTS.insert(work.connection, department, now=work.now)
    return _shown(department, response)


@router.get("", dependencies=[READ])
async def list_all_departments(
    account_id: AccountId, work: Work, paging: Paging, search: Search = None
) -> Page[DepartmentResource]:
    """List departments, the newest first."""
    place = paging.place("departments", str)
    rows = await DEPARTMENTS.list(
        work.connection,
        account_id,
        *([] if search is None else [matches(departments.c.name, search)]),
        before=None if place is None else place[0],
        limit=paging.limit + 1,
    )
    shown, cursor = paging.page(rows, "departments", lambda department: [department.id])
    return Page(data=[_resource(department) for department in shown], next_cursor=cursor)


@router.get("/{department_id}", dependencies=[READ])
async def read_department(
    department_id: str, account_id: AccountId, work: Work, response: Response
) -> DepartmentResource:
    """Read a department."""
    return _shown(await _existing(work, account_id, department_id), response)


@router.patch("/{department_id}", dependencies=[WRITE])
async def change_department_settings(
    department_id: str,
    body: Annotated[Patch[DepartmentSettings], FromBody()],
    account_id: AccountId,
    work: Work,
    if_match: IfMatch,
    response: Response,
) -> DepartmentResource:
    """Change a department."""
    department = await _existing(work, account_id, department_id, lock=True)
    if_match.check(department.version)
    wanted = body.apply_to(DepartmentSettings.model_validate(department, from_attributes=True))
    department = await DEPARTMENTS.change(
        work.connection, department, now=work.now, name=wanted.name
    )
    return _shown(department, response)


@router.delete("/{department_id}", status_code=204, dependencies=[WRITE])
async def delete_department(department_id: str, account_id: AccountId, work: Work) -> None:
    """Delete a department that no channel belongs to and that the channels can spare."""
    # The account's lock comes first, as where a channel is made.
    account = await get_account(work.connection, account_id, lock=True)
    department = await _existing(work, account_id, department_id, lock=True)
    if await count_channels_of(work.connection, account_id, department_id):
        raise ConflictError("Channels belong to this department; move or delete them first.")
    if account is not None and account.departments_enabled:
        left = await count_departments(work.connection, account_id) - 1
        if await count_channels(work.connection, account_id) > left:
            raise DepartmentsExhaustedError(
                "The account uses departments and would have more channels than departments."
            )
    await DEPARTMENTS.change(work.connection, department, now=work.now, deleted_at=work.now)


async def _existing(
    work: UnitOfWork, account_id: str, department_id: str, *, lock: bool = False
) -> Department:
    department = await DEPARTMENTS.get(work.connection, account_id, department_id, lock=lock)
    if department is None:
        raise NotFoundError("There is no such department.")
    return department


def _shown(department: Department, response: Response) -> DepartmentResource:
    tag_version(response, department.version)
    return _resource(department)


def _resource(department: Department) -> DepartmentResource:
    return DepartmentResource.model_validate(department, from_attributes=True)
