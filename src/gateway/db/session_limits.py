"""What the server does with a session whose process says nothing any more.

A machine that lost its power, or a firewall that forgot a connection, tells nobody. What such a
session has locked must be free again soon, whatever it was in the middle of:

- between two statements, `idle_in_transaction_session_timeout` ends it;
- between preparing a statement and executing it, where asyncpg has sent a Flush and no Sync, the
  server takes the session for active and that limit does not run, nor does `statement_timeout`:
  `transaction_timeout` ends it, from PostgreSQL 17 on;
- before that version, and outside transactions, keep-alives find out, if the machine is gone.
"""

from typing import Any, Final

import asyncpg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.db.failures import LOST, is_transient

# In milliseconds. A long transaction anywhere holds everybody back.
_IDLE: Final = 10_000
_WHOLE: Final = 15_000
_LOCK: Final = 4_000
_HAS_LIMIT_OF_TRANSACTIONS: Final = 17

# Found out after 25 seconds. Ignored on Unix sockets.
KEEP_ALIVES: Final = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
LIMITS: Final = KEEP_ALIVES | {
    "idle_in_transaction_session_timeout": str(_IDLE),
    "lock_timeout": str(_LOCK),
}


def limit_transactions(engine: AsyncEngine) -> None:
    """Have the server end each transaction of a pool that lasts too long, where it can.

    A session that is lost before it knows is a `ConnectionError`, like one that is refused.
    """
    event.listen(engine.sync_engine, "connect", _limit)


def _limit(connection: Any, _record: object) -> None:  # noqa: ANN401 - the dialect's own
    # A server that does not know a setting refuses whoever names it when connecting.
    if connection.driver_connection.get_server_version().major < _HAS_LIMIT_OF_TRANSACTIONS:
        return
    try:
        connection.run_async(_set_limit)
    except LOST as error:
        connection.driver_connection.terminate()
        if not is_transient(error):
            raise
        # SQLAlchemy makes its own errors of the driver's only where it calls the driver.
        raise ConnectionError("The session was ended as it began.") from error


async def _set_limit(connection: asyncpg.Connection) -> None:
    await connection.execute(f"SET transaction_timeout = {_WHOLE}")
