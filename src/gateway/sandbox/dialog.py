"""The Login dialog: a person sees what an app asks for, picks Pages, and allows or declines.

Meta's own is `https://www.facebook.com/v{N}/dialog/oauth`; parameters and answers are those of its
manual flow.
"""

import html
from string import Template
from typing import Annotated, Final
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from gateway.sandbox.assets import SECURITY_HEADERS, template
from gateway.sandbox.people import Person
from gateway.sandbox.platform import Platform
from gateway.sandbox.world import App

_NAMES: Final = {
    "pages_messaging": "Manage and access Page conversations in Messenger",
    "pages_show_list": "Show a list of the Pages you manage",
    "pages_read_engagement": "Read content posted on the Page",
    "pages_manage_metadata": "Manage accounts, settings, and webhooks for a Page",
    "business_management": "Manage your business",
    "instagram_basic": "Access profile and posts of the Instagram account connected to your Page",
    "instagram_manage_messages": "Manage and access conversations on Instagram",
}
_REREQUEST: Final = "rerequest"

Parameter = Annotated[str, Query(max_length=4000)]


class Dialog:
    """Serves the dialog and takes what is chosen in it."""

    def __init__(self, *, platform: Platform) -> None:
        self._platform = platform

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(include_in_schema=False)
        path = "/v{version}/dialog/oauth"
        router.add_api_route(path, self.show, methods=["GET"], response_model=None)
        router.add_api_route(path, self.choose, methods=["POST"], response_model=None)
        return router

    async def show(
        self,
        request: Request,
        client_id: Parameter = "",
        redirect_uri: Parameter = "",
        state: Parameter = "",
        scope: Parameter = "",
        auth_type: Parameter = "",
        user_id: Parameter = "",
    ) -> Response:
        """Show the form, to the person that `user_id` names or to the first there is."""
        app = self._app(client_id)
        if app is None or not _is_address(redirect_uri):
            return _page("login_refused.html", status=400)
        people = self._platform.world.people
        if not people:
            return _page("login_nobody.html")
        person = people.get(user_id) or next(iter(people.values()))
        asked = _asked(person, app, scope, auth_type)
        hidden = {
            "client_id": client_id,
            "redirect_uri": redirect_uri,
            "state": state,
            "scope": scope,
            "auth_type": auth_type,
        }
        return _page(
            "login.html",
            app_name=app.name,
            user_id=person.user_id,
            action=f"{request.url.path}?{urlencode(hidden)}",
            raw={
                "people": "".join(_option(each, chosen=each is person) for each in people.values()),
                "hidden": "".join(
                    f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
                    for name, value in hidden.items()
                ),
                "scopes": "".join(_box("scope", name, _NAMES.get(name, name)) for name in asked),
                "pages": self._page_boxes(person, app),
            },
        )

    async def choose(
        self,
        request: Request,
        client_id: Parameter = "",
        redirect_uri: Parameter = "",
        state: Parameter = "",
        scope: Parameter = "",
        auth_type: Parameter = "",
    ) -> Response:
        """Take the choice and send the browser back with a code, or with the refusal."""
        app = self._app(client_id)
        form = await request.form(max_fields=20_000)
        person = self._platform.world.people.get(str(form.get("user_id", "")))
        if app is None or person is None or not _is_address(redirect_uri):
            return _page("login_refused.html", status=400)
        if form.get("action") != "allow":
            return _back(
                redirect_uri,
                error="access_denied",
                error_reason="user_denied",
                error_description="Permissions error",
                state=state,
            )
        asked = _asked(person, app, scope, auth_type)
        kept = [name for name in person.granted(app.app_id).scopes if name not in asked]
        chosen = [str(each) for each in form.getlist("scope")]
        person.choose(
            app.app_id,
            asked=tuple(dict.fromkeys((*asked, *kept))),
            scopes=chosen + kept,
            page_ids=[str(each) for each in form.getlist("page_id")],
        )
        code = self._platform.codes.issue(app, person, redirect_uri)
        return _back(redirect_uri, code=code, state=state)

    def _app(self, client_id: str) -> App | None:
        return self._platform.world.apps.get(client_id)

    def _page_boxes(self, person: Person, app: App) -> str:
        granted = person.granted(app.app_id).page_ids
        pages = self._platform.world.pages
        return "".join(
            _box(
                "page_id",
                page_id,
                pages[page_id].name,
                checked=page_id in granted or app.app_id not in person.grants,
            )
            for page_id in person.pages
            if page_id in pages
        )


def _asked(person: Person, app: App, scope: str, auth_type: str) -> tuple[str, ...]:
    """Return the permissions that the dialog asks for: declined ones only when told to."""
    names = tuple(dict.fromkeys(name for name in scope.replace(" ", ",").split(",") if name))
    if auth_type == _REREQUEST:
        return names
    declined = person.granted(app.app_id).declined
    return tuple(name for name in names if name not in declined)


def _back(redirect_uri: str, **parameters: str) -> Response:
    joint = "&" if urlsplit(redirect_uri).query else "?"
    # Login redirects end so, for the sake of old browsers.
    return RedirectResponse(f"{redirect_uri}{joint}{urlencode(parameters)}#_=_", status_code=303)


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _option(person: Person, *, chosen: bool) -> str:
    selected = " selected" if chosen else ""
    return (
        f'<option value="{html.escape(person.user_id)}"{selected}>{html.escape(person.name)}'
        "</option>"
    )


def _box(name: str, value: str, label: str, *, checked: bool = True) -> str:
    mark = " checked" if checked else ""
    return (
        f'<li><label><input type="checkbox" name="{name}" value="{html.escape(value)}"{mark}> '
        f"<span>{html.escape(label)}</span></label></li>"
    )


def _page(
    name: str, *, status: int = 200, raw: dict[str, str] | None = None, **values: str
) -> HTMLResponse:
    escaped = {key: html.escape(value) for key, value in values.items()}
    body = Template(template(name)).substitute(escaped | (raw or {}))
    headers = dict(SECURITY_HEADERS)
    # Browsers hold a form's redirect to the same list, and it leads to the app.
    headers["Content-Security-Policy"] = headers["Content-Security-Policy"].replace(
        "form-action 'self'", "form-action *"
    )
    return HTMLResponse(body, status_code=status, headers=headers)
