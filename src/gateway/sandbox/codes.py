"""The codes that Facebook Login sends back: each good for one exchange, for ten minutes."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.sandbox.errors import GraphError
from gateway.sandbox.people import Person
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.world import App

CODE_LIFE: Final = timedelta(minutes=10)
# More logins than that are open at no time.
MAX_CODES: Final = 10_000


@dataclass(slots=True, kw_only=True)
class Code:
    """A code, for the app and the address that it was made for."""

    value: str
    app_id: str
    user_id: str
    redirect_uri: str
    expires_at: datetime
    used: bool = False


class Codes:
    """The codes that were handed out; the oldest go first."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._codes: dict[str, Code] = {}

    def issue(self, app: App, person: Person, redirect_uri: str) -> str:
        """Return a fresh code."""
        code = Code(
            value="AQ" + secrets.token_urlsafe(64),
            app_id=app.app_id,
            user_id=person.user_id,
            redirect_uri=redirect_uri,
            expires_at=self._timeline.now() + CODE_LIFE,
        )
        self._codes[code.value] = code
        if len(self._codes) > MAX_CODES:
            del self._codes[next(iter(self._codes))]
        return code.value

    def redeem(self, value: str, app: App, redirect_uri: str | None) -> str:
        """Use a code up and return whose it is; raises GraphError where it is no good."""
        code = self._codes.get(value)
        if code is None or code.app_id != app.app_id:
            raise GraphError(100, message="Invalid verification code format.")
        if code.redirect_uri != redirect_uri:
            raise GraphError(
                100,
                36008,
                message="Error validating verification code. Please make sure your redirect_uri is"
                " identical to the one you used in the OAuth dialog request",
            )
        if code.used:
            raise GraphError(100, 36009, message="This authorization code has been used.")
        if code.expires_at <= self._timeline.now():
            raise GraphError(100, 36007, message="This authorization code has expired.")
        code.used = True
        return code.user_id
