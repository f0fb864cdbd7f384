"""The control calls that furnish the sandbox: Pages, apps, and the visitors who write.

Nothing here exists at Meta, and nothing here asks who is calling: the sandbox is for a machine of
one's own.
"""

import secrets
from typing import Any, Final

from fastapi import APIRouter, HTTPException, Response

from gateway.sandbox.answers import AsciiJson
from gateway.sandbox.bodies import (
    MAX_ADVANCE_SECONDS,
    AppBody,
    GraphId,
    InboxBody,
    PageBody,
    VisitorBody,
)
from gateway.sandbox.content import Content
from gateway.sandbox.exchange import Exchange
from gateway.sandbox.invalidations import REFUSALS
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.views import app_view, page_view, visitor_view
from gateway.sandbox.world import INSTAGRAM_INBOX_APP_ID, PAGE_INBOX_APP_ID, App, Page, World

_FAR_MS: Final = MAX_ADVANCE_SECONDS * 1000
_PLAIN_FIELDS: Final = (
    "name",
    "published",
    "restricted",
    "under_review",
    "messages_allowed",
    "human_agent",
    "calls_per_hour",
)


class Control:
    """Pages, apps and visitors, under `/control`."""

    def __init__(self, *, world: World, timeline: Timeline, exchange: Exchange) -> None:
        self._world = world
        self._timeline = timeline
        self._exchange = exchange

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/control", tags=["control"])
        visitor = "/pages/{page_id}/visitors/{psid}"
        for method, path, endpoint in (
            ("POST", "/pages", self.put_page),
            ("GET", "/pages", self.list_pages),
            ("POST", "/apps", self.put_app),
            ("GET", "/apps", self.list_apps),
            ("POST", visitor, self.put_visitor),
            ("GET", visitor, self.read_visitor),
            ("POST", f"{visitor}/messages", self.visitor_writes),
            ("POST", f"{visitor}/inbox", self.inbox_writes),
        ):
            router.add_api_route(path, endpoint, methods=[method], response_model=None)
        return router

    async def put_page(self, body: PageBody) -> Response:
        """Make a Page, or change what is given of one."""
        app = self._world.apps.get(body.app_id or self._world.default_app.app_id)
        if app is None:
            raise HTTPException(404, "There is no such app.")
        self._check_claims(body)
        page = self._world.pages.get(body.page_id) or self._new_page(body)
        self._change_page(page, body)
        self._change_tokens(page, app, body)
        if body.subscribed_fields is not None:
            page.subscriptions[app.app_id] = tuple(dict.fromkeys(body.subscribed_fields))
        return AsciiJson(page_view(self._world, page))

    async def list_pages(self) -> Response:
        """List the Pages."""
        pages = self._world.pages.values()
        return AsciiJson({"data": [page_view(self._world, page) for page in pages]})

    async def put_app(self, body: AppBody) -> Response:
        """Make an app, or change what is given of one."""
        app = self._world.apps.get(body.app_id)
        if app is None:
            app = self._world.add_app(
                App(
                    app_id=body.app_id,
                    name=f"App {body.app_id}",
                    secret=secrets.token_hex(16),
                    verify_token=secrets.token_hex(16),
                )
            )
        app.name = body.name or app.name
        app.secret = body.app_secret or app.secret
        app.verify_token = body.verify_token or app.verify_token
        if body.webhook_url is not None:
            app.webhook_url = body.webhook_url
        if body.require_appsecret_proof is not None:
            app.require_appsecret_proof = body.require_appsecret_proof
        app.calls_per_hour = body.calls_per_hour or app.calls_per_hour
        return AsciiJson(app_view(app))

    async def list_apps(self) -> Response:
        """List the apps, secrets and all."""
        return AsciiJson({"data": [app_view(app) for app in self._world.apps.values()]})

    async def put_visitor(self, page_id: GraphId, psid: GraphId, body: VisitorBody) -> Response:
        """Make a person, or change what is given of one."""
        thread = self._world.open_thread(self._page(page_id), page_id, psid)
        for name in ("first_name", "last_name", "locale", "profile_readable", "blocked"):
            if (value := getattr(body, name)) is not None:
                setattr(thread, name, value)
        if body.open is not None:
            thread.open_until = self._timeline.millis() + _FAR_MS if body.open else 0
        if body.open:
            self._exchange.read(thread)
        thread.changed()
        return AsciiJson(visitor_view(thread, self._timeline.millis()))

    async def read_visitor(self, page_id: GraphId, psid: GraphId) -> Response:
        """Read a person and their thread."""
        self._page(page_id)
        thread = self._world.thread(page_id, psid)
        if thread is None:
            raise HTTPException(404, "There is no such person.")
        return AsciiJson(visitor_view(thread, self._timeline.millis()))

    async def visitor_writes(
        self, page_id: GraphId, psid: GraphId, body: dict[str, Any]
    ) -> Response:
        """Send what a person writes, or any raw messaging item, as Meta would.

        Answers after the first attempt with the event as sent, its `mid`, and the status that the
        webhook got: null where none came or no app subscribed the field.
        """
        page = self._page(page_id)
        text = body.get("text")
        is_text = set(body) == {"text"}
        if is_text and not isinstance(text, str):
            raise HTTPException(422, "text must be a string.")
        raw = {"message": {"text": text}} if is_text else body
        sent = self._exchange.from_visitor(page, page_id, psid, raw)
        for posting in sent.postings:
            await posting.tried.wait()
        return AsciiJson(
            {
                "event": sent.item,
                "mid": sent.mid,
                "status": sent.postings[0].status if sent.postings else None,
                "webhooks": [posting.summary() for posting in sent.postings],
            }
        )

    async def inbox_writes(self, page_id: GraphId, psid: GraphId, body: InboxBody) -> Response:
        """Answer a person from the Page's own inbox, as another hand on the thread."""
        page = self._page(page_id)
        thread = self._world.thread(page_id, psid)
        if thread is None:
            raise HTTPException(404, "There is no such person.")
        inbox = INSTAGRAM_INBOX_APP_ID if thread.instagram else PAGE_INBOX_APP_ID
        if body.take_thread:
            self._exchange.hand_over(thread, "take", actor=inbox, new_owner=inbox, metadata=None)
        said = self._exchange.from_page(page, thread, Content(text=body.text), app_id=inbox)
        return AsciiJson({"mid": said.mid})

    def _page(self, page_id: str) -> Page:
        if (page := self._world.page_of(page_id)) is None:
            raise HTTPException(404, "There is no such Page.")
        return page

    def _check_claims(self, body: PageBody) -> None:
        """Check that neither the token nor the Instagram account is another Page's."""
        held = self._world.tokens.get(body.access_token or "")
        if held is not None and held.page_id != body.page_id:
            raise HTTPException(409, "That token is somebody else's.")
        holder = self._world.page_of(body.instagram_id or "")
        if body.instagram_id == body.page_id or (
            holder is not None and holder.page_id != body.page_id
        ):
            raise HTTPException(409, "That Instagram id is another Page's.")
        taken = self._world.page_of(body.page_id)
        if taken is not None and taken.page_id != body.page_id:
            raise HTTPException(409, "That id is an Instagram account's.")

    def _new_page(self, body: PageBody) -> Page:
        if self._world.is_full:
            raise HTTPException(409, "There are too many Pages.")
        return self._world.add_page(Page(page_id=body.page_id, name=f"Page {body.page_id}"))

    def _change_page(self, page: Page, body: PageBody) -> None:
        for name in _PLAIN_FIELDS:
            if (value := getattr(body, name)) is not None:
                setattr(page, name, value)
        if "business_id" in body.model_fields_set:
            page.business_id = body.business_id
        if "instagram_id" in body.model_fields_set:
            self._world.link_instagram(page, body.instagram_id)
        if body.refused_fields is not None:
            page.refused_fields = tuple(body.refused_fields)

    def _change_tokens(self, page: Page, app: App, body: PageBody) -> None:
        if body.invalidate is not None:
            for token in self._world.page_tokens(page):
                token.refusal = token.refusal or REFUSALS[body.invalidate]
        if body.access_token is not None or not self._world.page_tokens(page):
            self._world.grant_page_token(page, app, value=body.access_token)
        if body.scopes is not None:
            for token in self._world.page_tokens(page):
                token.scopes = tuple(body.scopes)
