"""The page on which somebody plays the people who log in: their roles, settings and mishaps."""

import html
import secrets
from string import Template
from typing import Annotated, Final

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from gateway.sandbox.account_settings import AccountSettings
from gateway.sandbox.assets import SECURITY_HEADERS, template
from gateway.sandbox.invalidations import REFUSALS, Invalidation
from gateway.sandbox.people import Person
from gateway.sandbox.people_control import MAX_PEOPLE
from gateway.sandbox.world import INSTAGRAM_PERMISSIONS, PAGE_PERMISSIONS, World

_DELETION: Final = "data_deletion"
_SETTINGS: Final = "settings"
_MISHAPS: Final[dict[str, str]] = {
    "password_changed": "Change the password",
    "expired": "Let the tokens expire",
    "checkpointed": "Lock the account",
    "app_removed": "Remove the app",
    _DELETION: "Ask for deletion of the data",
}


class PeoplePage:
    """Serves `/people`."""

    def __init__(self, *, world: World, settings: AccountSettings) -> None:
        self._world = world
        self._settings = settings

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(include_in_schema=False)
        for method, path, endpoint in (
            ("GET", "/people", self.show),
            ("POST", "/people", self.make),
            ("POST", "/people/{user_id}", self.change),
        ):
            router.add_api_route(path, endpoint, methods=[method], response_model=None)
        return router

    async def show(self) -> Response:
        """Show the people there are."""
        cards = "".join(self._card(person) for person in self._world.people.values())
        body = Template(template("people.html")).substitute(cards=cards)
        return HTMLResponse(body, headers=SECURITY_HEADERS)

    async def make(self, name: Annotated[str, Form(min_length=1, max_length=200)]) -> Response:
        """Make a person who manages every Page there is."""
        if len(self._world.people) >= MAX_PEOPLE:
            raise HTTPException(409, "There are too many people.")
        user_id = str(10**16 + secrets.randbelow(9 * 10**16))
        person = Person(user_id=user_id, name=name)
        self._settings.hold_roles(person, {page_id: [] for page_id in self._world.pages})
        self._world.people[user_id] = person
        return RedirectResponse("/people", status_code=303)

    async def change(self, user_id: str, request: Request) -> Response:
        """Do what a button of a person's card says."""
        person = self._world.people.get(user_id)
        if person is None:
            raise HTTPException(404, "There is no such person.")
        form = await request.form(max_fields=20_000)
        app = self._world.default_app
        action = str(form.get("action", ""))
        if action == _SETTINGS:
            roles = [str(each) for each in form.getlist("role")]
            kept = {page_id: list(person.pages.get(page_id, ())) for page_id in roles}
            self._settings.hold_roles(person, kept)
            self._settings.grant(
                person,
                app,
                scopes=[str(each) for each in form.getlist("scope")],
                page_ids=[str(each) for each in form.getlist("page_id")],
            )
        elif action == _DELETION:
            await self._settings.ask_for_deletion(person, app)
        elif action in REFUSALS:
            why: Invalidation = action
            await self._settings.invalidate(person, app, why)
        else:
            raise HTTPException(422, "There is no such action.")
        return RedirectResponse("/people", status_code=303)

    def _card(self, person: Person) -> str:
        grant = person.granted(self._world.default_app.app_id)
        pages = self._world.pages.values()
        scopes = (*PAGE_PERMISSIONS, *INSTAGRAM_PERMISSIONS)
        return Template(template("person.html")).substitute(
            user_id=html.escape(person.user_id),
            name=html.escape(person.name),
            roles="".join(
                _box("role", each.page_id, each.name, on=each.page_id in person.pages)
                for each in pages
            ),
            pages="".join(
                _box("page_id", each.page_id, each.name, on=each.page_id in grant.page_ids)
                for each in pages
            ),
            scopes="".join(_box("scope", each, each, on=each in grant.scopes) for each in scopes),
            mishaps="".join(
                f'<button class="plain" name="action" value="{action}">{label}</button>'
                for action, label in _MISHAPS.items()
            ),
        )


def _box(name: str, value: str, label: str, *, on: bool) -> str:
    mark = " checked" if on else ""
    return (
        f'<li><label><input type="checkbox" name="{name}" value="{html.escape(value)}"{mark}> '
        f"<span>{html.escape(label)}</span></label></li>"
    )
