"""Destinations: all who can take an enquiry, in one list."""

from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from gateway.api.filters import Search
from gateway.db.destinations import list_destinations
from gateway.http.pagination import Paging
from gateway.http.routes import READ, AccountId, GatewayRoute, Work
from gateway.http.schemas import Page, Resource

router = APIRouter(
    prefix="/v1/destinations", tags=["Destinations"], route_class=GatewayRoute, dependencies=[READ]
)

DestinationKind = Literal["agent", "team", "bot", "endpoint"]


class DestinationResource(Resource):
    """Somebody or something that can take an enquiry."""

    id: str = Field(examples=["agt_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    kind: DestinationKind
    name: str = Field(examples=["Ann Lee"])


@router.get("")
async def list_all_destinations(
    account_id: AccountId,
    work: Work,
    paging: Paging,
    search: Search = None,
    kind: DestinationKind | None = None,
) -> Page[DestinationResource]:
    """List agents, teams, bots and endpoints together, kind by kind."""
    place = paging.place("destinations", str)
    rows = await list_destinations(
        work.connection,
        account_id,
        kind=kind,
        search=search,
        after=None if place is None else place[0],
        limit=paging.limit + 1,
    )
    shown, cursor = paging.page(rows, "destinations", lambda row: [row["id"]])
    return Page(data=[DestinationResource.model_validate(row) for row in shown], next_cursor=cursor)
