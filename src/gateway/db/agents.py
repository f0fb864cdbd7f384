"""Agents as the REST API keeps them; routing reads them by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, func, or_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.edited import EditedTable
from gateway.db.search import matches
from gateway.db.tables import agents


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent's row."""

    account_id: str
    id: str
    first_name: str
    last_name: str | None
    display_name: str | None
    capacity: int
    channel_ids: list[str]
    presence: str
    presence_changed_at: datetime | None
    presence_expires_at: datetime | None
    version: int
    created_at: datetime
    deleted_at: datetime | None

    @property
    def name(self) -> str:
        """What the agent is called among colleagues."""
        return " ".join(part for part in (self.first_name, self.last_name) if part)

    def presence_at(self, now: datetime) -> str:
        """Return the presence, which ends by itself when nobody renews it."""
        expired = self.presence_expires_at is not None and self.presence_expires_at <= now
        return "offline" if expired else self.presence


AGENTS: Final = EditedTable(agents, Agent)


async def list_agents(
    connection: AsyncConnection,
    account_id: str,
    *,
    search: str | None,
    channel_id: str | None,
    before: str | None,
    limit: int,
) -> Sequence[Agent]:
    """Return live agents of an account, the newest first, older than `before`.

    `channel_id`: only those who serve that channel.
    """
    conditions: list[ColumnElement[bool]] = []
    if search is not None:
        full_name = func.concat_ws(" ", agents.c.first_name, agents.c.last_name)
        conditions.append(or_(matches(full_name, search), matches(agents.c.display_name, search)))
    if channel_id is not None:
        serves_all = func.cardinality(agents.c.channel_ids) == 0
        conditions.append(or_(serves_all, agents.c.channel_ids.contains([channel_id])))
    return await AGENTS.list(connection, account_id, *conditions, before=before, limit=limit)
