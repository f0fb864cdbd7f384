"""The connection pool."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.db.pings import ask_before_use
from gateway.db.session_limits import LIMITS, limit_transactions

_STATEMENT_SECONDS: Final = 5
_POOL_SECONDS: Final = 2

# For statements that find rows by their keys: one plan for all values, made once a connection. It
# must not depend on how few rows there were then, so no table that has an index is read whole.
PLANNED_ONCE: Final[Mapping[str, str]] = MappingProxyType(
    {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "jit": "off"}
)
# For lists with filters: one plan for all values would read a large account's whole table for a
# rare value, or sort a long conversation for its first page. Planning anew costs 0.1 ms.
PLANNED_EACH_TIME: Final[Mapping[str, str]] = MappingProxyType(
    {"plan_cache_mode": "force_custom_plan"}
)


def create_engine(
    database_url: str,
    *,
    pool_size: int,
    max_overflow: int,
    application_name: str,
    planning: Mapping[str, str] = PLANNED_ONCE,
) -> AsyncEngine:
    """Return a pool whose every wait has an end.

    A connection that the server dropped, or that leads nowhere any more, is replaced before it is
    used. Statements end after five seconds, transactions after fifteen; a checkout that finds no
    connection within two raises `sqlalchemy.exc.TimeoutError`. `planning` are PostgreSQL's settings
    for how statements are planned.
    """
    engine = create_async_engine(
        database_url,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=_POOL_SECONDS,
        # What people wrote stands in the parameters, and errors end in logs.
        hide_parameters=True,
        connect_args={
            "command_timeout": _STATEMENT_SECONDS,
            "timeout": _STATEMENT_SECONDS,
            "server_settings": {
                "application_name": application_name,
                "timezone": "UTC",
                **planning,
                **LIMITS,
            },
        },
    )
    limit_transactions(engine)
    ask_before_use(engine)
    return engine
