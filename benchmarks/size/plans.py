"""Sees the plan of every statement as it is run, through PostgreSQL's own `auto_explain`.

The plans are those of the prepared statements that the code uses, under the settings that the roles
have for planning.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from benchmarks.size.rows import BIG_TABLES
from gateway.clock import SystemClock
from gateway.db.engine import PLANNED_EACH_TIME, PLANNED_ONCE
from gateway.db.secrets import KeyRing
from gateway.db.unit_of_work import Database

_SETTINGS: Final = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "client_min_messages": "log",
    "application_name": "gateway-plans",
    "timezone": "UTC",
}
_MARKER: Final = "plan:\n"
_KEYS: Final = "k1:" + "A" * 43 + "="


@dataclass(frozen=True, slots=True)
class Plan:
    """One execution of a statement.

    Attributes:
        statement: Its text, on one line.
        milliseconds: How long it ran in the server.
        root: The plan with what really happened, as EXPLAIN tells it in JSON.
    """

    statement: str
    milliseconds: float
    root: dict[str, Any]

    def nodes(self) -> Iterator[dict[str, Any]]:
        """Yield all nodes of the plan."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.get("Plans", ())

    @property
    def rows_read(self) -> int:
        """How many rows the scans of tables looked at, those that they threw away included."""
        rows = (
            node["Actual Loops"]
            * (
                node["Actual Rows"]
                + node.get("Rows Removed by Filter", 0)
                + node.get("Rows Removed by Index Recheck", 0)
            )
            for node in self.nodes()
            if "Relation Name" in node and node["Node Type"] != "ModifyTable"
        )
        return round(float(sum(rows)))

    @property
    def rows_sorted(self) -> int:
        """How many rows the largest sort took in."""
        return max(
            (
                round(child["Actual Rows"] * child["Actual Loops"])
                for node in self.nodes()
                if node["Node Type"] in ("Sort", "Incremental Sort")
                for child in node["Plans"]
            ),
            default=0,
        )

    @property
    def blocks(self) -> int:
        """How many blocks of tables and indexes it looked at."""
        return int(self.root["Shared Hit Blocks"] + self.root["Shared Read Blocks"])

    @property
    def scanned(self) -> list[str]:
        """Big tables that it read from end to end."""
        return sorted(
            {
                node["Relation Name"]
                for node in self.nodes()
                if node["Node Type"] == "Seq Scan" and node["Actual Loops"] and _is_big(node)
            }
        )

    @property
    def shape(self) -> str:
        """How it finds its rows: the indexes and tables that it goes through."""
        names = []
        for node in self.nodes():
            if "Index Name" in node:
                names.append(node["Index Name"])
            elif node["Node Type"] in ("Seq Scan", "Tid Scan") and _is_big(node):
                names.append(f"{node['Node Type'].lower()} of {node['Relation Name']}")
        return ", ".join(dict.fromkeys(names))


def _is_big(node: dict[str, Any]) -> bool:
    name: str = node["Relation Name"]
    return name in BIG_TABLES or name.startswith("events_")


@dataclass(slots=True)
class PlanLog:
    """The plans that the connections of an engine told."""

    plans: list[Plan] = field(default_factory=list)

    async def take(self) -> list[Plan]:
        """Return and forget what was told so far."""
        # The driver hands its messages to the loop's next turn.
        await asyncio.sleep(0)
        taken, self.plans = self.plans, []
        return taken

    def hear(self, _connection: object, message: asyncpg.PostgresLogMessage) -> None:
        """Note a plan that a connection tells of."""
        head, marker, plan = str(message.message).partition(_MARKER)
        if marker:
            told = json.loads(plan)
            self.plans.append(
                Plan(
                    statement=" ".join(told["Query Text"].split()),
                    milliseconds=float(head.split()[1]),
                    root=told["Plan"],
                )
            )


# The database as a role has it, and the plans that its connections tell.
Databases = Callable[[str], tuple[Database, PlanLog]]


@asynccontextmanager
async def explaining_databases(superuser_address: str, **settings: str) -> AsyncIterator[Databases]:
    """Give databases that tell the plans of what runs there.

    Args:
        superuser_address: As SQLAlchemy takes it; only a superuser may have plans told.
        settings: Further ones of the sessions.
    """
    lists = _explaining_engine(superuser_address, {**PLANNED_EACH_TIME, **settings})
    others = _explaining_engine(superuser_address, {**PLANNED_ONCE, **settings})
    keyring = KeyRing.from_text(_KEYS)

    def database(role: str) -> tuple[Database, PlanLog]:
        engine, log = lists if role == "api" else others
        return Database(engine, clock=SystemClock(), keyring=keyring), log

    try:
        yield database
    finally:
        for engine, _ in (lists, others):
            await engine.dispose()


def _explaining_engine(
    superuser_address: str, settings: Mapping[str, str]
) -> tuple[AsyncEngine, PlanLog]:
    """Return an engine and the plans that its connections tell.

    Args:
        superuser_address: As SQLAlchemy takes it; only a superuser may have plans told.
        settings: Further ones of the session.
    """
    log = PlanLog()
    engine = create_async_engine(
        superuser_address,
        pool_size=2,
        # The same one again and again: the other is for what opens transactions of its own.
        pool_use_lifo=True,
        max_overflow=0,
        connect_args={"command_timeout": 120, "server_settings": {**_SETTINGS, **settings}},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _listen(connection: Any, _record: object) -> None:  # noqa: ANN401 - SQLAlchemy's adapter
        connection.driver_connection.add_log_listener(log.hear)

    return engine, log
