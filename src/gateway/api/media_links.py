"""Addresses under which platforms fetch uploaded media without a key.

Such an address holds the SHA-256 of the content beside its id: whoever knows both has had the
content, or was given the address.
"""

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from gateway.api.media import stored_content
from gateway.db.media import find_shared_media
from gateway.errors import NotFoundError

if TYPE_CHECKING:
    from gateway.http.routes import RestParts
    from gateway.media_store import MediaStore

router = APIRouter(prefix="/media", include_in_schema=False)


@router.get("/{media_id}/{sha256}", response_class=StreamingResponse)
async def read_shared(media_id: str, sha256: str, request: Request) -> Response:
    """Return a file to whoever has its address."""
    parts: RestParts = request.app.state.rest
    store: MediaStore = request.app.state.media
    if not (media_id.isprintable() and sha256.isprintable()):
        raise NotFoundError("There is no such file.")
    async with parts.database.unit_of_work() as work:
        media = await find_shared_media(work.connection, media_id, sha256=sha256)
    if media is None:
        raise NotFoundError("There is no such file.")
    return await stored_content(store, media)
