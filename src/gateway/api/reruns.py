"""Reruns: redeliveries and replays of many, which go on in the background."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from gateway.api.endpoint_bodies import EventPattern
from gateway.api.endpoints import existing_endpoint
from gateway.contracts.moments import rfc3339
from gateway.db.audit import write_audit
from gateway.db.reruns import (
    Rerun,
    RerunKind,
    RerunStatus,
    get_rerun,
    insert_rerun,
    list_reruns,
    save_rerun,
)
from gateway.db.unit_of_work import UnitOfWork
from gateway.errors import FieldFault, IllegalTransitionError, InvalidFieldsError, NotFoundError
from gateway.http.auth import Principal
from gateway.http.pagination import Paging
from gateway.http.routes import (
    READ_OR_INSTANCE,
    WRITE,
    WRITE_OR_INSTANCE,
    AccountId,
    Caller,
    GatewayRoute,
    Work,
)
from gateway.http.schemas import Body, Moment, Page, Reference, Resource
from gateway.messaging.redelivery import Asker

router = APIRouter(tags=["Redelivery"], route_class=GatewayRoute)

_LIST: Final = "reruns"
_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
_END: Final = datetime(2099, 12, 31, tzinfo=UTC)
# As fine as moments are written.
_INSTANT: Final = timedelta(milliseconds=1)

At = Annotated[AwareDatetime, Field(ge=_BEGINNING, le=_END)]


class Span(Body):
    """A time."""

    begins: At | None = Field(
        default=None, alias="from", description="Then or later; without it, from the first."
    )
    ends: At | None = Field(
        default=None, alias="to", description="Earlier than then; without it, up to now."
    )


class LettersWanted(Span):
    """Which dead letters to do again: all that fit. An empty body means all of the account's."""

    reason: Annotated[str, Field(max_length=100)] | None = Field(
        default=None, examples=["delivery-exhausted"]
    )
    stage: Annotated[str, Field(max_length=100)] | None = Field(default=None, examples=["sender"])
    endpoint_id: Reference | None = Field(
        default=None, description="Only deliveries to this endpoint."
    )
    redelivered: bool = Field(
        default=False, description="True: those that were done again already, and no others."
    )


class DeliveriesWanted(Span):
    """Which of an endpoint's deliveries to do again: those that were made in a time."""

    status: Literal["failed", "delivered", "cancelled"] = "failed"


class EventsWanted(Body):
    """Which past events to deliver to an endpoint: those of a time that it would get today."""

    begins: At = Field(alias="from", description="Events that were written then or later.")
    ends: At = Field(alias="to", description="Events that were written earlier.")
    event_types: Annotated[list[EventPattern], Field(min_length=1, max_length=100)] | None = Field(
        default=None,
        description="Only these of the types that it is subscribed to.",
        examples=[["gateway.message.*"]],
    )


class RerunResource(Resource):
    """A redelivery or replay of many.

    So many a second are done again; an endpoint that is paused or disabled, or has not taken what
    waits for it, is waited for.
    """

    id: str = Field(examples=["rrn_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    kind: RerunKind = Field(description="What is done again.")
    endpoint_id: str | None
    filter: dict[str, Any] = Field(description="What was asked for.")
    status: RerunStatus = Field(
        description="`cancelled` by hand, or because the endpoint was deleted."
    )
    redelivered: int = Field(description="How many were done again so far.")
    passed_over: int = Field(description="How many could not be, or were on their way.")
    created_at: Moment
    finished_at: Moment | None


@router.post(
    "/v1/dead-letters/redeliver",
    status_code=202,
    dependencies=[WRITE_OR_INSTANCE],
    summary="Do dead letters again",
    tags=["Dead letters"],
)
async def redeliver_dead_letters(
    caller: Caller, work: Work, body: LettersWanted | None = None
) -> RerunResource:
    """Do all dead letters again that fit, in the background, the oldest first."""
    wanted = body or LettersWanted()
    details = wanted.model_dump(exclude_none=True, exclude={"begins", "ends"})
    span = _span(work, wanted.begins, wanted.ends)
    return await _begin(work, caller, "dead_letters", details | span)


@router.post(
    "/v1/endpoints/{endpoint_id}/redeliver",
    status_code=202,
    dependencies=[WRITE],
    summary="Do an endpoint's deliveries again",
    tags=["Endpoints"],
)
async def redeliver_to_endpoint(
    endpoint_id: str,
    caller: Caller,
    account_id: AccountId,
    work: Work,
    body: DeliveriesWanted | None = None,
) -> RerunResource:
    """Do deliveries of a time again, in the background: those that failed, if not told otherwise.

    They go to the ends of their lanes, in the order in which they were made.
    """
    await existing_endpoint(work, account_id, endpoint_id)
    wanted = body or DeliveriesWanted()
    details = {"status": wanted.status, **_span(work, wanted.begins, wanted.ends)}
    return await _begin(work, caller, "deliveries", details, endpoint_id=endpoint_id)


@router.post(
    "/v1/endpoints/{endpoint_id}/replay",
    status_code=202,
    dependencies=[WRITE],
    summary="Deliver past events to an endpoint",
    tags=["Endpoints"],
)
async def replay_to_endpoint(
    endpoint_id: str, caller: Caller, account_id: AccountId, work: Work, body: EventsWanted
) -> RerunResource:
    """Deliver the events of a time, in order and in the background, also those it has had.

    Each goes out under the same `webhook-id` as before. What the endpoint answers says nothing to
    contacts.
    """
    await existing_endpoint(work, account_id, endpoint_id)
    details: dict[str, Any] = _span(work, body.begins, body.ends)
    if body.event_types is not None:
        details["event_types"] = body.event_types
    return await _begin(work, caller, "events", details, endpoint_id=endpoint_id)


@router.get("/v1/reruns", dependencies=[READ_OR_INSTANCE], summary="List reruns")
async def read_reruns(
    caller: Caller,
    work: Work,
    paging: Paging,
    status: Annotated[RerunStatus | None, Query(description="Only of this status.")] = None,
) -> Page[RerunResource]:
    """List redeliveries and replays of many, the newest first."""
    place = paging.place(_LIST, str)
    rows = await list_reruns(
        work.connection,
        caller.account_id,
        status=status,
        before=None if place is None else place[0],
        limit=paging.limit + 1,
    )
    shown, cursor = paging.page(rows, _LIST, lambda rerun: [rerun.id])
    return Page(data=[_resource(each) for each in shown], next_cursor=cursor)


@router.get("/v1/reruns/{rerun_id}", dependencies=[READ_OR_INSTANCE], summary="Read a rerun")
async def read_rerun(rerun_id: str, caller: Caller, work: Work) -> RerunResource:
    """Read how far a redelivery or replay of many has come."""
    return _resource(await _existing(work, caller, rerun_id))


@router.post(
    "/v1/reruns/{rerun_id}/cancel", dependencies=[WRITE_OR_INSTANCE], summary="Cancel a rerun"
)
async def cancel_rerun(rerun_id: str, caller: Caller, work: Work) -> RerunResource:
    """Do no more of it; what was done again stays so."""
    rerun = await _existing(work, caller, rerun_id, lock=True)
    if rerun.status != "running":
        raise IllegalTransitionError(
            f"The rerun is {rerun.status}.", extra={"state": rerun.status, "allowed": []}
        )
    rerun.end("cancelled", now=work.now)
    await save_rerun(work.connection, rerun)
    asker = Asker(account_id=caller.account_id, actor=caller.key_id)
    await write_audit(work.connection, [asker.entry(work, "rerun.cancelled", rerun.id)])
    return _resource(rerun)


async def _begin(
    work: UnitOfWork,
    caller: Principal,
    kind: RerunKind,
    details: dict[str, Any],
    *,
    endpoint_id: str | None = None,
) -> RerunResource:
    rerun = Rerun(
        account_id=caller.account_id,
        kind=kind,
        filter=details,
        actor=caller.key_id,
        endpoint_id=endpoint_id,
        next_at=work.now,
        created_at=work.now,
    )
    await insert_rerun(work.connection, rerun)
    asker = Asker(account_id=caller.account_id, actor=caller.key_id)
    asked = asker.entry(
        work, "rerun.requested", rerun.id, kind=kind, endpoint_id=endpoint_id, filter=details
    )
    await write_audit(work.connection, [asked])
    return _resource(rerun)


def _span(work: UnitOfWork, begins: datetime | None, ends: datetime | None) -> dict[str, str]:
    """Return a span that ends by now: what comes later is no part of what was asked for."""
    if begins is not None and ends is not None and ends <= begins:
        detail = "It has to be later than `from`."
        raise InvalidFieldsError(detail, faults=[FieldFault("/to", "out-of-range", detail)])
    latest = work.now + _INSTANT
    return {
        "from": rfc3339(begins or _BEGINNING),
        "to": rfc3339(latest if ends is None else min(ends, latest)),
    }


async def _existing(
    work: UnitOfWork, caller: Principal, rerun_id: str, *, lock: bool = False
) -> Rerun:
    rerun = await get_rerun(work.connection, caller.account_id, rerun_id, lock=lock)
    if rerun is None:
        raise NotFoundError("There is no such rerun.")
    return rerun


def _resource(rerun: Rerun) -> RerunResource:
    return RerunResource(
        id=rerun.id,
        kind=rerun.kind,
        endpoint_id=rerun.endpoint_id,
        filter=rerun.filter,
        status=rerun.status,
        redelivered=rerun.redelivered,
        passed_over=rerun.passed_over,
        created_at=rerun.created_at,
        finished_at=rerun.finished_at,
    )
