"""Sessions that are lost before they know their limits."""

import asyncpg
import pytest
from sqlalchemy import text

from gateway.db import session_limits
from gateway.db.engine import create_engine

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]


async def cut(connection):
    await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def confuse(_connection):
    # What asyncpg says of a session that the server has ended while it looked alive.
    raise asyncpg.InternalClientError("cannot switch to state 15")


@pytest.mark.parametrize("loss", [cut, confuse])
async def test_the_connection_is_refused_and_the_next_one_is_there(database_url, monkeypatch, loss):
    engine = create_engine(database_url, pool_size=1, max_overflow=0, application_name="tests")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(session_limits, "_set_limit", loss)
            with pytest.raises(ConnectionError):
                _ = await engine.connect().start()
        async with engine.connect() as connection:
            limit = await connection.scalar(text("SHOW transaction_timeout"))
        assert limit == "15s"
    finally:
        await engine.dispose()


async def test_what_will_not_pass_by_itself_is_not_taken_for_a_loss(database_url, monkeypatch):
    async def mistake(connection):
        await connection.execute("SET there_is_no_such_limit = 1")

    engine = create_engine(database_url, pool_size=1, max_overflow=0, application_name="tests")
    monkeypatch.setattr(session_limits, "_set_limit", mistake)
    try:
        with pytest.raises(asyncpg.UndefinedObjectError):
            _ = await engine.connect().start()
    finally:
        await engine.dispose()
