"""Servers that a person named in the environment: used, never started or stopped."""

import asyncio
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from gateway.embedded.errors import EmbeddedError

_SECONDS: Final = 10.0


class ExternalPostgres:
    """What `DATABASE_URL` names."""

    pid: int | None = None

    def __init__(self, url: str) -> None:
        """Take an address as `DATABASE_URL` has it."""
        _scheme, separator, rest = url.partition("://")
        self.address = f"postgresql+asyncpg{separator}{rest}"
        self._left = asyncio.Event()

    async def start(self) -> str:
        """Return `address` once the server has answered.

        Raises:
            EmbeddedError: it does not.
        """
        engine = create_async_engine(
            self.address, poolclass=NullPool, connect_args={"timeout": _SECONDS}
        )
        try:
            async with engine.connect():
                return self.address
        except (OSError, SQLAlchemyError) as error:
            # The error's text could hold the address, and that a password.
            raise EmbeddedError(
                f"The PostgreSQL of DATABASE_URL cannot be used: {type(error).__name__}."
            ) from None
        finally:
            await engine.dispose()

    async def wait(self) -> int:
        """Wait for `stop`: whether the server ends is not ours to see."""
        await self._left.wait()
        return 0

    async def stop(self) -> None:
        """Leave it running."""
        self._left.set()

    async def kill(self) -> None:
        """Leave it running."""


class ExternalKafka:
    """What `KAFKA_BOOTSTRAP_SERVERS` names."""

    pid: int | None = None

    def __init__(self, bootstrap_servers: str) -> None:
        """Take addresses as `KAFKA_BOOTSTRAP_SERVERS` has them."""
        self.address = bootstrap_servers
        self._left = asyncio.Event()

    async def start(self) -> str:
        """Return `address` once a listed broker accepts a connection.

        More cannot be asked of one that may want TLS or a password.

        Raises:
            EmbeddedError: none does.
        """
        for server in self.address.split(","):
            host, _, port = server.strip().rpartition(":")
            if port.isdecimal() and await _somebody_listens(host.strip("[]"), int(port)):
                return self.address
        raise EmbeddedError(f"No broker of KAFKA_BOOTSTRAP_SERVERS answers: {self.address}")

    async def wait(self) -> int:
        """Wait for `stop`: whether the server ends is not ours to see."""
        await self._left.wait()
        return 0

    async def stop(self) -> None:
        """Leave it running."""
        self._left.set()

    async def kill(self) -> None:
        """Leave it running."""


async def _somebody_listens(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_SECONDS):
            _reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True
