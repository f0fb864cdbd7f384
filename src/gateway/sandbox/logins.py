"""Facebook Login behind its pages: codes and tokens exchanged for tokens."""

import hmac
from collections.abc import Mapping
from typing import Any

from gateway.sandbox.access import refusal_of
from gateway.sandbox.calls import Call
from gateway.sandbox.errors import GraphError
from gateway.sandbox.people import Person
from gateway.sandbox.platform import Platform
from gateway.sandbox.world import App, World


def exchange(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `GET` or `POST /oauth/access_token`: a code, or a short-lived token, for a token."""
    app = _app(platform.world, call)
    if call.text("grant_type") == "fb_exchange_token":
        person = _person_of_token(platform, app, call)
        token = platform.world.grant_user_token(person, app, long=True)
    else:
        code = call.text("code")
        if code is None:
            raise GraphError(100, message="(#100) Missing required parameter: code")
        user_id = platform.codes.redeem(code, app, call.text("redirect_uri"))
        token = platform.world.grant_user_token(platform.world.people[user_id], app, long=False)
    answer: dict[str, Any] = {"access_token": token.value, "token_type": "bearer"}
    if token.expires_at is not None:
        answer["expires_in"] = int((token.expires_at - token.issued_at).total_seconds())
    return answer


def _app(world: World, call: Call) -> App:
    app = world.apps.get(call.text("client_id") or "")
    if app is None:
        raise GraphError(101, message="Error validating application. Invalid application ID.")
    given = call.text("client_secret") or ""
    if not hmac.compare_digest(app.secret.encode(), given.encode("utf-8", "replace")):
        # Meta's code for this is 1, which otherwise stands for faults of its own that pass.
        raise GraphError(1, status=400, message="Error validating client secret.", transient=False)
    return app


def _person_of_token(platform: Platform, app: App, call: Call) -> Person:
    world = platform.world
    token = world.tokens.get(call.text("fb_exchange_token") or "")
    if token is None or token.kind != "USER" or token.app_id != app.app_id:
        raise GraphError(190)
    if (refusal := refusal_of(world, token, platform.timeline)) is not None:
        raise GraphError(190, refusal)
    return world.people[token.user_id or ""]
