"""Teams as the REST API keeps them; routing reads them by itself."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.edited import EditedTable
from gateway.db.tables import teams


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A team's row."""

    account_id: str
    id: str
    name: str
    distribution: str
    agent_timeout_seconds: int
    agent_ids: list[str]
    version: int
    created_at: datetime
    deleted_at: datetime | None


TEAMS: Final = EditedTable(teams, Team)

_LIVE_AGENTS: Final = text(
    "SELECT id FROM agents WHERE account_id = :account_id AND id = ANY(:ids) AND deleted_at IS NULL"
)


async def find_unknown_agents(
    connection: AsyncConnection, account_id: str, agent_ids: Collection[str]
) -> set[str]:
    """Return those ids that are not of live agents of the account."""
    rows = await connection.execute(
        _LIVE_AGENTS, {"account_id": account_id, "ids": list(agent_ids)}
    )
    return set(agent_ids) - set(rows.scalars())
