"""Media: files to be sent, uploaded once."""

from typing import TYPE_CHECKING, ClassVar

from fastapi import APIRouter, Request
from pydantic import Field

from gateway.db.media import Media, get_media, insert_media
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.errors import NotFoundError
from gateway.http.routes import READ, SEND, AccountId, GatewayRoute, Glances, Work
from gateway.http.schemas import Moment, Resource
from gateway.http.uploads import upload_of

if TYPE_CHECKING:
    from gateway.media_store import MediaStore

_PREFIX = "/v1/media"
_FILE = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}},
}


class UploadRoute(GatewayRoute):
    """A route that takes a file."""

    reads_json: ClassVar[bool] = False


class MediaResource(Resource):
    """A file that messages can name by its id."""

    id: str = Field(examples=["med_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    mime_type: str = Field(examples=["image/png"])
    name: str | None
    size: int = Field(description="In bytes.")
    sha256: str = Field(description="Of the content, in hexadecimal.")
    url: str = Field(
        description="Opens the content without a key, for `MEDIA_LINK_SECONDS` from now on.",
        examples=["https://gateway.example/v1/media/med_…/content?expires=1772452800&signature=…"],
    )
    created_at: Moment


router = APIRouter(prefix=_PREFIX, tags=["Media"], route_class=GatewayRoute)


async def upload(request: Request, account_id: AccountId, current: Glances) -> MediaResource:
    """Take a file in the part `file`. Its content has to be what its Content-Type says."""
    store: MediaStore = request.app.state.media
    async with upload_of(request) as uploaded:
        described = {"mime_type": uploaded.mime_type, "name": uploaded.name}
        current.describe_upload(described, digest=uploaded.sha256)
        await current.announce_calls()
        media_id = ids.new_id(ids.MEDIA)
        path = await store.put(account_id, media_id, uploaded.file)
        work = await current.effect()
        media = Media(
            account_id=account_id,
            id=media_id,
            mime_type=uploaded.mime_type,
            name=uploaded.name,
            size=uploaded.size,
            sha256=uploaded.sha256.hex(),
            path=path,
            created_at=work.now,
        )
        await insert_media(work.connection, media)
    return _resource(work, media)


router.add_api_route(
    "",
    upload,
    methods=["POST"],
    status_code=201,
    summary="Upload a file",
    dependencies=[SEND],
    route_class_override=UploadRoute,
    openapi_extra={
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FILE}}}
    },
)


@router.get("/{media_id}", dependencies=[READ], summary="Read what is known of a file")
async def read_media(media_id: str, account_id: AccountId, work: Work) -> MediaResource:
    """Return a file's type, size and digest."""
    return _resource(work, await _existing(work, account_id, media_id))


async def _existing(work: UnitOfWork, account_id: str, media_id: str) -> Media:
    media = await get_media(work.connection, account_id, media_id)
    if media is None:
        raise NotFoundError("There is no such file.")
    return media


def _resource(work: UnitOfWork, media: Media) -> MediaResource:
    return MediaResource(
        id=media.id,
        mime_type=media.mime_type,
        name=media.name,
        size=media.size,
        sha256=media.sha256,
        url=work.media_link(media.account_id, media.id),
        created_at=media.created_at,
    )
