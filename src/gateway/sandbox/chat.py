"""The pages for people: which Pages there are, and a chat in which a person is the visitor."""

import html
import secrets
from collections.abc import Mapping
from string import Template
from typing import Annotated, Final

from fastapi import APIRouter, Form, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from gateway.sandbox.answers import AsciiJson
from gateway.sandbox.assets import SECURITY_HEADERS, template
from gateway.sandbox.content import INSTAGRAM_TEXT_LIMIT, TEXT_LIMIT
from gateway.sandbox.exchange import Exchange
from gateway.sandbox.media import Upload, size_limit, type_of
from gateway.sandbox.stream import Streams
from gateway.sandbox.threads import Thread
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.world import Page, World

_LISTED_VISITORS: Final = 5

VisitorId = Annotated[str, Query(pattern=r"^[A-Za-z0-9_.:+=-]{1,255}$")]


class Chat:
    """Serves the pages and takes what visitors attach."""

    def __init__(
        self, *, world: World, timeline: Timeline, exchange: Exchange, streams: Streams
    ) -> None:
        self._world = world
        self._timeline = timeline
        self._exchange = exchange
        self._streams = streams

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(include_in_schema=False)
        for method, path, endpoint in (
            ("GET", "/", self.index),
            ("POST", "/", self.make_page),
            ("GET", "/chat/{page_id}", self.chat),
            ("GET", "/chat/{page_id}/stream", self.stream),
            ("POST", "/chat/{page_id}/media", self.attach),
        ):
            router.add_api_route(path, endpoint, methods=[method], response_model=None)
        return router

    async def index(self) -> Response:
        """Show the Pages, each with the way into its chat."""
        cards = "".join(self._card(page) for page in self._world.pages.values())
        return _html("index.html", cards=cards or template("empty.html"))

    async def make_page(self, name: Annotated[str, Form(min_length=1, max_length=200)]) -> Response:
        """Make a Page with a token, as the form on the first page asks."""
        if self._world.is_full:
            raise HTTPException(409, "There are too many Pages.")
        page_id = str(10**14 + secrets.randbelow(9 * 10**14))
        page = self._world.add_page(Page(page_id=page_id, name=name))
        self._world.grant_page_token(page, self._world.default_app)
        return RedirectResponse("/", status_code=303)

    async def chat(self, page_id: str, visitor: VisitorId | None = None) -> Response:
        """Show a visitor's chat with a Page; a new visitor gets an id of their own."""
        page = self._world.page_of(page_id)
        if page is None:
            return _html("missing.html", status=404, page_id=page_id)
        if visitor is None:
            psid = str(10**15 + secrets.randbelow(9 * 10**15))
            return RedirectResponse(f"/chat/{page_id}?visitor={psid}", status_code=303)
        thread = self._world.open_thread(page, page_id, visitor)
        self._exchange.page_loaded(thread)
        return _html(
            "chat.html",
            page_id=page_id,
            page_name=page.name,
            psid=visitor,
            visitor_name=_name(thread),
            text_limit=str(INSTAGRAM_TEXT_LIMIT if thread.instagram else TEXT_LIMIT),
        )

    async def stream(self, page_id: str, visitor: VisitorId) -> Response:
        """Stream a thread and what passed for its Page, as server-sent events."""
        page = self._page(page_id)
        return self._streams.response(page, self._world.open_thread(page, page_id, visitor))

    async def attach(
        self, request: Request, page_id: str, name: Annotated[str, Query(max_length=255)] = "file"
    ) -> Response:
        """Store a file that a visitor attaches and return its type and address."""
        self._page(page_id)
        content_type = request.headers.get("content-type", "application/octet-stream")
        limit = size_limit(type_of(content_type))
        content = bytearray()
        async for chunk in request.stream():
            content += chunk
            if len(content) > limit:
                raise HTTPException(413, f"A file may have {limit // 1024 // 1024} MB.")
        medium = self._world.media.put(
            type_of(content_type),
            page_id=None,
            now=self._timeline.now(),
            upload=Upload(name=name, content_type=content_type, content=bytes(content)),
        )
        url = f"{request.base_url}media/{medium.medium_id}"
        return AsciiJson({"type": medium.type, "url": url})

    def _page(self, page_id: str) -> Page:
        if (page := self._world.page_of(page_id)) is None:
            raise HTTPException(404, "There is no such Page.")
        return page

    def _card(self, page: Page) -> str:
        valid = [each for each in self._world.page_tokens(page) if each.refusal is None]
        threads = [each for each in self._world.threads_of_page(page) if each.utterances]
        visitors = "".join(
            Template(template("visitor.html")).substitute(
                source_id=html.escape(thread.source_id),
                psid=html.escape(thread.psid),
                name=html.escape(_name(thread)),
            )
            for thread in threads[:_LISTED_VISITORS]
        )
        values = {
            "page_id": page.page_id,
            "name": page.name,
            "token": valid[-1].value if valid else "none is valid",
            "app_id": self._world.default_app.app_id,
            "state": "connected" if page.subscriptions else "waiting",
            "state_text": "Connected" if page.subscriptions else "Not connected yet",
        }
        return Template(template("card.html")).substitute(_escaped(values), visitors=visitors)


def _name(thread: Thread) -> str:
    return f"{thread.first_name} {thread.last_name}".strip()


def _html(name: str, *, status: int = 200, cards: str = "", **values: str) -> Response:
    body = Template(template(name)).substitute(_escaped(values), cards=cards)
    return HTMLResponse(body, status_code=status, headers=SECURITY_HEADERS)


def _escaped(values: Mapping[str, str]) -> dict[str, str]:
    return {name: html.escape(value) for name, value in values.items()}
