"""The events feed: for who has neither Kafka nor an address of their own."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.feed import feed_bounds, read_feed
from gateway.db.publishing import CommittedEvent
from gateway.domain.subscription import wants
from gateway.errors import CursorExpiredError
from gateway.http.pagination import DEFAULT_LIMIT, MAX_LIMIT, decode_cursor, encode_cursor
from gateway.http.routes import READ, AccountId, GatewayRoute, Glances
from gateway.http.schemas import Resource

if TYPE_CHECKING:
    from gateway.api.feed_watch import FeedWatch

router = APIRouter(prefix="/v1/events", tags=["Events"], route_class=GatewayRoute)

_LIST: Final = "events"
# Wake-ups may be lost; a reader looks by itself as well.
_LOOK_SECONDS: Final = 1.0


class FeedItem(Resource):
    """One public event."""

    id: str = Field(examples=["evt_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    type: str = Field(examples=["gateway.message.received.v1"])
    sequence: str = Field(description="Orders the events of a conversation, or of the account.")
    timestamp: str = Field(description="When it happened.", examples=["2026-11-21T09:30:00.000Z"])
    account_id: str
    channel_id: str | None
    conversation_id: str | None
    enquiry_id: str | None
    data: dict[str, Any]


class FeedPage(Resource):
    """A part of the feed."""

    data: list[FeedItem]
    next_cursor: str = Field(description="Where to go on; never null, as the feed has no end.")


@router.get("", dependencies=[READ], summary="Read the events feed")
async def read_events(
    request: Request,
    account_id: AccountId,
    glances: Glances,
    after: Annotated[
        str | None,
        Query(max_length=1000, description="`next_cursor` of the part before; without it, all."),
    ] = None,
    types: Annotated[
        str | None,
        Query(
            max_length=4000,
            description="Only these types, separated by commas; a `*` at the end covers the rest.",
            examples=["gateway.message.*,gateway.enquiry.offered.v1"],
        ),
    ] = None,
    wait: Annotated[
        int, Query(ge=0, le=30, description="Seconds to wait for something to come.")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
) -> FeedPage:
    """Return public events in the order in which they were published.

    Keep `next_cursor` and ask with `after`: nothing is missed and nothing comes twice. With `wait`
    the answer comes as soon as there is something.
    """
    watch: FeedWatch = request.app.state.feed
    patterns = [each.strip() for each in types.split(",")] if types is not None else ["*"]
    given = None if after is None else decode_cursor(after, _LIST, int, parameter="after")[0]
    async with glances.glance() as work:
        position = await _start(work.connection, account_id, given)
    loop = asyncio.get_running_loop()
    until = loop.time() + wait
    while True:
        changed = watch.next_change(account_id)
        async with glances.glance() as work:
            rows = await read_feed(work.connection, account_id, after=position, limit=limit)
        position = _end_of(rows, position)
        shown = [row for row in rows if _wanted(row, patterns)]
        left = until - loop.time()
        if shown or left <= 0 or watch.closed:
            break
        if not rows:
            await _some_time(changed, min(left, _LOOK_SECONDS))
    return FeedPage(
        data=[FeedItem.model_validate(row.feed_item()) for row in shown],
        next_cursor=encode_cursor(_LIST, [position]),
    )


async def _start(connection: AsyncConnection, account_id: str, given: int | None) -> int:
    bounds = await feed_bounds(connection, account_id)
    if given is None:
        return bounds.first - 1
    if given + 1 < bounds.first:
        raise CursorExpiredError(
            "The cursor is older than the events that are kept. Start again without `after`."
        )
    return min(given, bounds.end - 1)


def _end_of(rows: list[CommittedEvent], position: int) -> int:
    last = rows[-1].position if rows else None
    return position if last is None else last


def _wanted(row: CommittedEvent, patterns: list[str]) -> bool:
    return wants(row.type, row.channel_id, event_types=patterns, channel_ids=())


async def _some_time(changed: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return
