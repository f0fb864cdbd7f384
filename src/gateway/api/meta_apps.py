"""Meta apps: who signs webhooks and in whose name Graph is called; of the instance."""

from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Body as FromBody
from pydantic import AfterValidator, Field, SecretStr, StringConstraints, field_serializer
from sqlalchemy.exc import IntegrityError

from gateway.db.meta_apps import (
    MetaApp,
    change_app,
    delete_app,
    get_app,
    insert_app,
    list_apps,
    raise_secret_version,
    seal_secrets,
    secret_row,
)
from gateway.db.unit_of_work import UnitOfWork
from gateway.errors import ConflictError, NotFoundError
from gateway.http.pagination import Paging
from gateway.http.patches import Patch
from gateway.http.routes import INSTANCE, GatewayRoute, Work
from gateway.http.schemas import Body, Line, Moment, Page, Resource
from gateway.http.versions import IfMatch, tag_version

router = APIRouter(
    prefix="/v1/meta-apps", tags=["Meta apps"], route_class=GatewayRoute, dependencies=[INSTANCE]
)

AppId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
GraphVersion = Annotated[str, StringConstraints(pattern=r"^v[0-9]{1,3}\.[0-9]{1,3}$")]


def _is_secret(value: SecretStr) -> SecretStr:
    plain = value.get_secret_value()
    if not plain.isascii() or not plain.isprintable() or not plain.strip():
        raise ValueError("A secret has to be printable ASCII")
    return value


Secret = Annotated[SecretStr, Field(min_length=1, max_length=500), AfterValidator(_is_secret)]


class MetaAppSettings(Body):
    """What can be set of a Meta app."""

    name: Line = Field(examples=["Acme messaging"])
    app_secrets: Annotated[list[Secret], Field(min_length=1, max_length=2)] = Field(
        description="One, or two while it rotates; webhooks may be signed with either, calls are "
        "proved with the first. Never shown.",
    )
    verify_token: Secret = Field(description="Of the webhook's handshake. Never shown.")
    graph_version: GraphVersion = "v26.0"

    @field_serializer("app_secrets", "verify_token")
    def _plain(self, value: SecretStr | list[SecretStr]) -> str | list[str]:
        if isinstance(value, SecretStr):
            return value.get_secret_value()
        return [each.get_secret_value() for each in value]


class NewMetaApp(MetaAppSettings):
    """A Meta app to be known."""

    app_id: AppId = Field(examples=["1234567890"])


class MetaAppResource(Resource):
    """A Meta app."""

    app_id: str
    name: str
    graph_version: str
    secrets: int = Field(description="How many app secrets are kept.")
    webhook_path: str = Field(
        description="What to enter in Meta's dashboard, after this gateway's address.",
        examples=["/webhooks/meta/1234567890"],
    )
    created_at: Moment
    version: int


@router.post("", status_code=201)
async def create_meta_app(body: NewMetaApp, response: Response, work: Work) -> MetaAppResource:
    """Make a Meta app known to the gateway."""
    app = MetaApp(
        app_id=body.app_id,
        name=body.name,
        app_secrets=seal_secrets(work.keyring, body.app_id, body.app_secrets),
        verify_token=_sealed_token(work, body.app_id, body.verify_token),
        graph_version=body.graph_version,
        version=1,
        created_at=work.now,
    )
    try:
        await insert_app(work.connection, app, now=work.now)
    except IntegrityError as error:
        raise ConflictError("There is a Meta app with this id already.") from error
    await raise_secret_version(work)
    return _shown(app, response)


@router.get("")
async def list_meta_apps(work: Work, paging: Paging) -> Page[MetaAppResource]:
    """List the Meta apps by their ids."""
    place = paging.place("meta-apps", str)
    rows = await list_apps(
        work.connection, after=None if place is None else place[0], limit=paging.limit + 1
    )
    shown, cursor = paging.page(rows, "meta-apps", lambda app: [app.app_id])
    return Page(data=[_resource(app) for app in shown], next_cursor=cursor)


@router.get("/{app_id}")
async def read_meta_app(app_id: str, response: Response, work: Work) -> MetaAppResource:
    """Read a Meta app, without its secrets."""
    return _shown(await _existing(work, app_id), response)


@router.patch("/{app_id}")
async def change_meta_app(
    app_id: str,
    body: Annotated[Patch[MetaAppSettings], FromBody()],
    response: Response,
    work: Work,
    if_match: IfMatch,
) -> MetaAppResource:
    """Change a Meta app.

    To rotate a secret, send both, the new one first; once Meta uses it, send it alone.
    """
    app = await _existing(work, app_id, lock=True)
    if_match.check(app.version)
    wanted = body.apply_to(
        MetaAppSettings(
            name=app.name,
            app_secrets=app.open_secrets(work.keyring),
            verify_token=app.open_verify_token(work.keyring),
            graph_version=app.graph_version,
        )
    )
    await change_app(
        work.connection,
        app_id,
        now=work.now,
        name=wanted.name,
        app_secrets=seal_secrets(work.keyring, app_id, wanted.app_secrets),
        verify_token=_sealed_token(work, app_id, wanted.verify_token),
        graph_version=wanted.graph_version,
    )
    await raise_secret_version(work)
    return _shown(await _existing(work, app_id), response)


@router.delete("/{app_id}", status_code=204)
async def delete_meta_app(app_id: str, work: Work) -> None:
    """Forget a Meta app that no channel was made with."""
    await _existing(work, app_id, lock=True)
    if not await delete_app(work.connection, app_id):
        raise ConflictError("Channels were made with this app, and their history refers to it.")
    await raise_secret_version(work)


async def _existing(work: UnitOfWork, app_id: str, *, lock: bool = False) -> MetaApp:
    app = await get_app(work.connection, app_id, lock=lock)
    if app is None:
        raise NotFoundError("There is no such Meta app.")
    return app


def _sealed_token(work: UnitOfWork, app_id: str, token: SecretStr) -> bytes:
    return work.keyring.encrypt(token.get_secret_value(), row=secret_row(app_id, "verify_token"))


def _shown(app: MetaApp, response: Response) -> MetaAppResource:
    tag_version(response, app.version)
    return _resource(app)


def _resource(app: MetaApp) -> MetaAppResource:
    return MetaAppResource(
        app_id=app.app_id,
        name=app.name,
        graph_version=app.graph_version,
        secrets=len(app.app_secrets),
        webhook_path=f"/webhooks/meta/{app.app_id}",
        created_at=app.created_at,
        version=app.version,
    )
