"""Everything that exists in the sandbox: apps, Pages, people, their tokens and their threads."""

import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from gateway.sandbox.media import MediaShelf
from gateway.sandbox.people import Person
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.threads import Thread
from gateway.sandbox.timeline import Timeline

PAGE_PERMISSIONS: Final = (
    "pages_show_list",
    "pages_messaging",
    "pages_manage_metadata",
    "pages_read_engagement",
    "business_management",
)
INSTAGRAM_PERMISSIONS: Final = ("instagram_basic", "instagram_manage_messages")
# Fifteen digits are what is long seen on the wire; one page of Meta's prints fourteen.
PAGE_INBOX_APP_ID: Final = "263902037430900"
INSTAGRAM_INBOX_APP_ID: Final = "1217981644879628"

EchoMode = Literal["on", "off", "delay", "reorder"]
TokenKind = Literal["PAGE", "USER", "SYSTEM_USER"]


@dataclass(slots=True, kw_only=True)
class App:
    """A Meta app: the side of the gateway, or of a stranger."""

    app_id: str
    name: str
    secret: str
    verify_token: str
    webhook_url: str = ""
    require_appsecret_proof: bool = False
    calls_per_hour: int | None = None

    @property
    def access_token(self) -> str:
        """The app token, `APP_ID|APP_SECRET`."""
        return f"{self.app_id}|{self.secret}"

    @property
    def address(self) -> str:
        """Where this app's webhooks go; empty for nowhere."""
        return self.webhook_url.replace("{app_id}", self.app_id)

    def proof(self, access_token: str) -> str:
        """Return the `appsecret_proof` that belongs to a token."""
        return hmac.new(self.secret.encode(), access_token.encode(), "sha256").hexdigest()


@dataclass(slots=True, kw_only=True)
class Token:
    """An access token. `refusal` is the subcode of 190 that calls with it get once it is dead.

    One that a person's login led to names them, and may do what they grant at the time of the call;
    the others, made by hand, may do what they were made for. `long` is whether a user token was
    exchanged for one of long life.
    """

    value: str
    kind: TokenKind
    app_id: str
    issued_at: datetime
    scopes: tuple[str, ...]
    page_id: str | None = None
    user_id: str | None = None
    expires_at: datetime | None = None
    refusal: int | None = None
    long: bool = False


@dataclass(slots=True, kw_only=True)
class Persona:
    """A name and picture under which a person answers for a Page."""

    persona_id: str
    name: str
    profile_picture_url: str


@dataclass(slots=True, kw_only=True)
class Comment:
    """A person's comment on a post. `at` is in milliseconds."""

    source_id: str
    psid: str
    at: int
    replied: bool = False


@dataclass(slots=True, kw_only=True)
class Page:
    """A Page, and the Instagram account that belongs to it, where one does.

    `subscriptions` maps an app's id to the fields it subscribed; `refused_fields` are those that
    Meta would not grant for lack of review. `alerts` is what Meta would write to the developer.
    """

    page_id: str
    name: str
    published: bool = True
    restricted: bool = False
    under_review: bool = False
    messages_allowed: bool = True
    human_agent: bool = False
    business_id: str | None = None
    instagram_id: str | None = None
    refused_fields: tuple[str, ...] = ()
    subscriptions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    personas: dict[str, Persona] = field(default_factory=dict)
    comments: dict[str, Comment] = field(default_factory=dict)
    calls_per_hour: int | None = None
    echoes: EchoMode = "on"
    echoes_held: int = 0
    alerts: list[str] = field(default_factory=list)

    def owns(self, node: str) -> bool:
        """Say whether an id is this Page's or its Instagram account's."""
        return node == self.page_id or (node == self.instagram_id and node != "")


class World:
    """The sandbox's memory. Bounded: the least recently used threads and media go first."""

    def __init__(self, settings: SandboxSettings, timeline: Timeline) -> None:
        self._settings = settings
        self._timeline = timeline
        self.apps: dict[str, App] = {}
        self.pages: dict[str, Page] = {}
        self.people: dict[str, Person] = {}
        self.tokens: dict[str, Token] = {}
        self.threads: OrderedDict[tuple[str, str], Thread] = OrderedDict()
        self.media = MediaShelf(max_bytes=settings.max_media_bytes)
        self._sources: dict[str, Page] = {}
        self._page_tokens_of_people: dict[tuple[str, str], str] = {}
        self._threads_by_page: dict[str, OrderedDict[tuple[str, str], Thread]] = {}
        self.default_app = self.add_app(
            App(
                app_id=settings.app_id,
                name=settings.app_name,
                secret=settings.app_secret.get_secret_value(),
                verify_token=settings.verify_token.get_secret_value(),
                webhook_url=settings.webhook_url,
                require_appsecret_proof=settings.require_appsecret_proof,
            )
        )

    def add_app(self, app: App) -> App:
        """Register an app under its id."""
        self.apps[app.app_id] = app
        return app

    @property
    def is_full(self) -> bool:
        """Whether no further Page fits."""
        return len(self.pages) >= self._settings.max_pages

    def add_page(self, page: Page) -> Page:
        """Register a Page under its id."""
        self.pages[page.page_id] = page
        self._sources[page.page_id] = page
        return page

    def link_instagram(self, page: Page, instagram_id: str | None) -> None:
        """Give a Page its Instagram account, or take it away."""
        if page.instagram_id is not None:
            self._sources.pop(page.instagram_id, None)
        page.instagram_id = instagram_id
        if instagram_id is not None:
            self._sources[instagram_id] = page

    def page_of(self, source_id: str) -> Page | None:
        """Return the Page that has this id, or whose Instagram account has it."""
        return self._sources.get(source_id)

    def grant_page_token(
        self,
        page: Page,
        app: App,
        *,
        value: str | None = None,
        scopes: tuple[str, ...] | None = None,
    ) -> Token:
        """Make one more valid token of a Page. Granting a known value again revives it.

        Without `scopes` it may do everything on the Page, and on its Instagram account.
        """
        of_instagram = () if page.instagram_id is None else INSTAGRAM_PERMISSIONS
        token = Token(
            value=value or _new_token(),
            kind="PAGE",
            app_id=app.app_id,
            issued_at=self._timeline.now(),
            scopes=(*PAGE_PERMISSIONS, *of_instagram) if scopes is None else scopes,
            page_id=page.page_id,
        )
        self.tokens[token.value] = token
        return token

    def grant_user_token(
        self, person: Person, app: App, *, long: bool, value: str | None = None
    ) -> Token:
        """Make one more valid token of a person."""
        now = self._timeline.now()
        token = Token(
            value=value or _new_token(),
            kind="USER",
            app_id=app.app_id,
            issued_at=now,
            scopes=PAGE_PERMISSIONS + INSTAGRAM_PERMISSIONS,
            user_id=person.user_id,
            expires_at=now + person.life(long=long),
            long=long,
        )
        self.tokens[token.value] = token
        return token

    def page_token_of(self, person: Person, user_token: Token, page: Page) -> Token:
        """Return the token of a Page that a person's token leads to, the same each time.

        It has no end where the person's token is one of long life, unless they were told another.
        """
        key = (user_token.value, page.page_id)
        value = self._page_tokens_of_people.get(key)
        if value is None:
            endless = user_token.long and person.token_seconds is None
            token = Token(
                value=_new_token(),
                kind="PAGE",
                app_id=user_token.app_id,
                issued_at=self._timeline.now(),
                scopes=user_token.scopes,
                page_id=page.page_id,
                user_id=person.user_id,
                expires_at=None if endless else user_token.expires_at,
                refusal=user_token.refusal,
            )
            self.tokens[token.value] = token
            self._page_tokens_of_people[key] = value = token.value
        return self.tokens[value]

    def tokens_of(self, person: Person) -> list[Token]:
        """Return the tokens that a person's logins led to, dead ones included."""
        return [token for token in self.tokens.values() if token.user_id == person.user_id]

    def page_tokens(self, page: Page) -> list[Token]:
        """Return a Page's tokens, dead ones included, oldest first."""
        return [token for token in self.tokens.values() if token.page_id == page.page_id]

    def thread(self, source_id: str, psid: str) -> Thread | None:
        """Return the thread between a Page (or Instagram account) and a person, if there is one."""
        return self.threads.get((source_id, psid))

    def thread_of(self, page: Page, psid: str) -> Thread | None:
        """Return the thread of a person who has turned to a Page or to its Instagram account."""
        for source_id in (page.page_id, page.instagram_id):
            found = self.thread(source_id, psid) if source_id is not None else None
            if found is not None and found.acted:
                return found
        return None

    def open_thread(self, page: Page, source_id: str, psid: str) -> Thread:
        """Return a person's thread, made if there was none."""
        key = (source_id, psid)
        thread = self.threads.get(key)
        if thread is None:
            thread = Thread(
                page_id=page.page_id,
                source_id=source_id,
                psid=psid,
                instagram=source_id == page.instagram_id,
                max_messages=self._settings.max_thread_messages,
            )
            self.threads[key] = thread
            self._threads_by_page.setdefault(page.page_id, OrderedDict())[key] = thread
            if len(self.threads) > self._settings.max_threads:
                gone, _ = next(iter(self.threads.items()))
                self._threads_by_page[self.threads.pop(gone).page_id].pop(gone)
        self.threads.move_to_end(key)
        self._threads_by_page[page.page_id].move_to_end(key)
        return thread

    def threads_of_page(self, page: Page) -> list[Thread]:
        """Return the threads of a Page and its Instagram account, the latest used first."""
        return list(self._threads_by_page.get(page.page_id, {}).values())[::-1]


def _new_token() -> str:
    return "EAA" + secrets.token_urlsafe(60)
