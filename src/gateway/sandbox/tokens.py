"""`debug_token`: what a token is good for."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.sandbox.access import app_of_token, is_page_granted, refusal_of, scopes_now
from gateway.sandbox.calls import Call
from gateway.sandbox.errors import GraphError
from gateway.sandbox.platform import Platform
from gateway.sandbox.world import Token, World

DATA_ACCESS: Final = timedelta(days=90)


def debug_token(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `GET` or `POST /debug_token`.

    A bad token of the caller is an error of the call; a bad `input_token` is told in `data`; one of
    another app is refused.
    """
    app = app_of_token(platform.world, platform.timeline, call)
    value = call.text("input_token")
    if value is None:
        raise GraphError(100, message="(#100) The parameter input_token is required")
    token = platform.world.tokens.get(value)
    if token is None:
        error = {"code": 190, "message": "Invalid OAuth access token."}
        return {"data": {"error": error, "is_valid": False, "scopes": []}}
    if token.app_id != app.app_id:
        raise GraphError(
            100, message="(#100) The App_id in the input_token did not match the Viewing App"
        )
    return {"data": _described(platform, token)}


def _described(platform: Platform, token: Token) -> dict[str, Any]:
    world = platform.world
    refusal = refusal_of(world, token, platform.timeline)
    scopes = scopes_now(world, token)
    page = world.pages.get(token.page_id or "")
    if page is not None and page.human_agent:
        scopes = (*scopes, "human_agent")
    targets = _targets(world, token)
    described: dict[str, Any] = {
        "app_id": token.app_id,
        "type": token.kind,
        "application": world.apps[token.app_id].name,
        "data_access_expires_at": _seconds(platform.timeline.now() + DATA_ACCESS),
        "expires_at": 0 if token.expires_at is None else _seconds(token.expires_at),
        "is_valid": refusal is None,
        "issued_at": _seconds(token.issued_at),
        "scopes": list(scopes),
        "granular_scopes": [_granular(scope, targets) for scope in scopes],
        "user_id": token.user_id or "0",
    }
    if token.page_id is not None:
        described["profile_id"] = token.page_id
    if refusal is not None:
        error = GraphError(190, refusal)
        described["error"] = {"code": 190, "message": error.text, "subcode": refusal}
    return described


def _targets(world: World, token: Token) -> list[str] | None:
    """Return the Pages that a token's permissions are for; None where it tells of none."""
    person = world.people.get(token.user_id or "")
    if token.page_id is not None:
        page = world.pages.get(token.page_id)
        granted = page is not None and is_page_granted(world, token, page)
        return [token.page_id] if granted else []
    return None if person is None else list(person.granted(token.app_id).page_ids)


def _granular(scope: str, targets: list[str] | None) -> dict[str, Any]:
    if targets is None or not scope.startswith("pages_"):
        return {"scope": scope}
    return {"scope": scope, "target_ids": targets}


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
