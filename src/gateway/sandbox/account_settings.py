"""What happens to a person's account, roles and grants, whoever brings it about."""

from typing import Any

from gateway.sandbox.courier import Courier
from gateway.sandbox.invalidations import REFUSALS, Invalidation
from gateway.sandbox.people import PAGE_TASKS, Person
from gateway.sandbox.signed_requests import DATA_DELETION, DEAUTHORIZE, post_callback
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.world import INSTAGRAM_PERMISSIONS, PAGE_PERMISSIONS, App, World


class AccountSettings:
    """A person's Facebook settings: what they change there, and what the app is told of it."""

    def __init__(self, *, world: World, timeline: Timeline, courier: Courier) -> None:
        self._world = world
        self._timeline = timeline
        self._courier = courier

    def hold_roles(self, person: Person, pages: dict[str, list[str]]) -> None:
        """Let a person have roles on these Pages and no others."""
        person.pages = {page_id: tuple(tasks or PAGE_TASKS) for page_id, tasks in pages.items()}

    def grant(
        self, person: Person, app: App, *, scopes: list[str] | None, page_ids: list[str] | None
    ) -> None:
        """Change what a person lets an app do; what is not given stays."""
        grant = person.granted(app.app_id)
        if scopes is not None:
            grant.declined = tuple(
                name for name in (*grant.scopes, *grant.declined) if name not in scopes
            )
            grant.scopes = tuple(scopes)
        if page_ids is not None:
            grant.page_ids = tuple(page_ids)
        person.grants[app.app_id] = grant

    def give_token(self, person: Person, app: App, value: str) -> None:
        """Make a token valid, with everything granted where nothing was granted yet."""
        if app.app_id not in person.grants:
            scopes = [*PAGE_PERMISSIONS, *INSTAGRAM_PERMISSIONS]
            self.grant(person, app, scopes=scopes, page_ids=list(person.pages))
        self._world.grant_user_token(person, app, long=True, value=value)

    async def invalidate(
        self, person: Person, app: App, why: Invalidation
    ) -> dict[str, Any] | None:
        """End the tokens of an app that a person's logins led to; return what its callback got.

        Only the removal of an app has a callback, and takes the grant away.
        """
        for token in self._world.tokens_of(person):
            if token.app_id == app.app_id:
                token.refusal = token.refusal or REFUSALS[why]
        if why != "app_removed":
            return None
        person.grants.pop(app.app_id, None)
        return await self._post(person, app, DEAUTHORIZE)

    async def ask_for_deletion(self, person: Person, app: App) -> dict[str, Any]:
        """Have an app told to delete a person's data; return what its callback got."""
        return await self._post(person, app, DATA_DELETION)

    async def _post(self, person: Person, app: App, callback: str) -> dict[str, Any]:
        return await post_callback(self._courier, self._timeline, app, person, callback)
