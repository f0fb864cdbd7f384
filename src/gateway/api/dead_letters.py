"""Dead letters: what was set aside for a person, and doing it again."""

import base64
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from gateway.db.audit import write_audit
from gateway.db.dead_letter_views import (
    DeadLetter,
    Wanted,
    delete_dead_letter,
    get_dead_letter,
    list_dead_letters,
)
from gateway.errors import NotFoundError
from gateway.http.pagination import Paging
from gateway.http.routes import (
    READ_OR_INSTANCE,
    WRITE_OR_INSTANCE,
    Caller,
    GatewayRoute,
    Glances,
    Work,
)
from gateway.http.schemas import Moment, Page, Resource
from gateway.messaging.redelivery import Asker, redeliver_letter

router = APIRouter(prefix="/v1/dead-letters", tags=["Dead letters"], route_class=GatewayRoute)

_LIST: Final = "dead-letters"


class RecordResource(Resource):
    """The record that was set aside, as it stood on its topic."""

    topic: str | None
    partition: int | None
    offset: int | None
    key: str | None
    headers: dict[str, str] = Field(description="A value that is no text begins with `base64:`.")
    value: str | None = Field(description="As text; begins with `base64:` where it is none.")


class DeadLetterResource(Resource):
    """Something that could not be done."""

    id: str = Field(examples=["dlt_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    reason: str = Field(examples=["poison"])
    stage: str = Field(description="What set it aside.", examples=["routing", "sender"])
    attempts: int
    at: Moment
    delivery_id: str | None = Field(description="The delivery, where it is one.")
    redelivered_at: Moment | None
    record: RecordResource | None = Field(description="The record, where it is one.")


@router.get("", dependencies=[READ_OR_INSTANCE], summary="List dead letters")
async def read_dead_letters(
    caller: Caller,
    glances: Glances,
    paging: Paging,
    reason: Annotated[
        str | None, Query(max_length=100, description="Only for this reason.")
    ] = None,
    stage: Annotated[str | None, Query(max_length=100, description="Only of this stage.")] = None,
    begins: Annotated[
        AwareDatetime | None, Query(alias="from", description="Only set aside then or later.")
    ] = None,
    ends: Annotated[
        AwareDatetime | None, Query(alias="to", description="Only set aside earlier.")
    ] = None,
    redelivered: Annotated[
        bool | None, Query(description="Only those that were done again, or were not.")
    ] = None,
    endpoint_id: Annotated[
        str | None, Query(max_length=100, description="Only deliveries to this endpoint.")
    ] = None,
) -> Page[DeadLetterResource]:
    """Return what was set aside, the newest first.

    With an account's key the account's; with the administrator's those that belong to no account.
    """
    place = paging.place(_LIST, str)
    async with glances.glance() as work:
        letters = await list_dead_letters(
            work.connection,
            caller.account_id,
            Wanted(
                reason=reason,
                stage=stage,
                endpoint_id=endpoint_id,
                since=begins,
                until=ends,
                redelivered=redelivered,
            ),
            before=None if place is None else place[0],
            limit=paging.limit + 1,
        )
    shown, cursor = paging.page(letters, _LIST, lambda letter: [letter.id])
    return Page[DeadLetterResource](data=[_resource(each) for each in shown], next_cursor=cursor)


@router.get("/{dead_letter_id}", dependencies=[READ_OR_INSTANCE], summary="Read a dead letter")
async def read_dead_letter(dead_letter_id: str, caller: Caller, work: Work) -> DeadLetterResource:
    """Read one thing that was set aside."""
    letter = await get_dead_letter(work.connection, caller.account_id, dead_letter_id)
    return _resource(_existing(letter))


@router.post(
    "/{dead_letter_id}/redeliver",
    status_code=202,
    dependencies=[WRITE_OR_INSTANCE],
    summary="Do a dead letter again",
)
async def redeliver_dead_letter(
    dead_letter_id: str, caller: Caller, work: Work
) -> DeadLetterResource:
    """Put a record back on its topic, have a delivery attempted again or a timer fire.

    A record is back a moment later: `redelivered_at` says when. One that has had its effect
    meanwhile has no second one.
    """
    account_id = caller.account_id
    letter = _existing(
        await get_dead_letter(work.connection, account_id, dead_letter_id, lock=True)
    )
    await redeliver_letter(work, Asker(account_id=account_id, actor=caller.key_id), letter)
    after = await get_dead_letter(work.connection, account_id, dead_letter_id)
    return _resource(_existing(after))


@router.delete(
    "/{dead_letter_id}",
    status_code=204,
    dependencies=[WRITE_OR_INSTANCE],
    summary="Forget a dead letter",
)
async def forget_dead_letter(dead_letter_id: str, caller: Caller, work: Work) -> None:
    """Forget what was set aside; its copy on the topic stays until that ages out."""
    account_id = caller.account_id
    if not await delete_dead_letter(work.connection, account_id, dead_letter_id):
        raise NotFoundError("There is no such dead letter.")
    asker = Asker(account_id=account_id, actor=caller.key_id)
    await write_audit(work.connection, [asker.entry(work, "dead_letter.forgotten", dead_letter_id)])


def _existing(letter: DeadLetter | None) -> DeadLetter:
    if letter is None:
        raise NotFoundError("There is no such dead letter.")
    return letter


def _resource(letter: DeadLetter) -> DeadLetterResource:
    record = None
    if letter.topic is not None:
        record = RecordResource(
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.record_offset,
            key=_text(letter.record_key),
            headers=letter.record_headers,
            value=_text(letter.record_value),
        )
    return DeadLetterResource(
        id=letter.id,
        reason=letter.reason,
        stage=letter.stage,
        attempts=letter.attempts,
        at=letter.at,
        delivery_id=letter.delivery_id,
        redelivered_at=letter.redelivered_at,
        record=record,
    )


def _text(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(value).decode()
