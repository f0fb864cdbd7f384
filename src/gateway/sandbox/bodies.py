"""Bodies of the control calls."""

from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.sandbox.invalidations import Invalidation
from gateway.sandbox.world import EchoMode

MAX_ADVANCE_SECONDS: Final = 10 * 366 * 24 * 60 * 60


def _id_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


GraphId = Annotated[str, BeforeValidator(_id_text), Field(pattern=r"^[A-Za-z0-9_.:+=-]{1,255}$")]


CallsPerHour = Annotated[int, Field(ge=1, le=1_000_000_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PageBody(_Body):
    """A Page. What is left out stays as it is, or takes its default on a new Page.

    `access_token` is one more valid token; without one, a new Page gets a random token.
    `invalidate` ends all tokens so far. `scopes` are the permissions of all its tokens. Of more
    than `calls_per_hour` calls, the usage headers tell in time, and further ones are refused.
    """

    page_id: GraphId
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    access_token: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    app_id: GraphId | None = None
    published: bool | None = None
    restricted: bool | None = None
    under_review: bool | None = None
    messages_allowed: bool | None = None
    human_agent: bool | None = None
    subscribed_fields: list[str] | None = None
    refused_fields: list[str] | None = None
    business_id: GraphId | None = None
    instagram_id: GraphId | None = None
    scopes: list[str] | None = None
    invalidate: Invalidation | None = None
    calls_per_hour: CallsPerHour | None = None


class GrantBody(_Body):
    """What a person lets an app do, as changed in Facebook's settings."""

    scopes: list[str] | None = None
    page_ids: list[GraphId] | None = None


class PersonBody(_Body):
    """A person who can log in. What is left out stays as it is.

    `pages` are those they have a role on, with their tasks; all tasks where the list is empty. A
    Page taken out is a role lost. `granted` is as changed in Facebook's settings: what tokens may
    do narrows at once. `invalidate` ends all tokens so far, once. `user_token` is one more valid
    token.
    """

    user_id: GraphId
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    app_id: GraphId | None = None
    pages: dict[GraphId, list[str]] | None = None
    granted: GrantBody | None = None
    invalidate: Invalidation | None = None
    token_seconds: Annotated[int, Field(ge=1, le=10 * 366 * 24 * 60 * 60)] | None = None
    accounts_page_size: Annotated[int, Field(ge=1, le=100)] | None = None
    unlisted: list[GraphId] | None = None
    user_token: Annotated[str, Field(min_length=1, max_length=1000)] | None = None


class AppBody(_Body):
    """A Meta app. What is left out stays, or is made up for a new app.

    `calls_per_hour` is what all its Pages together may make.
    """

    app_id: Annotated[str, BeforeValidator(_id_text), Field(pattern=r"^[0-9]{1,20}$")]
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    app_secret: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    verify_token: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    webhook_url: Annotated[str, Field(pattern=r"^(https?://[^\s]+)?$")] | None = None
    require_appsecret_proof: bool | None = None
    calls_per_hour: CallsPerHour | None = None


class HandshakeBody(_Body):
    """Meta's GET challenge; `verify_token` is sent instead of the app's own."""

    app_id: GraphId | None = None
    verify_token: str | None = None


class EchoesBody(_Body):
    """How the echoes of a Page's messages come."""

    page_id: GraphId
    mode: EchoMode


class ClockBody(_Body):
    """How far to move the clock, in seconds."""

    advance_seconds: Annotated[float, Field(ge=0, le=MAX_ADVANCE_SECONDS, allow_inf_nan=False)]


class VisitorBody(_Body):
    """A person, made if there was none. `open` is whether the thread is before their eyes."""

    first_name: Annotated[str, Field(max_length=100)] | None = None
    last_name: Annotated[str, Field(max_length=100)] | None = None
    locale: Annotated[str, Field(max_length=20)] | None = None
    profile_readable: bool | None = None
    blocked: bool | None = None
    open: bool | None = None


class InboxBody(_Body):
    """What a person writes in the Page's own inbox, who may take the thread by it."""

    text: Annotated[str, Field(min_length=1, max_length=2000)]
    take_thread: bool = False
