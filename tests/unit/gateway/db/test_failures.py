"""Which failures of the database are waited for, and which are what a statement did."""

import asyncpg
import pytest
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError

from gateway.db.failures import is_transient, name_of

PASSING = [
    asyncpg.ReadOnlySQLTransactionError,  # a standby, until it is promoted
    asyncpg.DiskFullError,
    asyncpg.PostgresIOError,
    asyncpg.TooManyConnectionsError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
]
LASTING = [
    asyncpg.UniqueViolationError,
    asyncpg.NumericValueOutOfRangeError,
    asyncpg.UndefinedColumnError,
]


@pytest.mark.parametrize("kind", PASSING)
def test_what_passes_by_itself(kind: type[asyncpg.PostgresError]) -> None:
    assert is_transient(kind("x"))
    assert is_transient(_wrapped(kind("x")))


@pytest.mark.parametrize("kind", LASTING)
def test_what_the_statement_is_to_blame_for(kind: type[asyncpg.PostgresError]) -> None:
    assert not is_transient(kind("x"))
    assert not is_transient(_wrapped(kind("x")))


def test_a_session_that_the_server_ended_is_a_lost_connection() -> None:
    """A statement sent before that is noticed meets a connection in the middle of something."""
    error = asyncpg.InternalClientError("cannot switch to state 12; another operation is there")
    assert is_transient(error)
    assert is_transient(_wrapped(error))
    translated = AsyncAdapt_asyncpg_dbapi.InternalClientError("x", error)
    assert is_transient(DBAPIError("SELECT 1", {}, translated))


def test_a_failure_has_the_name_that_postgresql_gives_it() -> None:
    error = asyncpg.DeadlockDetectedError("x")
    translated = AsyncAdapt_asyncpg_dbapi.OperationalError("x", error)
    for each in (error, _wrapped(error), _wrapped(translated)):
        assert name_of(each) == "DeadlockDetectedError"
    assert name_of(TimeoutError("x")) == "TimeoutError"


def _wrapped(error: Exception) -> DBAPIError:
    return DBAPIError("SELECT 1", {}, error)
