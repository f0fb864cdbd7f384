"""Bots: rules that answer by themselves."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi import Body as FromBody
from pydantic import Field

from gateway.api.filters import Search
from gateway.api.parts import Parts
from gateway.contracts.bot_rules import MOST_RULES, BotRuleSettings, stored_rules
from gateway.contracts.content import MediaContent
from gateway.db.bots import BOTS, Bot, add_bot_version, find_bot_rules
from gateway.db.links import is_linked
from gateway.db.search import matches
from gateway.db.tables import bots
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.errors import ConflictError, NotFoundError
from gateway.http.pagination import Paging
from gateway.http.patches import Patch
from gateway.http.routes import READ, WRITE, AccountId, GatewayRoute, Work
from gateway.http.schemas import Body, Line, Moment, Page, Resource
from gateway.http.versions import IfMatch, tag_version
from gateway.messaging.contents import require_media

router = APIRouter(prefix="/v1/bots", tags=["Bots"], route_class=GatewayRoute)

Rules = Annotated[list[BotRuleSettings], Field(min_length=1, max_length=MOST_RULES)]


class BotSettings(Body):
    """What can be set of a bot."""

    name: Line = Field(examples=["Opening hours"])
    rules: Rules = Field(
        description="Looked at in this order; where none matches, it says nothing."
    )


class BotResource(Resource):
    """Rules that answer by themselves."""

    id: str = Field(examples=["bot_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    name: str
    rules: list[dict[str, Any]]
    created_at: Moment
    version: int = Field(description="An enquiry ends on the version with which it came to it.")


@router.post("", status_code=201, dependencies=[WRITE])
async def create_bot(
    body: BotSettings, account_id: AccountId, work: Work, response: Response
) -> BotResource:
    """Make a bot."""
    bot = Bot(
        account_id=account_id,
        id=ids.new_id(ids.BOT),
        name=body.name,
        version=1,
        created_at=work.now,
        deleted_at=None,
    )
    await BOTS.insert(work.connection, bot, now=work.now)
    await _require_media(work, account_id, body.rules)
    return await _keep(work, bot, stored_rules(body.rules), response)


@router.get("", dependencies=[READ])
async def list_all_bots(
    account_id: AccountId, work: Work, paging: Paging, search: Search = None
) -> Page[BotResource]:
    """List bots, the newest first."""
    place = paging.place("bots", str)
    rows = await BOTS.list(
        work.connection,
        account_id,
        *([] if search is None else [matches(bots.c.name, search)]),
        before=None if place is None else place[0],
        limit=paging.limit + 1,
    )
    shown, cursor = paging.page(rows, "bots", lambda bot: [bot.id])
    rules = await find_bot_rules(work.connection, account_id, [bot.id for bot in shown])
    return Page(data=[_resource(bot, rules[bot.id]) for bot in shown], next_cursor=cursor)


@router.get("/{bot_id}", dependencies=[READ])
async def read_bot(
    bot_id: str, account_id: AccountId, work: Work, response: Response
) -> BotResource:
    """Read a bot."""
    bot = await _existing(work, account_id, bot_id)
    tag_version(response, bot.version)
    return _resource(bot, await _rules(work, bot))


@router.patch("/{bot_id}", dependencies=[WRITE])
async def change_bot_settings(
    bot_id: str,
    body: Annotated[Patch[BotSettings], FromBody()],
    account_id: AccountId,
    work: Work,
    if_match: IfMatch,
    response: Response,
) -> BotResource:
    """Change a bot; what it has begun goes on with the rules that it had then."""
    bot = await _existing(work, account_id, bot_id, lock=True)
    if_match.check(bot.version)
    present = {"name": bot.name, "rules": await _rules(work, bot)}
    wanted = body.apply_to(BotSettings.model_validate(present))
    if "rules" in body.changes:
        # What was uploaded before and is gone since is no reason to refuse another name.
        await _require_media(work, account_id, wanted.rules)
    bot = await BOTS.change(work.connection, bot, now=work.now, name=wanted.name)
    return await _keep(work, bot, stored_rules(wanted.rules), response)


@router.delete("/{bot_id}", status_code=204, dependencies=[WRITE])
async def delete_bot(bot_id: str, account_id: AccountId, parts: Parts, work: Work) -> None:
    """Delete a bot that no channel is linked to.

    Enquiries that it has as a destination go on with their channel's rule.
    """
    bot = await _existing(work, account_id, bot_id, lock=True)
    if await is_linked(work.connection, account_id, bot_id):
        raise ConflictError("A channel is answered by this bot; change its link first.")
    await BOTS.change(work.connection, bot, now=work.now, edited=False, deleted_at=work.now)
    await parts.routing_changes.destination_changed(work, account_id, bot_id)


async def _existing(work: UnitOfWork, account_id: str, bot_id: str, *, lock: bool = False) -> Bot:
    bot = await BOTS.get(work.connection, account_id, bot_id, lock=lock)
    if bot is None:
        raise NotFoundError("There is no such bot.")
    return bot


async def _require_media(
    work: UnitOfWork, account_id: str, rules: Sequence[BotRuleSettings]
) -> None:
    for number, rule in enumerate(rules):
        for place, content in enumerate(rule.messages):
            if isinstance(content, MediaContent) and content.media_id is not None:
                pointer = f"/rules/{number}/messages/{place}"
                await require_media(work, account_id, content, pointer=pointer)


async def _rules(work: UnitOfWork, bot: Bot) -> list[dict[str, Any]]:
    return (await find_bot_rules(work.connection, bot.account_id, [bot.id]))[bot.id]


async def _keep(
    work: UnitOfWork, bot: Bot, rules: list[dict[str, Any]], response: Response
) -> BotResource:
    await add_bot_version(work.connection, bot, rules, now=work.now)
    tag_version(response, bot.version)
    return _resource(bot, rules)


def _resource(bot: Bot, rules: Sequence[dict[str, Any]]) -> BotResource:
    return BotResource(
        id=bot.id,
        name=bot.name,
        rules=list(rules),
        created_at=bot.created_at,
        version=bot.version,
    )
