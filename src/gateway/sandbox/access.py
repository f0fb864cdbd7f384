"""Who is calling: tokens, `appsecret_proof`, permissions."""

import hmac
from dataclasses import dataclass
from typing import Final

from gateway.sandbox.calls import Call
from gateway.sandbox.errors import REQUEST_INVALID, GraphError, missing_object
from gateway.sandbox.people import Person
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.world import App, Page, Token, World

_EXPIRED: Final = 463
_ROLE_LOST: Final = 492


@dataclass(frozen=True, slots=True)
class PageCaller:
    """A call with a Page's token, and the permissions that it has now."""

    page: Page
    app: App
    token: Token
    scopes: tuple[str, ...]

    def needs(self, permission: str, *, code: int, message: str) -> None:
        """Raise GraphError unless the token carries a permission.

        What a person took away, or never gave, is refused with the code 10.
        """
        if permission in self.scopes:
            return
        if self.token.user_id is not None:
            raise GraphError(10, message=f"(#10) This call requires the '{permission}' permission")
        raise GraphError(code, message=message)


@dataclass(frozen=True, slots=True)
class PersonCaller:
    """A call with a person's token, and the permissions that it has now."""

    person: Person
    app: App
    token: Token
    scopes: tuple[str, ...]


def page_caller(world: World, timeline: Timeline, call: Call) -> PageCaller:
    """Return the Page whose token made a call; raises GraphError for any other token."""
    token = live_token(world, timeline, required_token(call))
    app = world.apps[token.app_id]
    check_proof(app, call)
    page = world.pages.get(token.page_id or "")
    if page is None:
        raise GraphError(190, message="(#190) This method must be called with a Page Access Token")
    if not is_page_granted(world, token, page):
        raise GraphError(
            200, message="(#200) The person who logged in does not let this app use the Page"
        )
    return PageCaller(page, app, token, scopes_now(world, token))


def person_caller(world: World, timeline: Timeline, call: Call) -> PersonCaller:
    """Return the person whose token made a call; raises GraphError for any other token."""
    token = live_token(world, timeline, required_token(call))
    app = world.apps[token.app_id]
    check_proof(app, call)
    person = world.people.get(token.user_id or "")
    if person is None or token.kind != "USER":
        raise GraphError(2500, message="An active access token must be used to query information")
    return PersonCaller(person, app, token, scopes_now(world, token))


def is_person_call(world: World, call: Call) -> bool:
    """Say whether a call is made with a person's token, however it fares."""
    token = world.tokens.get(call.token or "")
    return token is not None and token.kind == "USER"


def scopes_now(world: World, token: Token) -> tuple[str, ...]:
    """Return the permissions of a token that its person still grants."""
    person = world.people.get(token.user_id or "")
    if person is None:
        return token.scopes
    granted = person.granted(token.app_id).scopes
    return tuple(name for name in token.scopes if name in granted)


def is_page_granted(world: World, token: Token, page: Page) -> bool:
    """Say whether a token's person lets its app use a Page; yes where no login led to it."""
    person = world.people.get(token.user_id or "")
    return person is None or page.page_id in person.granted(token.app_id).page_ids


def caller_for_node(world: World, timeline: Timeline, call: Call) -> PageCaller:
    """Return the caller of `/{page}/…`, where the node is the token's own Page or `me`."""
    caller = page_caller(world, timeline, call)
    node = call.path[0]
    if node != "me" and not caller.page.owns(node):
        raise missing_object(node, call.method)
    return caller


def app_of_token(world: World, timeline: Timeline, call: Call) -> App:
    """Return the app that a call's token speaks for: an app token, or a token that it issued."""
    value = required_token(call)
    app_id, bar, secret = value.partition("|")
    if bar:
        app = world.apps.get(app_id)
        if app is None or not hmac.compare_digest(app.secret.encode(), secret.encode()):
            raise GraphError(190, message="Invalid OAuth access token signature.")
    else:
        app = world.apps[live_token(world, timeline, value).app_id]
    check_proof(app, call)
    return app


def required_token(call: Call) -> str:
    """Return a call's token; raises GraphError when there is none."""
    if call.token is None:
        raise GraphError(104, challenge=REQUEST_INVALID)
    return call.token


def live_token(world: World, timeline: Timeline, value: str) -> Token:
    """Return a token that is known and valid; raises GraphError 190 otherwise.

    A token nobody issued is answered as an expired one, 190/463.
    """
    token = world.tokens.get(value)
    if token is None:
        raise GraphError(190, 463)
    if (refusal := refusal_of(world, token, timeline)) is not None:
        raise GraphError(190, refusal)
    return token


def refusal_of(world: World, token: Token, timeline: Timeline) -> int | None:
    """Return the subcode of 190 that a token is refused with; None while it is valid."""
    if token.refusal is not None:
        return token.refusal
    if token.expires_at is not None and token.expires_at <= timeline.now():
        return _EXPIRED
    person = world.people.get(token.user_id or "")
    if person is not None and token.page_id is not None and token.page_id not in person.pages:
        return _ROLE_LOST
    return None


def check_proof(app: App, call: Call) -> None:
    """Check `appsecret_proof` where it is given, and that it is where the app requires it."""
    given = call.params.get("appsecret_proof")
    if given is None:
        if app.require_appsecret_proof:
            raise GraphError(
                100,
                message="API calls from the server require an appsecret_proof argument",
                challenge=REQUEST_INVALID,
            )
        return
    expected = app.proof(required_token(call))
    if not hmac.compare_digest(expected.encode(), str(given).encode("utf-8", "replace")):
        raise GraphError(
            100,
            message="Invalid appsecret_proof provided in the API argument",
            challenge=REQUEST_INVALID,
        )
