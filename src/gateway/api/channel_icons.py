"""The picture by which people know a channel."""

import hashlib
from typing import ClassVar, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.api.channel_resources import existing_channel, shown
from gateway.api.parts import Parts
from gateway.contracts.resources import Channel as ChannelResource
from gateway.db.icons import Icon, drop_icon, get_icon, keep_icon
from gateway.domain.pictures import is_picture
from gateway.errors import NotFoundError, UnsupportedMediaTypeError
from gateway.http.admission import read_body
from gateway.http.routes import READ, WRITE, AccountId, GatewayRoute, Glances, Work
from gateway.http.versions import IfMatch
from gateway.messaging.channel_status import write_status

LARGEST_BYTES: Final = 1_048_576
_TYPES: Final = ("image/png", "image/jpeg")
_PATH: Final = "/{channel_id}/icon"
_PICTURE: Final = {
    mime_type: {"schema": {"type": "string", "format": "binary"}} for mime_type in _TYPES
}


class PictureRoute(GatewayRoute):
    """A route that takes a picture as its body."""

    reads_json: ClassVar[bool] = False


class IconRoute(GatewayRoute):
    """A route that gives a picture, of either type."""

    answers: ClassVar[tuple[str, ...]] = ()


router = APIRouter(prefix="/v1/channels", tags=["Channels"], route_class=GatewayRoute)


async def set_icon(
    channel_id: str,
    request: Request,
    account_id: AccountId,
    parts: Parts,
    exchange: Glances,
    if_match: IfMatch,
    response: Response,
) -> ChannelResource:
    """Give a channel a picture: the body, a whole PNG or JPEG of at most 1 MiB."""
    async with exchange.glance() as work:
        await existing_channel(work, account_id, channel_id, alive=True)
    icon = await _picture_of(request)
    work = await exchange.effect()
    channel = await existing_channel(work, account_id, channel_id, lock=True, alive=True)
    if_match.check(channel.version)
    await keep_icon(work.connection, account_id, channel_id, icon)
    described = {
        "mime_type": icon.mime_type,
        "size": len(icon.content),
        "sha256": hashlib.sha256(icon.content).hexdigest(),
    }
    changed = await write_status(work, channel, "updated", icon=described)
    return shown(parts, changed, response)


async def read_icon(channel_id: str, account_id: AccountId, work: Work) -> Response:
    """Return a channel's picture."""
    await existing_channel(work, account_id, channel_id)
    icon = await get_icon(work.connection, account_id, channel_id)
    if icon is None:
        raise NotFoundError("The channel has no icon.")
    # What a stranger uploaded must not run in a browser as something else.
    return Response(
        icon.content, media_type=icon.mime_type, headers={"X-Content-Type-Options": "nosniff"}
    )


@router.delete(_PATH, status_code=204, dependencies=[WRITE])
async def remove_icon(
    channel_id: str, account_id: AccountId, work: Work, if_match: IfMatch
) -> None:
    """Take a channel's picture away; without one, nothing happens."""
    channel = await existing_channel(work, account_id, channel_id, lock=True, alive=True)
    if_match.check(channel.version)
    if channel.icon is None:
        return
    await drop_icon(work.connection, account_id, channel_id)
    await write_status(work, channel, "updated", icon=None)


router.add_api_route(
    _PATH,
    set_icon,
    methods=["PUT"],
    dependencies=[WRITE],
    route_class_override=PictureRoute,
    openapi_extra={"requestBody": {"required": True, "content": _PICTURE}},
)
router.add_api_route(
    _PATH,
    read_icon,
    methods=["GET"],
    dependencies=[READ],
    route_class_override=IconRoute,
    response_class=Response,
    responses={200: {"content": _PICTURE}},
)


async def _picture_of(request: Request) -> Icon:
    mime_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if mime_type not in _TYPES:
        raise UnsupportedMediaTypeError(f"Send the picture as {' or '.join(_TYPES)}.")
    content = await read_body(request, LARGEST_BYTES)
    if not is_picture(mime_type, content):
        raise UnsupportedMediaTypeError(f"The body is no whole picture of type {mime_type}.")
    return Icon(mime_type=mime_type, content=content)
