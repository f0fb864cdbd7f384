"""Databases for tests, cloned from one that was migrated once."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Final

import asyncpg

# Files are copied outright: a third faster than through the log, for a database this small.
_STRATEGY: Final = "FILE_COPY"


class Databases:
    """Makes and drops databases on one server, whose role may create databases."""

    def __init__(self, address: str, migrate: Callable[[str], None]) -> None:
        """Take the server.

        Args:
            address: Of any database there, as `DATABASE_URL` takes it; it is left as it is.
            migrate: Brings the database at an address to the present schema; runs in a thread.
        """
        self._address = address
        self._migrate = migrate
        # Unlike any other's on a server that several share.
        self._prefix = f"gateway_test_{uuid.uuid4().hex[:12]}"
        self._made = 0
        self._template: str | None = None

    async def migrated(self) -> str:
        """Return the address of a fresh database with the present schema."""
        if self._template is None:
            template = f"{self._prefix}_template"
            await self._execute(f'CREATE DATABASE "{template}"')
            await asyncio.to_thread(self._migrate, self._address_of(template))
            self._template = template
        return await self._make(f'TEMPLATE "{self._template}" STRATEGY {_STRATEGY}')

    async def empty(self) -> str:
        """Return the address of a fresh database with nothing in it."""
        return await self._make("")

    async def drop(self, address: str) -> None:
        """Drop a database, whoever is still connected to it."""
        await self._drop(address.rpartition("/")[2])

    async def drop_template(self) -> None:
        """Drop the last thing made here."""
        if self._template is not None:
            await self._drop(self._template)

    async def _make(self, options: str) -> str:
        self._made += 1
        name = f"{self._prefix}_{self._made}"
        await self._execute(f'CREATE DATABASE "{name}" {options}')
        return self._address_of(name)

    async def _drop(self, name: str) -> None:
        await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _address_of(self, name: str) -> str:
        return f"{self._address.rpartition('/')[0]}/{name}"

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._address.replace("+asyncpg", "", 1), timeout=30)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
