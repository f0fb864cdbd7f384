"""Facebook Login in a person's browser: off to the dialog, back with its answer, and the choice.

A browser is told apart by a cookie. What the dialog gives back is good once, for ten minutes, in
that browser. Answers hold no secret, and neither do addresses but for Meta's own `code` and our
`state`, of which no log line tells.
"""

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.api.connecting import access_of
from gateway.api.logins.connecting import (
    PageChoice,
    PageResult,
    connect_chosen,
    not_a_choice,
)
from gateway.api.logins.grants import take_grant
from gateway.api.logins.pages import (
    choosing_page,
    denied_page,
    failed_page,
    over_page,
    results_page,
    returning,
)
from gateway.api.logins.resources import login_resource
from gateway.api.logins.starting import (
    Nonce,
    bind_browser,
    form_token,
    is_of_browser,
    new_cookie,
    take_back,
)
from gateway.api.parts import ApiParts, Parts
from gateway.db.accounts import get_account
from gateway.db.logins import Login, change_login, get_login
from gateway.db.meta_apps import get_app
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.domain.login import LoginState
from gateway.errors import UpstreamFailedError
from gateway.http.exchange import Exchange
from gateway.http.refusals import request_id_of
from gateway.meta.login import CodeRefusedError, Grant, SecretRefusedError, dialog_url

if TYPE_CHECKING:
    from gateway.http.routes import RestParts
    from gateway.meta.page_findings import AppAccess

_PREFIX: Final = "/oauth/facebook"
CALLBACK: Final = f"{_PREFIX}/callback"
COOKIE: Final = "gateway_login"
_COOKIE_SECONDS: Final = 3600
_MOST_PAGES: Final = 100
_NAME: Final = "name_"


@dataclass(frozen=True, slots=True)
class _Failure:
    """What went wrong, in words for the person, and the status of the page that says so."""

    code: str
    detail: str
    remedy: str
    status: int

    def as_document(self) -> dict[str, str]:
        return {"code": self.code, "detail": self.detail, "remedy": self.remedy}


_CODE_REFUSED: Final = _Failure(
    "code-refused",
    "Facebook does not take the answer of its dialog: it is too old, or was used.",
    "Try again.",
    HTTPStatus.BAD_REQUEST,
)
_SECRET_REFUSED: Final = _Failure(
    "secret-refused",
    "Facebook does not accept the secret of the Meta app.",
    "Whoever runs the gateway has to correct the app's secret.",
    HTTPStatus.BAD_GATEWAY,
)
_AWAY: Final = _Failure(
    "upstream-failed",
    "Facebook did not answer.",
    "Try again in a moment.",
    HTTPStatus.BAD_GATEWAY,
)
_DIALOG_FAILED: Final = _Failure(
    "dialog-failed",
    "Facebook's dialog ended with an error.",
    "Try again. If it stays, see the settings of Facebook Login of the Meta app.",
    HTTPStatus.BAD_GATEWAY,
)

Parameter = Annotated[str, Query(max_length=4000)]

router = APIRouter(prefix=_PREFIX, include_in_schema=False)


@router.get("/logins/{login_id}")
async def begin(login_id: str, request: Request, parts: Parts, again: Parameter = "") -> Response:
    """Send a browser to the dialog."""
    database = _database(request)
    cookie = request.cookies.get(COOKIE) or new_cookie()
    async with database.unit_of_work() as work:
        login = await get_login(work.connection, login_id, lock=True)
        app = None if login is None else await get_app(work.connection, login.meta_app_id)
        if login is None or app is None:
            return over_page(status=404)
        nonce = await bind_browser(work, login, cookie, asks_again=again == "1")
        access = access_of(work, app)
    if nonce is None:
        return over_page()
    answer = RedirectResponse(
        dialog_url(
            parts.login_settings.dialog_base_url,
            access,
            redirect_uri=_callback_url(parts),
            state=str(nonce),
            asks_again=login.asks_again or again == "1",
        ),
        status_code=303,
    )
    answer.set_cookie(
        COOKIE,
        cookie,
        max_age=_COOKIE_SECONDS,
        path=_PREFIX,
        secure=parts.public_url.startswith("https://"),
        httponly=True,
        samesite="lax",
    )
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.get("/callback")
async def come_back(
    request: Request,
    parts: Parts,
    state: Parameter = "",
    code: Parameter = "",
    error: Parameter = "",
) -> Response:
    """Take what the dialog gave back."""
    database = _database(request)
    nonce = Nonce.parse(state)
    login = None
    if nonce is not None:
        async with database.unit_of_work() as work:
            login = await take_back(work, nonce, request.cookies.get(COOKIE))
    if login is None:
        return over_page()
    if error or not code:
        return await _declined(database, parts, login, error)
    return await _granted(database, parts, login, code, request.cookies[COOKIE])


@router.get("/logins/{login_id}/pages")
async def show_pages(login_id: str, request: Request, parts: Parts) -> Response:
    """Show the choice again to the browser that it was made for."""
    database = _database(request)
    cookie = request.cookies.get(COOKIE)
    login = await _login_of_browser(database, login_id, cookie)
    if login is None or cookie is None:
        return over_page()
    return await _choosing(database, parts, login, cookie)


@router.post("/logins/{login_id}/connect")
async def connect(login_id: str, request: Request, parts: Parts) -> Response:
    """Connect the Pages that were ticked."""
    database = _database(request)
    cookie = request.cookies.get(COOKIE)
    login = await _login_of_browser(database, login_id, cookie)
    if login is None or cookie is None:
        return over_page()
    form = await request.form(max_fields=10 * _MOST_PAGES, max_files=0)
    given = str(form.get("form_token", ""))
    if not hmac.compare_digest(given.encode(), form_token(login, cookie).encode()):
        return over_page()
    page_ids = list(dict.fromkeys(str(each) for each in form.getlist("page_id")))[:_MOST_PAGES]
    if not page_ids:
        return await _choosing(database, parts, login, cookie)
    instance = request_id_of(request)
    choices: list[PageChoice] = []
    results: list[PageResult] = []
    for page_id in page_ids:
        name = str(form.get(f"{_NAME}{page_id}", "")).strip()
        try:
            choices.append(PageChoice.model_validate({"page_id": page_id, "name": name or None}))
        except ValidationError:
            results.append(not_a_choice(page_id, instance=instance))
    results += await connect_chosen(
        Exchange(database, None), parts, login, choices, instance=instance
    )
    async with database.unit_of_work() as work:
        login = await get_login(work.connection, login_id) or login
        resource = await login_resource(work, parts, login)
        owner = await _owner_of(work, login)
    return results_page(resource, results, owner=owner)


async def _declined(database: Database, parts: ApiParts, login: Login, error: str) -> Response:
    """Note that a person said no, or that Meta's dialog failed."""
    if error not in ("access_denied", ""):
        return await _failed(database, parts, login, _DIALOG_FAILED)
    async with database.unit_of_work() as work:
        if login.state is not LoginState.GRANTED:
            login = await change_login(
                work.connection, login, now=work.now, state=LoginState.DENIED, error=None
            )
        resource = await login_resource(work, parts, login)
        owner = await _owner_of(work, login)
    return denied_page(resource, owner=owner)


async def _granted(
    database: Database, parts: ApiParts, login: Login, code: str, cookie: str
) -> Response:
    async with database.unit_of_work() as work:
        app = await get_app(work.connection, login.meta_app_id)
        access: AppAccess | None = None if app is None else access_of(work, app)
    if access is None:
        return over_page()
    grant = await _ask_for_grant(parts, access, code)
    if isinstance(grant, _Failure):
        return await _failed(database, parts, login, grant)
    login = await take_grant(database, parts, login, grant)
    if login.return_url is not None and login.pages:
        return RedirectResponse(returning(login.return_url, login.id), status_code=303)
    return await _choosing(database, parts, login, cookie)


async def _ask_for_grant(parts: ApiParts, access: "AppAccess", code: str) -> "Grant | _Failure":
    try:
        return await parts.login.grant_of(access, code, redirect_uri=_callback_url(parts))
    except CodeRefusedError:
        return _CODE_REFUSED
    except SecretRefusedError:
        return _SECRET_REFUSED
    except UpstreamFailedError:
        return _AWAY


async def _failed(database: Database, parts: ApiParts, login: Login, failure: _Failure) -> Response:
    async with database.unit_of_work() as work:
        state = login.state if login.state is LoginState.GRANTED else LoginState.FAILED
        failed = await change_login(
            work.connection, login, now=work.now, state=state, error=failure.as_document()
        )
        resource = await login_resource(work, parts, failed)
        owner = await _owner_of(work, failed)
    return failed_page(resource, owner=owner, status=failure.status)


async def _choosing(database: Database, parts: ApiParts, login: Login, cookie: str) -> HTMLResponse:
    async with database.unit_of_work() as work:
        resource = await login_resource(work, parts, login)
        owner = await _owner_of(work, login)
    return choosing_page(resource, owner=owner, form_token=form_token(login, cookie))


async def _login_of_browser(database: Database, login_id: str, cookie: str | None) -> Login | None:
    """Return a login with a grant, to the browser that went through with it."""
    async with database.unit_of_work() as work:
        login = await get_login(work.connection, login_id)
        if login is None or not is_of_browser(login, cookie) or work.now > login.expires_at:
            return None
    granted = login.state in (LoginState.GRANTED, LoginState.FINISHED)
    return login if granted and login.user_id is not None else None


async def _owner_of(work: UnitOfWork, login: Login) -> str:
    """Return what the account is called that Pages are connected for."""
    account = await get_account(work.connection, login.account_id)
    return "" if account is None else account.name


def _callback_url(parts: ApiParts) -> str:
    return f"{parts.public_url.rstrip('/')}{CALLBACK}"


def _database(request: Request) -> Database:
    rest: RestParts = request.app.state.rest
    return rest.database
