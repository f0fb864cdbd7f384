"""The REST of reports."""

from datetime import date
from typing import Annotated, ClassVar, Final

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import ConfigDict, Field
from starlette.responses import Response

from gateway.contracts.moments import rfc3339
from gateway.contracts.resources import EnquiryStatusName, Moment, Resource
from gateway.errors import FieldFault, InvalidFieldsError
from gateway.http.admission import JSON, preferred
from gateway.http.routes import READ, AccountId, GatewayRoute, Work
from routing.reports.figures import FIELDS, Row, report
from routing.reports.spans import span_of
from routing.reports.tables import as_csv

CSV: Final = "text/csv"
_NAMES: Final = ", ".join(f"`{name}`" for name in FIELDS)


class ReportRoute(GatewayRoute):
    """A route that answers with JSON, or with a table for spreadsheets."""

    answers: ClassVar[tuple[str, ...]] = (JSON, CSV)


router = APIRouter(route_class=ReportRoute)


class Duration(Resource):
    """How long something took, in seconds; null where it happened to none of the enquiries."""

    median: float | None = Field(examples=[12.5])
    p95: float | None = Field(description="Nineteen of twenty took no longer.", examples=[80.25])


class ReportRow(Resource):
    """The figures of a group. Only the fields that it was grouped by are there."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    channel_id: str | None = Field(None, examples=["chn_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    status: EnquiryStatusName | None = None
    destination_id: str | None = Field(None, description="Null: nobody has it.")
    agent_id: str | None = Field(None, description="Null: no agent has it.")
    day: date | None = Field(None, description="On which it was opened, in the report's zone.")
    count: int = Field(description="How many enquiries were opened.")
    missed_rate: float | None = Field(
        description="Which part of them was ever missed, whatever came of it; null without any.",
        examples=[0.04],
    )
    waiting_seconds: Duration = Field(
        description="From when it came in until somebody took it, it was missed, or closed."
    )
    first_response_seconds: Duration = Field(
        description="From when it came in until the contact was first answered."
    )
    handling_seconds: Duration = Field(
        description="From when somebody took it until it was closed."
    )


class Report(Resource):
    """Figures of the enquiries that were opened in a span."""

    begins: Moment = Field(alias="from", description="Included.")
    ends: Moment = Field(alias="to", description="Not included.")
    zone: str = Field(examples=["Europe/London"])
    group_by: list[str] = Field(examples=[["channel", "day"]])
    data: list[ReportRow]


@router.get(
    "/v1/reports/enquiries",
    tags=["Reports"],
    dependencies=[READ],
    response_model=Report,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}},
)
async def report_on_enquiries(
    request: Request,
    account_id: AccountId,
    work: Work,
    group_by: Annotated[
        str | None,
        Query(
            max_length=100,
            description=f"Some of {_NAMES}, with commas between them; rows are in their order. "
            "Without it, there is one row of all.",
            examples=["channel,day"],
        ),
    ] = None,
    begins: Annotated[
        str | None,
        Query(
            alias="from",
            max_length=40,
            description="A date in the zone or a moment, included; so that the end's day is the "
            "last of 30, where it is not given.",
            examples=["2026-03-01"],
        ),
    ] = None,
    ends: Annotated[
        str | None,
        Query(
            alias="to",
            max_length=40,
            description="A date in the zone or a moment, not included; where it is not given, the "
            "end of today.",
            examples=["2026-04-01T00:00:00Z"],
        ),
    ] = None,
    zone: Annotated[
        str,
        Query(max_length=100, description="Where days begin.", examples=["Europe/London"]),
    ] = "UTC",
    channel_id: Annotated[str | None, Query(max_length=100)] = None,
    status: EnquiryStatusName | None = None,
    destination_id: Annotated[str | None, Query(max_length=100)] = None,
    agent_id: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Count the enquiries opened in a span, and tell how long they waited and were handled."""
    groups = _groups(group_by)
    span = span_of(begins=begins, ends=ends, zone=zone, now=work.now)
    filters = {
        "channel_id": channel_id,
        "status": status,
        "destination_id": destination_id,
        "agent_id": agent_id,
    }
    rows = await report(
        work.connection,
        account_id,
        span,
        group_by=groups,
        only={name: value for name, value in filters.items() if value is not None},
    )
    varies = {"Vary": "Accept"}
    if preferred(request, ReportRoute.answers) == CSV:
        return Response(
            as_csv(rows, groups),
            media_type=f"{CSV}; charset=utf-8; header=present",
            headers=varies | {"Content-Disposition": 'attachment; filename="enquiries.csv"'},
        )
    shown = {
        "from": rfc3339(span.begins),
        "to": rfc3339(span.ends),
        "zone": zone,
        "group_by": groups,
        "data": [_shown(row) for row in rows],
    }
    return Response(orjson.dumps(shown), media_type=JSON, headers=varies)


def _groups(raw: str | None) -> list[str]:
    """Return what to group by.

    Raises:
        InvalidFieldsError: Something of it is unknown, or there twice.
    """
    names = [] if raw is None else [name.strip() for name in raw.split(",")]
    faults = [
        FieldFault("/query/group_by", "unknown-group", f"`{name[:40]}` is not one of {_NAMES}.")
        for name in dict.fromkeys(names)
        if name not in FIELDS
    ]
    faults += [
        FieldFault("/query/group_by", "repeated", f"`{name}` is there twice.")
        for name in dict.fromkeys(names)
        if name in FIELDS and names.count(name) > 1
    ]
    if faults:
        raise InvalidFieldsError("Enquiries cannot be grouped like this.", faults=faults)
    return names


def _shown(row: Row) -> dict[str, object]:
    shown: dict[str, object] = {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in row.group.items()
    }
    shown |= {"count": row.count, "missed_rate": row.missed_rate}
    for name, values in row.durations.items():
        median, p95 = values or (None, None)
        shown[f"{name}_seconds"] = {"median": median, "p95": p95}
    return shown
