"""The secrets of Meta apps and third-party channels, kept where no database is asked on the way.

Loaded once, then looked after: a version number is polled every two seconds, and all is read again
when it has risen. While the database is away what was loaded is served on. What is not known is
looked up once, so that what was just created works at once: at most twenty look-ups a second, and a
no is remembered for a second. So is a channel whose token does not fit: it may just have rotated.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.failures import is_transient, name_of
from gateway.db.ingress_secrets import (
    IncomingChannel,
    read_all,
    read_channel,
    read_version,
)
from gateway.db.meta_apps import MetaApp, get_app
from gateway.db.secrets import UndecryptableError
from gateway.db.unit_of_work import Database
from gateway.errors import NotReadyError

_POLL_SECONDS: Final = 2.0
_FIRST_POLL_SECONDS: Final = 0.2
_LOOK_UPS: Final = RateLimitItemPerSecond(20)
_NO_SECONDS: Final = 1.0
_MOST_NOES: Final = 1000
_SENTENCE: Final = "The gateway does not have its secrets yet. Try again in a moment."

log = structlog.get_logger()

Known = TypeVar("Known")


@dataclass(frozen=True, slots=True)
class AppSecrets:
    """What webhooks of a Meta app are checked with."""

    secrets: tuple[bytes, ...]
    verify_token: bytes


class SecretCache:
    """What the ingress knows of apps and channels."""

    def __init__(
        self, database: Database, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._apps = _Table(self._look_up_app, self._allowed, monotonic)
        self._channels = _Table(self._look_up_channel, self._allowed, monotonic)
        self._version: int | None = None

    @property
    def loaded(self) -> bool:
        """False until everything has been read once; nobody can be told friend from stranger."""
        return self._version is not None

    async def run(self) -> None:
        """Keep what is known up to date until cancelled."""
        while True:
            try:
                await self.refresh()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("secrets.not_refreshed", error=name_of(error))
            await asyncio.sleep(_POLL_SECONDS if self.loaded else _FIRST_POLL_SECONDS)

    async def refresh(self) -> None:
        """Read everything again if anything may have changed."""
        async with self._database.unit_of_work() as work:
            version = await read_version(work.connection)
            if version == self._version:
                return
            apps, channels = await read_all(work.connection)
        self._apps.replace({app.app_id: opened for app in apps if (opened := self._open(app))})
        self._channels.replace({channel.id: channel for channel in channels})
        self._version = version

    async def app(self, app_id: str) -> AppSecrets | None:
        """Return what is needed to check an app's webhooks.

        Raises:
            NotReadyError: Nothing was ever loaded, or it is not known and the database is away.
        """
        self._refuse_until_loaded()
        return await self._apps.get(app_id)

    def known_app(self, app_id: str) -> AppSecrets | None:
        """Return what `app` would, where it need not look anything up; None: ask `app`."""
        # Nothing is known of any before all were loaded.
        return self._apps.known(app_id)

    async def channel(self, channel_id: str) -> IncomingChannel | None:
        """Return a third-party channel.

        Raises:
            NotReadyError: As `app` says.
        """
        self._refuse_until_loaded()
        return await self._channels.get(channel_id)

    async def channel_again(self, channel_id: str) -> IncomingChannel | None:
        """Return a third-party channel anew, for a token that none of the known ones is.

        It is what is known already where the database is away or was asked within the second.
        """
        try:
            return await self._channels.again(channel_id)
        except NotReadyError:
            return await self._channels.get(channel_id)

    def _refuse_until_loaded(self) -> None:
        if not self.loaded:
            raise NotReadyError(_SENTENCE)

    async def _allowed(self) -> bool:
        return await self._limiter.hit(_LOOK_UPS)

    async def _look_up_app(self, app_id: str) -> AppSecrets | None:
        async def read(connection: AsyncConnection) -> MetaApp | None:
            return await get_app(connection, app_id)

        app = await self._read(read)
        return None if app is None else self._open(app)

    async def _look_up_channel(self, channel_id: str) -> IncomingChannel | None:
        async def read(connection: AsyncConnection) -> IncomingChannel | None:
            return await read_channel(connection, channel_id)

        return await self._read(read)

    async def _read(
        self, read: Callable[[AsyncConnection], Awaitable[Known | None]]
    ) -> Known | None:
        try:
            async with self._database.unit_of_work() as work:
                return await read(work.connection)
        except Exception as error:
            if not is_transient(error):
                raise
            raise NotReadyError(_SENTENCE) from error

    def _open(self, app: MetaApp) -> AppSecrets | None:
        keyring = self._database.keyring
        try:
            return AppSecrets(
                tuple(secret.get_secret_value().encode() for secret in app.open_secrets(keyring)),
                app.open_verify_token(keyring).get_secret_value().encode(),
            )
        except UndecryptableError:
            log.exception("secrets.undecryptable", app_id=app.app_id)
            return None


class _Table(Generic[Known]):
    """Things by id; those not known are looked up once, and a no is kept for a second."""

    def __init__(
        self,
        look_up: Callable[[str], Awaitable[Known | None]],
        allowed: Callable[[], Awaitable[bool]],
        monotonic: Callable[[], float],
    ) -> None:
        self._look_up = look_up
        self._allowed = allowed
        self._monotonic = monotonic
        self._known: dict[str, Known] = {}
        self._noes: dict[str, float] = {}
        # Look-ups under way, so that many first requests for one thing are one look-up.
        self._asked: dict[str, asyncio.Future[Known | None]] = {}

    def replace(self, known: dict[str, Known]) -> None:
        self._known = known
        self._noes.clear()

    def known(self, name: str) -> Known | None:
        return self._known.get(name)

    async def get(self, name: str) -> Known | None:
        known = self._known.get(name)
        if known is not None:
            return known
        if "\0" in name:
            # PostgreSQL would refuse to be asked.
            return None
        asked = self._asked.get(name)
        if asked is not None:
            # Shielded: who waits for somebody else's look-up must not end it by leaving.
            return await asyncio.shield(asked)
        now = self._monotonic()
        if self._noes.get(name, now) > now:
            return None
        return await self._ask(name, now)

    async def again(self, name: str) -> Known | None:
        """Look up anew what is known, at most once a second."""
        now = self._monotonic()
        if self._noes.get(name, now) <= now and await self._allowed():
            self._say_no(name, now)
            found = await self._look_up(name)
            if found is not None:
                self._known[name] = found
        return self._known.get(name)

    async def _ask(self, name: str, now: float) -> Known | None:
        """Look up for all who ask meanwhile."""
        asked = self._asked[name] = asyncio.get_running_loop().create_future()
        try:
            found = await self._find(name, now)
        except BaseException as error:
            # Where this call was cancelled, nothing is known either.
            asked.set_exception(error if isinstance(error, Exception) else NotReadyError(_SENTENCE))
            # There may be nobody who waits, and asyncio would complain that nobody looked.
            asked.exception()
            raise
        finally:
            del self._asked[name]
        asked.set_result(found)
        return found

    async def _find(self, name: str, now: float) -> Known | None:
        if not await self._allowed():
            return None
        found = await self._look_up(name)
        if found is None:
            self._say_no(name, now)
        else:
            self._known[name] = found
        return found

    def _say_no(self, name: str, now: float) -> None:
        if len(self._noes) >= _MOST_NOES:
            self._noes = {each: until for each, until in self._noes.items() if until > now}
        if len(self._noes) < _MOST_NOES:
            self._noes[name] = now + _NO_SECONDS
