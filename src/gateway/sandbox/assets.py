"""Files for browsers: style and scripts, drawn pictures, stored media."""

import hashlib
import html
from importlib import resources
from string import Template
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Path, Response

from gateway.sandbox.media import is_inert
from gateway.sandbox.world import World

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src * data:; media-src *; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_SERVED: Final = {
    "sandbox.css": "text/css; charset=utf-8",
    "chat.js": "text/javascript; charset=utf-8",
    "drawing.js": "text/javascript; charset=utf-8",
}


class Assets:
    """Serves what the pages, and the gateway, fetch by address."""

    def __init__(self, *, world: World) -> None:
        self._world = world

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/static/{name}", self.static, methods=["GET"], response_model=None)
        router.add_api_route(
            "/avatars/{name}.svg", self.avatar, methods=["GET"], response_model=None
        )
        router.add_api_route("/media/{medium_id}", self.media, methods=["GET"], response_model=None)
        return router

    async def static(self, name: str) -> Response:
        """Serve the pages' style and scripts."""
        if name not in _SERVED:
            raise HTTPException(404, "There is no such file.")
        headers = {**SECURITY_HEADERS, "Cache-Control": "no-cache"}
        return Response(template(name), media_type=_SERVED[name], headers=headers)

    async def avatar(self, name: Annotated[str, Path(max_length=255)]) -> Response:
        """Draw the picture of a Page or a person: initials on a colour of their own."""
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
        drawn = Template(template("avatar.svg")).substitute(
            hue=digest[0] * 360 // 256, initials=html.escape(self._initials(name))
        )
        return Response(drawn, media_type="image/svg+xml", headers=SECURITY_HEADERS)

    async def media(self, medium_id: str) -> Response:
        """Serve a stored file; what a browser might run is only ever downloaded."""
        medium = self._world.media.get(medium_id)
        if medium is None or medium.upload is None:
            raise HTTPException(404, "There is no such file.")
        inert = is_inert(medium.upload.content_type)
        return Response(
            medium.upload.content,
            media_type=medium.upload.content_type if inert else "application/octet-stream",
            headers={
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": "sandbox",
                "Content-Disposition": "inline" if inert else "attachment",
            },
        )

    def _initials(self, name: str) -> str:
        page = self._world.page_of(name)
        if page is not None:
            return "".join(word[0] for word in page.name.split()[:2]).upper() or "P"
        person = next(
            (thread for (_, psid), thread in self._world.threads.items() if psid == name), None
        )
        return "?" if person is None else (person.first_name[:1] + person.last_name[:1]).upper()


def template(name: str) -> str:
    """Return a file of the package, as text."""
    return (resources.files(__package__ or "") / "static" / name).read_text("utf-8")
