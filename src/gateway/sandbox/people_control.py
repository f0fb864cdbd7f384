"""The control calls about people who log in: their roles, grants, tokens and callbacks."""

from typing import Any, Final

from fastapi import APIRouter, HTTPException, Response

from gateway.sandbox.account_settings import AccountSettings
from gateway.sandbox.answers import AsciiJson
from gateway.sandbox.bodies import GraphId, PersonBody
from gateway.sandbox.people import Person
from gateway.sandbox.views import person_view
from gateway.sandbox.world import App, World

MAX_PEOPLE: Final = 10_000
_PLAIN_FIELDS: Final = ("name", "token_seconds", "accounts_page_size")


class PeopleControl:
    """People who can log in, under `/control/people`."""

    def __init__(self, *, world: World, settings: AccountSettings) -> None:
        self._world = world
        self._settings = settings

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/control/people", tags=["people"])
        for method, path, endpoint in (
            ("POST", "", self.put_person),
            ("GET", "", self.list_people),
            ("POST", "/{user_id}/data-deletion", self.ask_for_deletion),
        ):
            router.add_api_route(path, endpoint, methods=[method], response_model=None)
        return router

    async def put_person(self, body: PersonBody) -> Response:
        """Make a person, or change what is given of one.

        Answers with the person, and under `callback` with what the deauthorise callback got.
        """
        app = self._app(body.app_id)
        person = self._world.people.get(body.user_id) or self._new_person(body)
        self._change(person, app, body)
        callback: dict[str, Any] | None = None
        if body.invalidate is not None:
            callback = await self._settings.invalidate(person, app, body.invalidate)
        if body.user_token is not None:
            self._check_token(person, body.user_token)
            self._settings.give_token(person, app, body.user_token)
        return AsciiJson(person_view(self._world, person) | {"callback": callback})

    async def list_people(self) -> Response:
        """List the people who can log in."""
        people = self._world.people.values()
        return AsciiJson({"data": [person_view(self._world, person) for person in people]})

    async def ask_for_deletion(self, user_id: GraphId, app_id: GraphId | None = None) -> Response:
        """Post the data-deletion callback for a person; answer with what it got."""
        person = self._world.people.get(user_id)
        if person is None:
            raise HTTPException(404, "There is no such person.")
        return AsciiJson(await self._settings.ask_for_deletion(person, self._app(app_id)))

    def _app(self, app_id: str | None) -> App:
        app = self._world.apps.get(app_id or self._world.default_app.app_id)
        if app is None:
            raise HTTPException(404, "There is no such app.")
        return app

    def _new_person(self, body: PersonBody) -> Person:
        if len(self._world.people) >= MAX_PEOPLE:
            raise HTTPException(409, "There are too many people.")
        person = Person(user_id=body.user_id, name=body.name or f"Person {body.user_id}")
        self._world.people[person.user_id] = person
        return person

    def _change(self, person: Person, app: App, body: PersonBody) -> None:
        for name in _PLAIN_FIELDS:
            if (value := getattr(body, name)) is not None:
                setattr(person, name, value)
        if body.unlisted is not None:
            person.unlisted = frozenset(body.unlisted)
        if body.pages is not None:
            self._settings.hold_roles(person, body.pages)
        if body.granted is not None:
            granted = body.granted
            self._settings.grant(person, app, scopes=granted.scopes, page_ids=granted.page_ids)

    def _check_token(self, person: Person, value: str) -> None:
        held = self._world.tokens.get(value)
        if held is not None and (held.user_id != person.user_id or held.kind != "USER"):
            raise HTTPException(409, "That token is somebody else's.")
