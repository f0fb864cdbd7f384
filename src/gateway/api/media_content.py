"""The content of media: with a key, or by a signed address that lasts for a while."""

import re
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from gateway.db.media import Media, find_media_by_id, get_media
from gateway.errors import NotFoundError
from gateway.http.admission import refuse_impossible_ids
from gateway.http.routes import READ, AccountId, GatewayRoute, Glances

if TYPE_CHECKING:
    from gateway.http.routes import RestParts
    from gateway.media_store import MediaStore

_SIGNATURE: Final = "signature"
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_PARTIAL: Final = 206
_NOT_SATISFIABLE: Final = 416
# What a browser may show in place, as nothing in it can run.
_INERT: Final = re.compile(r"image/(png|jpeg|gif|webp)|audio/[a-z0-9.+-]+|video/[a-z0-9.+-]+")


class ContentRoute(GatewayRoute):
    """A route that gives a file of whatever type, also to who has a signed address and no key."""

    answers: ClassVar[tuple[str, ...]] = ()

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        with_key = super().get_route_handler()

        async def answer(request: Request) -> Response:
            signed = _SIGNATURE in request.query_params and "authorization" not in request.headers
            return await (_by_address(request) if signed else with_key(request))

        return answer


router = APIRouter(prefix="/v1/media", tags=["Media"])


async def read_content(
    media_id: str,
    request: Request,
    account_id: AccountId,
    current: Glances,
    expires: Annotated[
        str | None, Query(description="Of a signed address: until when it opens the file.")
    ] = None,
    signature: Annotated[
        str | None, Query(description="Of a signed address: no key is needed with it.")
    ] = None,
) -> Response:
    """Return the file itself, or the part that `Range` asks for.

    Messages and events show media by signed addresses, which need no key and end after a while;
    the message and `GET /v1/media/{media_id}` show fresh ones.
    """
    del expires, signature
    async with current.glance() as work:
        media = await get_media(work.connection, account_id, media_id)
    return await _content(request, media)


router.add_api_route(
    "/{media_id}/content",
    read_content,
    methods=["GET"],
    summary="Download a file",
    dependencies=[READ],
    route_class_override=ContentRoute,
    response_class=StreamingResponse,
    responses={
        200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}},
        206: {
            "description": "The part that was asked for",
            "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)


async def _by_address(request: Request) -> Response:
    """Return a file to whoever has an address of it that still lasts.

    Raises:
        NotFoundError: The address was not made here, or has ended, or the file is gone.
    """
    parts: RestParts = request.app.state.rest
    refuse_impossible_ids(request)
    given = request.query_params
    async with parts.database.unit_of_work() as work:
        media = await find_media_by_id(work.connection, request.path_params["media_id"])
        if media is None or not work.links.opens(
            media.account_id,
            media.id,
            expires=given.get("expires", ""),
            signature=given[_SIGNATURE],
            now=work.now,
        ):
            raise NotFoundError("This address opens no file, or does not any more.")
    return await _content(request, media)


async def _content(request: Request, media: Media | None) -> Response:
    """Return a file, or a part of it, as an answer; no transaction is open.

    Raises:
        NotFoundError: There is none, or the store has it no more.
    """
    if media is None:
        raise NotFoundError("There is no such file.")
    span = _span(request.headers.get("range"), media.size)
    if span is None:
        headers = {"Content-Range": f"bytes */{media.size}"}
        return Response(status_code=_NOT_SATISFIABLE, headers=headers)
    start, end = span
    store: MediaStore = request.app.state.media
    content = store.read(media.path, start=start, end=end)
    try:
        first = await anext(content, b"")
    except FileNotFoundError as error:
        raise NotFoundError("The file is not kept any more.") from error
    whole = (start, end) == (0, media.size)
    headers = {
        "Content-Length": str(end - start),
        "Accept-Ranges": "bytes",
        "ETag": f'"{media.sha256}"',
        "Cache-Control": "private, max-age=300",
        # What a stranger sent must not run in a browser as if it were ours.
        "Content-Disposition": "inline" if _INERT.fullmatch(media.mime_type) else "attachment",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    if not whole:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{media.size}"
    return StreamingResponse(
        _all(first, content),
        status_code=200 if whole else _PARTIAL,
        media_type=media.mime_type,
        headers=headers,
    )


def _span(asked: str | None, size: int) -> tuple[int, int] | None:
    """Return which bytes are wanted, the end excluded; None for a range that is not there.

    What is no single range of bytes is answered with the whole, as RFC 9110 allows.
    """
    match = _RANGE.fullmatch(asked.strip()) if asked else None
    if match is None or not (match[1] or match[2]):
        return 0, size
    if not match[1]:
        return (max(size - int(match[2]), 0), size) if int(match[2]) and size else None
    start = int(match[1])
    end = min(int(match[2]) + 1, size) if match[2] else size
    if match[2] and int(match[2]) < start:
        return 0, size
    return (start, end) if start < size else None


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part
