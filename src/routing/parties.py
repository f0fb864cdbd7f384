"""Who a decision is about: the account with its places, agents and endpoints, under lock.

Locks are taken in the order account, then agents by id; the conversation is locked before.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import FieldFault, InvalidFieldsError
from routing.engine import AgentFacts, EndpointFacts, Presence

_LOCK_ACCOUNT: Final = text(
    "SELECT concurrent_contacts_limit FROM accounts WHERE id = :account_id FOR NO KEY UPDATE"
)
_COUNT_INSIDE: Final = text(
    """
    SELECT count(*) FROM enquiries
    WHERE account_id = :account_id AND status IN ('open', 'offered', 'ongoing')
      AND queued_at IS NULL AND id <> :besides
    """
)
_LOCK_AGENTS: Final = text(
    """
    SELECT id, first_name, last_name, display_name, presence, presence_expires_at, capacity,
           channel_ids, deleted_at
    FROM agents WHERE account_id = :account_id AND id = ANY(:ids)
    ORDER BY id FOR NO KEY UPDATE
    """
)
_LOADS: Final = text(
    """
    SELECT agent_id, count(*) AS load FROM (
      SELECT agent_id FROM enquiries
      WHERE account_id = :account_id AND agent_id = ANY(:ids) AND status = 'ongoing'
        AND id <> :besides
      UNION ALL
      SELECT agent_id FROM offers
      WHERE account_id = :account_id AND agent_id = ANY(:ids) AND status = 'pending'
        AND enquiry_id <> :besides
    ) AS held GROUP BY agent_id
    """
)
_ENDPOINTS: Final = text(
    """
    SELECT id, name, status FROM endpoints
    WHERE account_id = :account_id AND id = ANY(:ids) AND deleted_at IS NULL
    """
)
_ENDED: Final = text(
    """
    UPDATE agents SET last_enquiry_ended_at = :at WHERE account_id = :account_id AND id = :agent_id
    """
)
_EXPIRE_PRESENCE: Final = text(
    """
    UPDATE agents SET presence = 'offline', presence_changed_at = :at, presence_expires_at = NULL
    WHERE account_id = :account_id AND id = :agent_id
    """
)
_EXISTING: Final = text(
    """
    SELECT id FROM agents
    WHERE account_id = :account_id AND id = ANY(:ids) AND deleted_at IS NULL
    UNION ALL
    SELECT id FROM endpoints
    WHERE account_id = :account_id AND id = ANY(:ids) AND deleted_at IS NULL
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent's row, locked by the transaction that read it."""

    id: str
    first_name: str
    last_name: str | None
    display_name: str | None
    presence: str
    presence_expires_at: datetime | None
    capacity: int
    channel_ids: list[str]
    deleted_at: datetime | None

    @property
    def name(self) -> str:
        """The name that staff know the agent by."""
        return self.display_name or " ".join(filter(None, (self.first_name, self.last_name)))

    def serves(self, channel_id: str) -> bool:
        """Say whether the agent takes enquiries of a channel; no channels named means all."""
        return not self.channel_ids or channel_id in self.channel_ids

    def presence_at(self, moment: datetime) -> Presence:
        """Return the presence; a heartbeat that has run out, and a deletion, make it offline."""
        expired = self.presence_expires_at is not None and self.presence_expires_at <= moment
        if expired or self.deleted_at is not None:
            return Presence.OFFLINE
        return Presence(self.presence)

    def can_be_asked(self, moment: datetime) -> bool:
        """Say whether the agent is at work and not busy."""
        return self.presence_at(moment) in (Presence.ACTIVE, Presence.IDLE)

    def facts(self, *, channel_id: str, at: datetime, load: int) -> AgentFacts:
        """Return the agent as a decision sees one."""
        return AgentFacts(
            id=self.id,
            name=self.name,
            presence=self.presence_at(at),
            capacity=self.capacity,
            load=load,
            serves_channel=self.serves(channel_id),
        )


async def lock_account(connection: AsyncConnection, account_id: str) -> int:
    """Lock an account, so that its openings and closings are one at a time; return its limit."""
    row = await connection.execute(_LOCK_ACCOUNT, {"account_id": account_id})
    return int(row.scalar_one())


async def count_inside(connection: AsyncConnection, account_id: str, *, besides: str) -> int:
    """Return how many places of an account are taken, one enquiry left out."""
    row = await connection.execute(_COUNT_INSIDE, {"account_id": account_id, "besides": besides})
    return int(row.scalar_one())


async def lock_agents(
    connection: AsyncConnection, account_id: str, agent_ids: Collection[str]
) -> dict[str, Agent]:
    """Lock agents in the order of their ids and return those that exist, deleted ones too."""
    if not agent_ids:
        return {}
    rows = await connection.execute(
        _LOCK_AGENTS, {"account_id": account_id, "ids": list(agent_ids)}
    )
    return {row["id"]: Agent(**row) for row in rows.mappings()}


async def find_loads(
    connection: AsyncConnection, account_id: str, agent_ids: Collection[str], *, besides: str = ""
) -> dict[str, int]:
    """Return how much each agent has, ongoing or offered, one enquiry left out.

    It can be relied on only under the agents' locks.
    """
    if not agent_ids:
        return {}
    rows = await connection.execute(
        _LOADS, {"account_id": account_id, "ids": list(agent_ids), "besides": besides}
    )
    return {row.agent_id: row.load for row in rows}


async def find_endpoints(
    connection: AsyncConnection, account_id: str, endpoint_ids: Collection[str]
) -> dict[str, EndpointFacts]:
    """Return those endpoints that exist, by id."""
    if not endpoint_ids:
        return {}
    rows = await connection.execute(
        _ENDPOINTS, {"account_id": account_id, "ids": list(endpoint_ids)}
    )
    return {
        row.id: EndpointFacts(id=row.id, name=row.name, active=row.status == "active")
        for row in rows
    }


async def note_enquiry_ended(
    connection: AsyncConnection, account_id: str, agent_id: str, *, at: datetime
) -> None:
    """Note when an agent's last enquiry ended."""
    await connection.execute(_ENDED, {"account_id": account_id, "agent_id": agent_id, "at": at})


async def let_presence_expire(
    connection: AsyncConnection, account_id: str, agent_id: str, *, at: datetime
) -> None:
    """Take an agent, who is locked and sent no heartbeat, for offline."""
    await connection.execute(
        _EXPIRE_PRESENCE, {"account_id": account_id, "agent_id": agent_id, "at": at}
    )


async def find_existing(
    connection: AsyncConnection, account_id: str, destination_ids: Collection[str]
) -> set[str]:
    """Return those destinations of an account that exist."""
    rows = await connection.execute(
        _EXISTING, {"account_id": account_id, "ids": list(destination_ids)}
    )
    return set(rows.scalars())


async def require_destinations(
    connection: AsyncConnection,
    account_id: str,
    routing: Mapping[str, Any],
    *,
    pointer_prefix: str = "",
) -> None:
    """Check that the destinations of a validated routing exist.

    Raises:
        InvalidFieldsError: Some do not; each fault points at the very entry.
    """
    wanted = [entry["id"] for entry in routing["destinations"]]
    existing = await find_existing(connection, account_id, wanted)
    faults = [
        FieldFault(
            f"{pointer_prefix}/destinations/{place}/id",
            "unknown-destination",
            "There is no such destination.",
        )
        for place, destination_id in enumerate(wanted)
        if destination_id not in existing
    ]
    if faults:
        raise InvalidFieldsError("The routing names destinations that do not exist.", faults=faults)
