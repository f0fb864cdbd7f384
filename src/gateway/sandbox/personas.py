"""Personas: names and pictures under which people answer for a Page."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from gateway.sandbox.access import caller_for_node, page_caller
from gateway.sandbox.calls import Call
from gateway.sandbox.content import is_web_address
from gateway.sandbox.errors import GraphError, invalid_parameter, missing_object
from gateway.sandbox.platform import Platform
from gateway.sandbox.world import Page, Persona

NAME_LIMIT: Final = 50
PERSONAS_LIMIT: Final = 10_000


def create_persona(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `POST /{page}/personas`."""
    page = caller_for_node(platform.world, platform.timeline, call).page
    name, picture = call.text("name"), call.text("profile_picture_url")
    if name is None or len(name) > NAME_LIMIT:
        raise invalid_parameter("name", f"must be a string of 1 to {NAME_LIMIT} characters")
    if picture is None or not is_web_address(picture):
        raise invalid_parameter("profile_picture_url", "must be a valid URL")
    if len(page.personas) >= PERSONAS_LIMIT:
        raise GraphError(100, message="(#100) This Page has too many personas")
    persona = Persona(
        persona_id=str(10**15 + secrets.randbelow(9 * 10**15)),
        name=name,
        profile_picture_url=picture,
    )
    page.personas[persona.persona_id] = persona
    return {"id": persona.persona_id}


def list_personas(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `GET /{page}/personas`."""
    page = caller_for_node(platform.world, platform.timeline, call).page
    return {"data": [read_persona(page, persona_id) for persona_id in page.personas]}


def read_persona(page: Page, persona_id: str) -> Mapping[str, Any]:
    """Return one persona as Graph shows it."""
    persona = page.personas[persona_id]
    return {
        "id": persona.persona_id,
        "name": persona.name,
        "profile_picture_url": persona.profile_picture_url,
    }


def delete_persona(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `DELETE /{persona}`; messages already sent keep its name."""
    page = page_caller(platform.world, platform.timeline, call).page
    if page.personas.pop(call.path[0], None) is None:
        raise missing_object(call.path[0], call.method)
    return {"success": True}
