"""Whether the database's schema is the one that this release works with."""

import asyncio
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from gateway.db.revisions import Revisions
from gateway.db.unit_of_work import Database

_EVERY_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 0.5
_PRESENT: Final = text("SELECT version_num FROM alembic_version")

log = structlog.get_logger()


class SchemaRevision:
    """Looks at the revision time and again; a deployer may migrate after this process started.

    A revision that this release does not know is a later one, made by the next release: schemas
    change so that the release before can still work with them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known = Revisions.of_this_release()
        # Nothing looked yet; None: there is no schema.
        self._present: str | None = ""
        self._fits = asyncio.Event()

    @property
    def fits(self) -> bool:
        """Whether the schema, as last seen, is new enough."""
        return self._fits.is_set()

    async def wait(self) -> None:
        """Return when the schema is new enough; `run` looks."""
        await self._fits.wait()

    async def run(self) -> None:
        """Look until cancelled; databases that go away come back."""
        while True:
            try:
                await self._look()
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("schema.unknown", error=type(error).__name__)
            await asyncio.sleep(_EVERY_SECONDS if self.fits else _RETRY_SECONDS)

    async def _look(self) -> None:
        async with self._database.engine.connect() as connection:
            exists = await connection.execute(text("SELECT to_regclass('alembic_version')"))
            if exists.scalar_one() is None:
                present = None
            else:
                present = (await connection.execute(_PRESENT)).scalar_one_or_none()
        if present is None or present in self._known.older:
            if present != self._present or self.fits:
                log.warning("schema.too_old", present=present, wanted=self._known.head)
            self._fits.clear()
        else:
            self._fits.set()
        self._present = present
