"""Teams as decisions read them; their members are locked, they are not.

Who changes a team locks the account afterwards, before it looks for enquiries that may go on. So a
decision, which holds the account, sees the change, or is seen by who made it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from routing.destinations import AgentFacts, Distribution, TeamFacts

_FIND: Final = text(
    """
    SELECT account_id, id, name, distribution, agent_timeout_seconds, agent_ids FROM teams
    WHERE (account_id, id) IN (
      SELECT * FROM unnest(CAST(:account_ids AS text[]), CAST(:ids AS text[])))
      AND deleted_at IS NULL
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A team that is not deleted."""

    account_id: str
    id: str
    name: str
    distribution: str
    agent_timeout_seconds: int
    agent_ids: list[str]

    def facts(self, members: Iterable[AgentFacts], *, last_asked: str | None) -> TeamFacts:
        """Return the team as a decision sees one.

        Args:
            members: Those that are not deleted, in the team's order.
            last_asked: Of a team that asks in turn: who was asked last.
        """
        return TeamFacts(
            id=self.id,
            name=self.name,
            distribution=Distribution(self.distribution),
            agent_timeout=timedelta(seconds=self.agent_timeout_seconds),
            members=tuple(members),
            last_asked=last_asked,
        )


async def find_teams(
    connection: AsyncConnection, teams: Collection[tuple[str, str]]
) -> dict[str, Team]:
    """Return those teams, each named with its account, that exist, by id."""
    if not teams:
        return {}
    rows = await connection.execute(
        _FIND,
        {
            "account_ids": [account_id for account_id, _ in teams],
            "ids": [team_id for _, team_id in teams],
        },
    )
    return {row["id"]: Team(**row) for row in rows.mappings()}
