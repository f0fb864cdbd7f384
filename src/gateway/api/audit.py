"""The audit: who had what done again."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field

from gateway.db.audit import AuditEntry, list_audit
from gateway.http.pagination import Paging
from gateway.http.routes import ADMIN_OR_INSTANCE, Caller, GatewayRoute, Work
from gateway.http.schemas import Moment, Page, Resource

router = APIRouter(prefix="/v1/audit", tags=["Audit"], route_class=GatewayRoute)

_LIST: Final = "audit"


class AuditEntryResource(Resource):
    """Somebody had something done."""

    id: str = Field(examples=["aud_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    at: Moment
    actor: str = Field(
        description="The id of the API key, or `admin` for the instance's administrator."
    )
    action: str = Field(examples=["delivery.redelivered"])
    subject_id: str = Field(examples=["dlv_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    details: dict[str, Any]


@router.get("", dependencies=[ADMIN_OR_INSTANCE], summary="Read the audit")
async def read_audit(
    caller: Caller,
    work: Work,
    paging: Paging,
    action: Annotated[str | None, Query(max_length=100, description="Only of this action.")] = None,
    subject_id: Annotated[
        str | None, Query(max_length=100, description="Only of this thing.")
    ] = None,
) -> Page[AuditEntryResource]:
    """List who had what redelivered, replayed or forgotten, the newest first."""
    place = paging.place(_LIST, str)
    entries = await list_audit(
        work.connection,
        caller.account_id,
        action=action,
        subject_id=subject_id,
        before=None if place is None else place[0],
        limit=paging.limit + 1,
    )
    shown, cursor = paging.page(entries, _LIST, lambda entry: [entry.id])
    return Page(data=[_resource(each) for each in shown], next_cursor=cursor)


def _resource(entry: AuditEntry) -> AuditEntryResource:
    return AuditEntryResource(
        id=entry.id,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        subject_id=entry.subject_id,
        details=entry.details,
    )
