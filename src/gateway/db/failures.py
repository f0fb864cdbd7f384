"""Which failures of the database pass by themselves."""

from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# Connection, resources, operator's intervention, lock not available, the server's own disk.
_TRANSIENT_CLASSES: Final = ("08", "53", "57", "55", "58")
# Serialisation, deadlock, a transaction that idled or lasted too long, and a server that only
# reads: while a failover lasts, the address may lead to a standby.
_TRANSIENT_STATES: Final = frozenset({"40001", "40P01", "25P03", "25P04", "25006"})

# What asyncpg raises where a connection is, or is about to be, lost. A session that the server has
# ended may still look alive for a moment; a statement in that moment is an internal error to it.
LOST: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


def is_transient(error: BaseException) -> bool:
    """Say whether trying again later may well succeed.

    Connections that are refused or lost, pools and locks that one waited for in vain, deadlocks,
    full disks, servers that only read for now, and statements that took too long are transient;
    what the statement itself is to blame for is not.
    """
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        lost = isinstance(error, InterfaceError) or _session_had_ended(error.orig)
        return error.connection_invalidated or lost or _passes(state)
    if isinstance(error, SQLAlchemyError):
        return isinstance(error, PoolTimeoutError)
    if isinstance(error, asyncpg.PostgresError):
        return _passes(error.sqlstate)
    return isinstance(error, LOST)


def name_of(error: BaseException) -> str:
    """Return what to call an error where only its name is told: never what its statement held.

    SQLAlchemy calls locks that were waited for in vain, deadlocks and sessions that were ended all
    alike; PostgreSQL's own names tell them apart.
    """
    told = error.driver_exception if isinstance(error, DBAPIError) else error
    return type(told).__name__


def _session_had_ended(error: BaseException | None) -> bool:
    raised = getattr(error, "driver_exception", error)
    return isinstance(raised, asyncpg.InternalClientError)


def _passes(state: object) -> bool:
    return isinstance(state, str) and (
        state.startswith(_TRANSIENT_CLASSES) or state in _TRANSIENT_STATES
    )
