"""The OpenAPI document of the REST API, from the application itself."""

from dataclasses import MISSING, fields
from typing import Any

from gateway.asgi import AppParts, create_app
from gateway.serving import ROUTERS
from gateway.settings import Settings


class _Unused:
    """Stands for a part that only requests need; describing the application makes none."""


def rest_document() -> dict[str, Any]:
    """Return the document; it takes no database, no broker and nothing of the environment."""
    parts: dict[str, Any] = {
        part.name: _Unused()
        for part in fields(AppParts)
        if part.default is MISSING and part.default_factory is MISSING
    }
    return create_app(Settings.model_construct(), AppParts(**parts, routers=ROUTERS)).openapi()
