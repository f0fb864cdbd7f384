"""The application, whose routes are worked out once for all tests of a process.

FastAPI does that at the first request of each application, for a quarter of a second.
"""

from typing import Final

from fastapi import FastAPI

from gateway.asgi import AppParts, create_shell, furnish
from gateway.settings import Settings

# By the routers beside the API's own, which a shell keeps alive.
_SHELLS: Final[dict[tuple[int, ...], FastAPI]] = {}


def application(settings: Settings, parts: AppParts) -> FastAPI:
    """Return the application with these parts; the one before, with the same routers, loses its."""
    routers = tuple(id(router) for router in parts.routers)
    app = _SHELLS.get(routers)
    if app is None:
        app = _SHELLS[routers] = create_shell(parts.routers)
    furnish(app, settings, parts)
    return app
