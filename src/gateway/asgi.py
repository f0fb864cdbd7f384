"""Composition root of the HTTP process: the REST API and the ingress in one application."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from fastapi import APIRouter, FastAPI

from gateway import __version__
from gateway.api import (
    accounts,
    agents,
    api_keys,
    audit,
    backfilling,
    bots,
    channel_actions,
    channel_icons,
    channel_messages,
    channels,
    contacts,
    conversations,
    dead_letters,
    deliveries,
    departments,
    destinations,
    diagnosis,
    docs,
    endpoint_actions,
    endpoints,
    events,
    media,
    media_content,
    messages,
    meta_apps,
    meta_callbacks,
    problems,
    reruns,
    teams,
    thread_control,
)
from gateway.api.feed_watch import FeedWatch
from gateway.api.logins import browser as login_browser
from gateway.api.logins import routes as facebook_logins
from gateway.api.parts import ApiParts
from gateway.db.unit_of_work import Database
from gateway.http.auth import Authenticator
from gateway.http.boundary import Boundary
from gateway.http.description import DESCRIPTION, SUMMARY, TITLE, describe, operation_id
from gateway.http.limits import CallLimit
from gateway.http.refusals import install
from gateway.http.routes import RestParts
from gateway.media_store import MediaStore
from gateway.settings import Settings
from gateway.tracing import Tracing

_RESOURCES: Final = (
    accounts,
    api_keys,
    meta_apps,
    channels,
    channel_actions,
    diagnosis,
    backfilling,
    channel_icons,
    channel_messages,
    facebook_logins,
    login_browser,
    meta_callbacks,
    conversations,
    thread_control,
    messages,
    contacts,
    agents,
    teams,
    bots,
    endpoints,
    endpoint_actions,
    departments,
    destinations,
    deliveries,
    dead_letters,
    reruns,
    audit,
    media,
    media_content,
    events,
    problems,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppParts:
    """What the application is put together from.

    `routers` come from beside the API: the routing's and the ingress's.
    """

    database: Database
    api: ApiParts
    tracing: Tracing = field(default_factory=Tracing)
    routers: Sequence[APIRouter] = ()
    feed: FeedWatch = field(default_factory=FeedWatch)
    media: MediaStore | None = None


def create_app(settings: Settings, parts: AppParts) -> FastAPI:
    """Return the application."""
    app = create_shell(parts.routers)
    furnish(app, settings, parts)
    return app


def create_shell(routers: Sequence[APIRouter] = ()) -> FastAPI:
    """Return the application without its parts: routes, descriptions and answers to errors.

    What FastAPI works out about each route at its first request stays with the shell.
    """
    app = FastAPI(
        title=TITLE,
        summary=SUMMARY,
        description=DESCRIPTION,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
    )
    for module in _RESOURCES:
        app.include_router(module.router)
    for router in routers:
        app.include_router(router)
    docs.install(app)
    install(app)
    describe(app)
    app.add_middleware(Boundary)
    return app


def furnish(app: FastAPI, settings: Settings, parts: AppParts) -> None:
    """Give an application its parts, in the place of any that it had."""
    app.state.rest = RestParts(
        database=parts.database,
        authenticator=Authenticator(
            parts.database, admin_key=settings.gateway_admin_key.get_secret_value()
        ),
        call_limit=CallLimit(settings.api_rate_limit_per_minute),
        body_bytes=settings.api_body_bytes,
        tracing=parts.tracing,
    )
    app.state.api = parts.api
    app.state.feed = parts.feed
    app.state.media = parts.media
