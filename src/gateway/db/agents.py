"""Agents as the REST API keeps them; routing reads them by itself."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

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


_SELECT: Final = select(*(agents.c[field.name] for field in fields(Agent)))
_LIVE: Final = agents.c.deleted_at.is_(None)


async def insert_agent(connection: AsyncConnection, agent: Agent, *, now: datetime) -> None:
    """Insert an agent."""
    values = {field.name: getattr(agent, field.name) for field in fields(agent)}
    await connection.execute(insert(agents).values(**values, updated_at=now))


async def get_agent(
    connection: AsyncConnection, account_id: str, agent_id: str, *, lock: bool = False
) -> Agent | None:
    """Return a live agent of an account."""
    statement = _SELECT.where(agents.c.account_id == account_id, agents.c.id == agent_id, _LIVE)
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else Agent(**row)


async def list_agents(
    connection: AsyncConnection,
    account_id: str,
    *,
    search: str | None,
    channel_id: str | None,
    before: str | None,
    limit: int,
) -> list[Agent]:
    """Return live agents of an account, the newest first, older than `before`.

    `channel_id`: only those who serve that channel.
    """
    statement = _SELECT.where(agents.c.account_id == account_id, _LIVE)
    if search is not None:
        full_name = func.concat_ws(" ", agents.c.first_name, agents.c.last_name)
        statement = statement.where(
            or_(matches(full_name, search), matches(agents.c.display_name, search))
        )
    if channel_id is not None:
        statement = statement.where(
            or_(
                func.cardinality(agents.c.channel_ids) == 0,
                agents.c.channel_ids.contains([channel_id]),
            )
        )
    if before is not None:
        statement = statement.where(agents.c.id < before)
    rows = await connection.execute(statement.order_by(agents.c.id.desc()).limit(limit))
    return [Agent(**row) for row in rows.mappings()]


async def change_agent(
    connection: AsyncConnection,
    agent: Agent,
    *,
    now: datetime,
    edited: bool = True,
    **changes: Any,  # noqa: ANN401 - column values
) -> Agent:
    """Write new values into an agent's row and return it; an edit raises its version."""
    if edited:
        changes |= {"version": agents.c.version + 1, "updated_at": now}
    statement = (
        update(agents)
        .where(agents.c.account_id == agent.account_id, agents.c.id == agent.id)
        .values(**changes)
        .returning(*(agents.c[field.name] for field in fields(Agent)))
    )
    return Agent(**(await connection.execute(statement)).mappings().one())
