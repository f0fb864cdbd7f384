"""Who is calling: tokens, `appsecret_proof`, permissions."""

import hmac
from dataclasses import dataclass

from gateway.sandbox.calls import Call
from gateway.sandbox.errors import REQUEST_INVALID, GraphError, missing_object
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.world import App, Page, Token, World


@dataclass(frozen=True, slots=True)
class PageCaller:
    """A call with a Page's token."""

    page: Page
    app: App
    token: Token

    def needs(self, permission: str, *, code: int, message: str) -> None:
        """Raise GraphError unless the token carries a permission."""
        if permission not in self.token.scopes:
            raise GraphError(code, message=message)


def page_caller(world: World, timeline: Timeline, call: Call) -> PageCaller:
    """Return the Page whose token made a call; raises GraphError for any other token."""
    token = live_token(world, timeline, required_token(call))
    app = world.apps[token.app_id]
    check_proof(app, call)
    page = world.pages.get(token.page_id or "")
    if page is None:
        raise GraphError(190, message="(#190) This method must be called with a Page Access Token")
    return PageCaller(page, app, token)


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
    if (refusal := refusal_of(token, timeline)) is not None:
        raise GraphError(190, refusal)
    return token


def refusal_of(token: Token, timeline: Timeline) -> int | None:
    """Return the subcode of 190 that a token is refused with; None while it is valid."""
    if token.refusal is not None:
        return token.refusal
    if token.expires_at is not None and token.expires_at <= timeline.now():
        return 463
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
