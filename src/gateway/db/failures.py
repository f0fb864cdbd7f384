"""Which failures of the database pass by themselves."""

from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# Connection, resources, operator's intervention, lock not available, the server's own disk.
_TRANSIENT_CLASSES: Final = ("08", "53", "57", "55", "58")
# Serialisation, deadlock, a session that idled in its transaction, and a server that only reads:
# while a failover lasts, the address may lead to a standby.
_TRANSIENT_STATES: Final = frozenset({"40001", "40P01", "25P03", "25006"})


def is_transient(error: BaseException) -> bool:
    """Say whether trying again later may well succeed.

    Connections that are refused or lost, pools and locks that one waited for in vain, deadlocks,
    full disks, servers that only read for now, and statements that took too long are transient;
    what the statement itself is to blame for is not.
    """
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        return error.connection_invalidated or _passes(state) or isinstance(error, InterfaceError)
    if isinstance(error, SQLAlchemyError):
        return isinstance(error, PoolTimeoutError)
    if isinstance(error, asyncpg.PostgresError):
        return _passes(error.sqlstate)
    return isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError)


def _passes(state: object) -> bool:
    return isinstance(state, str) and (
        state.startswith(_TRANSIENT_CLASSES) or state in _TRANSIENT_STATES
    )
