"""Makes channels of the Pages that were chosen after a login."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import regex
from pydantic import Field

from gateway.api.channel_bodies import (
    MAX_NAME,
    ChannelName,
    ChannelSettings,
    NewInstagramChannel,
    NewMessengerChannel,
    SourceId,
)
from gateway.api.channel_resources import shown
from gateway.api.logins.resources import granted_pages
from gateway.api.new_channels import ask_for_new_source, check_new_channel, make_channel
from gateway.api.parts import ApiParts
from gateway.contracts.resources import Channel as ChannelResource
from gateway.db.channel_writes import find_on_pages
from gateway.db.channels import Channel
from gateway.db.logins import Login, change_login
from gateway.db.page_tokens import find_page_tokens
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind
from gateway.domain.login import GrantedPage, LoginState, why_not_connectable
from gateway.errors import ConflictError, FieldFault, GatewayError, InvalidFieldsError
from gateway.http.exchange import Exchange
from gateway.http.problems import problem_body, problem_type_of
from gateway.http.schemas import Body, Resource
from gateway.messaging.channel_status import already_connected

_CHARACTER = regex.compile(r"\X")


class PageChoice(ChannelSettings):
    """A Page to be connected, and the settings of its channel."""

    page_id: SourceId
    kind: Literal["messenger", "instagram"] = Field(
        default="messenger", description="`instagram`: the Instagram account behind the Page."
    )
    name: ChannelName | None = Field(  # type: ignore[assignment]  # the Page has one
        default=None, description="The channel's; without one, the Page's."
    )


class Choice(Body):
    """What is connected of a grant."""

    pages: list[PageChoice] = Field(min_length=1, max_length=100)


class PageResult(Resource):
    """What became of a Page that was chosen."""

    page_id: str
    status: Literal["connected", "failed"]
    channel: ChannelResource | None = None
    problem: dict[str, Any] | None = Field(default=None, description="A problem document.")


class PageResults(Resource):
    """What became of each Page that was chosen."""

    data: list[PageResult]


async def connect_chosen(
    exchange: Exchange,
    parts: ApiParts,
    login: Login,
    choices: Sequence[PageChoice],
    *,
    instance: str,
) -> list[PageResult]:
    """Connect Pages one by one; one that cannot be connected keeps no other from it.

    `instance` is the request's id, for the problems.

    Raises:
        ConflictError: There is no grant to choose from.
    """
    if login.state not in (LoginState.GRANTED, LoginState.FINISHED) or login.user_id is None:
        raise ConflictError("This login has no grant; begin one anew.")
    pages = {each.page_id: each for each in granted_pages(login)}
    results = []
    for number, choice in enumerate(choices):
        page = pages.get(choice.page_id)
        try:
            if page is None:
                raise _not_granted(number)
            channel = await _connect(exchange, parts, login, page, choice)
        except GatewayError as error:
            results.append(_failure(choice.page_id, error, instance=instance))
        else:
            results.append(
                PageResult(
                    page_id=choice.page_id, status="connected", channel=shown(parts, channel)
                )
            )
    if any(each.channel is not None for each in results):
        async with exchange.glance() as work:
            await change_login(work.connection, login, now=work.now, state=LoginState.FINISHED)
    return results


def not_a_choice(page_id: str, *, instance: str) -> PageResult:
    """Return what became of a Page whose channel was given a name that cannot be one."""
    detail = f"A channel's name has 1 to {MAX_NAME} characters."
    refusal = InvalidFieldsError(detail, faults=[FieldFault("/name", "invalid-name", detail)])
    return _failure(page_id, refusal, instance=instance)


def _failure(page_id: str, error: GatewayError, *, instance: str) -> PageResult:
    problem = problem_body(
        problem_type_of(error),
        error.detail,
        instance=instance,
        faults=error.faults,
        extra=error.extra,
    )
    return PageResult(page_id=page_id, status="failed", problem=problem)


async def _connect(
    exchange: Exchange, parts: ApiParts, login: Login, page: GrantedPage, choice: PageChoice
) -> Channel:
    reason = why_not_connectable(page, taken=False, scopes=login.scopes)
    if reason is not None:
        raise ConflictError(reason)
    async with exchange.glance() as work:
        own = await _own_channel(work, login, choice)
        if own is not None and own.created_at >= login.created_at:
            # Made by this very login: the same was asked before, and its answer was lost.
            return own
        if own is not None:
            raise already_connected()
        kept = await find_page_tokens(
            work.connection, login.account_id, login.meta_app_id, [page.page_id]
        )
        token = next(each for each in kept if each.user_id == login.user_id)
        body = _new_channel(login, page, choice, token.open(work.keyring).get_secret_value())
        await check_new_channel(work, parts, login.account_id, body)
    asked = await ask_for_new_source(exchange, parts, body)
    by_login = {"connected_by": login.user_id, "human_agent": asked.human_agent}
    asked = replace(asked, columns=asked.columns | by_login)
    async with exchange.glance() as work:
        return await make_channel(work, parts, login.account_id, body, asked)


async def _own_channel(work: UnitOfWork, login: Login, choice: PageChoice) -> Channel | None:
    own = await find_on_pages(
        work.connection, login.account_id, login.meta_app_id, [choice.page_id]
    )
    return next(
        (each for each in own if each.kind.value == choice.kind and each.holds_source), None
    )


def _new_channel(
    login: Login, page: GrantedPage, choice: PageChoice, token: str
) -> NewMessengerChannel | NewInstagramChannel:
    settings = choice.model_dump(exclude={"page_id", "kind", "name"}, exclude_unset=True)
    source = {"page_id": page.page_id, "page_access_token": token, "page_name": page.name}
    name = choice.name or "".join(_CHARACTER.findall(page.name)[:MAX_NAME])
    values = {**settings, "kind": choice.kind, "name": name, "meta_app_id": login.meta_app_id}
    if choice.kind == ChannelKind.MESSENGER.value:
        return NewMessengerChannel.model_validate(values | {"source": source})
    if page.instagram_id is None:
        raise ConflictError("No Instagram account is linked to this Page.")
    source["instagram_id"] = page.instagram_id
    return NewInstagramChannel.model_validate(values | {"source": source})


def _not_granted(number: int) -> InvalidFieldsError:
    detail = "This Page is not among those that were granted."
    return InvalidFieldsError(
        detail, faults=[FieldFault(f"/pages/{number}/page_id", "not-granted", detail)]
    )
