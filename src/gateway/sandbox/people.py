"""People with a Facebook account: their roles on Pages, and what they granted to which app."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

PAGE_TASKS: Final = (
    "ADVERTISE",
    "ANALYZE",
    "CREATE_CONTENT",
    "MESSAGING",
    "MODERATE",
    "MANAGE",
)
# "About 60 days", Meta says; this is what has been recorded.
LONG_LIFE: Final = timedelta(seconds=5_183_944)
SHORT_LIFE: Final = timedelta(hours=2)
DEFAULT_PAGE_SIZE: Final = 25


@dataclass(slots=True, kw_only=True)
class Grant:
    """What a person lets an app do, and with which Pages.

    `declined` are permissions that were asked for and refused: Meta asks for them again only where
    the app says `auth_type=rerequest`.
    """

    scopes: tuple[str, ...] = ()
    page_ids: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Person:
    """A person who can log in.

    Attributes:
        user_id: App-scoped at Meta; here the same for every app.
        name: As the dialog shows it.
        pages: The tasks that they may do on each Page they have a role on.
        grants: By the app's id.
        token_seconds: How long tokens live that are issued from now on; None for Meta's own times.
        accounts_page_size: Of `/me/accounts`.
        unlisted: Pages that `/me/accounts` leaves out although they are granted, as it does with
            Pages that a business owns.
    """

    user_id: str
    name: str
    pages: dict[str, tuple[str, ...]] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    token_seconds: int | None = None
    accounts_page_size: int = DEFAULT_PAGE_SIZE
    unlisted: frozenset[str] = frozenset()

    def life(self, *, long: bool) -> timedelta:
        """Return how long a user token lives that is issued now."""
        if self.token_seconds is not None:
            return timedelta(seconds=self.token_seconds)
        return LONG_LIFE if long else SHORT_LIFE

    def granted(self, app_id: str) -> Grant:
        """Return what an app may do; nothing where it was never asked for or was removed."""
        return self.grants.get(app_id, Grant())

    def choose(
        self, app_id: str, *, asked: tuple[str, ...], scopes: list[str], page_ids: list[str]
    ) -> Grant:
        """Replace the grant of an app by what is chosen in its dialog."""
        before = self.granted(app_id)
        chosen = tuple(name for name in asked if name in scopes)
        declined = dict.fromkeys((*before.declined, *asked))
        grant = Grant(
            scopes=chosen,
            page_ids=tuple(page_id for page_id in self.pages if page_id in page_ids),
            declined=tuple(name for name in declined if name not in chosen),
        )
        self.grants[app_id] = grant
        return grant
