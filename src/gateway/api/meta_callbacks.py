"""What Meta tells about a person who logged in: that they removed the app, or want to be forgotten.

"Deauthorize Callback" and "Data Deletion Request Callback" of Meta's documentation: a form with
`signed_request`. It names the person by the id that they have for this app; visitors who write to a
Page are others, and are erased by `DELETE /v1/contacts/{id}`.
"""

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from gateway.api.logins.leaving import let_person_go
from gateway.api.parts import Parts
from gateway.db.data_deletions import get_deletion, keep_deletion
from gateway.db.meta_apps import get_app
from gateway.db.unit_of_work import UnitOfWork
from gateway.errors import InvalidSignatureError, MissingParameterError
from gateway.http.admission import read_body
from gateway.http.pages import page
from gateway.meta.signature import (
    MalformedSignedRequestError,
    SignedRequest,
    WrongSignedRequestSignatureError,
    parse_signed_request,
)

if TYPE_CHECKING:
    from gateway.db.unit_of_work import Database
    from gateway.http.routes import RestParts

# How the addresses of these callbacks end; they begin as those of webhooks do.
CALLBACKS: Final = ("/deauthorize", "/data-deletion")
_MAX_BYTES: Final = 16 * 1024
_CODE_BYTES: Final = 24

router = APIRouter(include_in_schema=False)


@router.post("/webhooks/meta/{app_id}/deauthorize")
async def deauthorise(app_id: str, request: Request) -> Response:
    """Let a person go who removed the app."""
    form = await _form(request)
    async with _database(request).unit_of_work() as work:
        signed = await _signed(work, app_id, form)
        await let_person_go(work, app_id, signed.user_id)
    return Response(status_code=200)


@router.post("/webhooks/meta/{app_id}/data-deletion")
async def delete_data(app_id: str, request: Request, parts: Parts) -> Response:
    """Erase what a person's logins brought; answer where the person can see that it was done."""
    form = await _form(request)
    async with _database(request).unit_of_work() as work:
        signed = await _signed(work, app_id, form)
        channels = await let_person_go(work, app_id, signed.user_id)
        code = await keep_deletion(
            work.connection,
            code=secrets.token_urlsafe(_CODE_BYTES),
            meta_app_id=app_id,
            user_id=signed.user_id,
            channels=channels,
            now=work.now,
        )
    url = f"{parts.public_url.rstrip('/')}/data-deletions/{code}"
    return JSONResponse({"url": url, "confirmation_code": code})


@router.get("/data-deletions/{code}")
async def show_deletion(code: str, request: Request, parts: Parts) -> HTMLResponse:
    """Show a person how their request stands."""
    deletion = None
    if code.isprintable() and code.isascii():
        async with _database(request).unit_of_work() as work:
            deletion = await get_deletion(work.connection, code)
    if deletion is None:
        return page(
            "No such request",
            "<h1>No such request</h1><p>Check the address; the code in it is the one that Facebook "
            "gave you.</p>",
            status=404,
        )
    done = deletion.requested_at
    aged_out = done + timedelta(hours=parts.kafka_retention_hours)
    channels = (
        "No channel was connected by it."
        if deletion.channels == 0
        else f"{deletion.channels} connected Page{'s were' if deletion.channels > 1 else ' was'} "
        "disconnected."
    )
    return page(
        "Your data was deleted",
        "<h1>Your data was deleted</h1>"
        f"<p>On {_day(done)} we deleted your login with Facebook and the access that it gave us. "
        f"{channels}</p>"
        "<p>Events about those Pages that were written before hold neither your name nor your "
        f"access; the last copies of them age out of our message log by {_day(aged_out)}.</p>"
        "<p class='soft'>Messages that visitors sent to a Page belong to whoever runs the Page; "
        "they are deleted there.</p>",
    )


async def _form(request: Request) -> dict[str, str]:
    body = await read_body(request, _MAX_BYTES)
    try:
        return dict(parse_qsl(body.decode("ascii"), max_num_fields=10))
    except ValueError as error:
        raise MissingParameterError("The body is no form.") from error


async def _signed(work: UnitOfWork, app_id: str, form: dict[str, str]) -> SignedRequest:
    """Return what was signed with a secret of the app.

    Raises:
        MissingParameterError: There is none, or it is malformed.
        InvalidSignatureError: The signature or its algorithm is wrong, or there is no such app.
    """
    given = form.get("signed_request")
    if not given:
        raise MissingParameterError("The field `signed_request` is missing.")
    app = await get_app(work.connection, app_id)
    keys = [] if app is None else app.open_secrets(work.keyring)
    try:
        return parse_signed_request(given, [key.get_secret_value().encode() for key in keys])
    except MalformedSignedRequestError as error:
        raise MissingParameterError("The field `signed_request` is malformed.") from error
    except WrongSignedRequestSignatureError as error:
        raise InvalidSignatureError("The signature is wrong.") from error


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def _database(request: Request) -> "Database":
    rest: RestParts = request.app.state.rest
    return rest.database
