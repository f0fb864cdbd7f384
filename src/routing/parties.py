"""Who a decision is about: the account with its places, agents, bots and endpoints.

Accounts and agents are locked, in this order, each by id; the conversation is locked before.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from routing.destinations import AgentFacts, BotFacts, EndpointFacts, Presence

_LOCK_ACCOUNTS: Final = text(
    """
    SELECT id, concurrent_contacts_limit FROM accounts WHERE id = ANY(:ids)
    ORDER BY id FOR NO KEY UPDATE
    """
)
_COUNT_INSIDE: Final = text(
    """
    SELECT account_id, count(*) AS inside FROM enquiries
    WHERE account_id = ANY(:account_ids) AND status IN ('open', 'offered', 'ongoing')
      AND queued_at IS NULL
    GROUP BY account_id
    """
)
_LOCK_AGENTS: Final = text(
    """
    SELECT a.account_id, a.id, a.first_name, a.last_name, a.display_name, a.presence,
           a.presence_expires_at, a.capacity, a.channel_ids, a.last_enquiry_ended_at, a.deleted_at
    FROM agents a
    WHERE (a.account_id, a.id) IN (
      SELECT * FROM unnest(CAST(:account_ids AS text[]), CAST(:ids AS text[])))
    ORDER BY a.id FOR NO KEY UPDATE
    """
)
_LOADS: Final = text(
    """
    SELECT r.id,
           (SELECT count(*) FROM enquiries e WHERE e.account_id = r.account_id
            AND e.agent_id = r.id AND e.status = 'ongoing')
           + (SELECT count(*) FROM offers o WHERE o.account_id = r.account_id
              AND o.agent_id = r.id AND o.status = 'pending') AS load
    FROM unnest(CAST(:account_ids AS text[]), CAST(:ids AS text[])) AS r(account_id, id)
    """
)
_ENDPOINTS: Final = text(
    """
    SELECT id, name, status FROM endpoints
    WHERE (account_id, id) IN (
      SELECT * FROM unnest(CAST(:account_ids AS text[]), CAST(:ids AS text[])))
      AND deleted_at IS NULL
    """
)
_BOTS: Final = text(
    """
    SELECT id, name, version FROM bots
    WHERE (account_id, id) IN (
      SELECT * FROM unnest(CAST(:account_ids AS text[]), CAST(:ids AS text[])))
      AND deleted_at IS NULL
    """
)
_ENDED: Final = text(
    """
    UPDATE agents a SET last_enquiry_ended_at = :at
    FROM unnest(CAST(:account_ids AS text[]), CAST(:ids AS text[])) AS r(account_id, id)
    WHERE a.account_id = r.account_id AND a.id = r.id
    """
)
_EXPIRE_PRESENCE: Final = text(
    """
    UPDATE agents SET presence = 'offline', presence_changed_at = :at, presence_expires_at = NULL
    WHERE account_id = :account_id AND id = :agent_id
    """
)

# An account, and something of it that has an id.
Named: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent's row, locked by the transaction that read it."""

    account_id: str
    id: str
    first_name: str
    last_name: str | None
    display_name: str | None
    presence: str
    presence_expires_at: datetime | None
    capacity: int
    channel_ids: list[str]
    last_enquiry_ended_at: datetime | None
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
            last_ended_at=self.last_enquiry_ended_at,
        )


async def lock_accounts(
    connection: AsyncConnection, account_ids: Collection[str]
) -> dict[str, int]:
    """Lock accounts in the order of their ids and return their limits.

    Openings and closings of an account are one at a time by that.
    """
    rows = await connection.execute(_LOCK_ACCOUNTS, {"ids": list(account_ids)})
    return {row.id: row.concurrent_contacts_limit for row in rows}


async def count_inside(connection: AsyncConnection, account_ids: Collection[str]) -> dict[str, int]:
    """Return how many places of each account are taken."""
    rows = await connection.execute(_COUNT_INSIDE, {"account_ids": list(account_ids)})
    found = {row.account_id: row.inside for row in rows}
    return {account_id: found.get(account_id, 0) for account_id in account_ids}


async def lock_agents(connection: AsyncConnection, agents: Collection[Named]) -> dict[str, Agent]:
    """Lock agents in the order of their ids and return those that exist, deleted ones too."""
    if not agents:
        return {}
    rows = await connection.execute(_LOCK_AGENTS, _named(agents))
    return {row["id"]: Agent(**row) for row in rows.mappings()}


async def find_loads(connection: AsyncConnection, agents: Collection[Named]) -> dict[str, int]:
    """Return how much each agent has, ongoing or offered.

    It can be relied on only under the agents' locks.
    """
    if not agents:
        return {}
    rows = await connection.execute(_LOADS, _named(agents))
    return {row.id: row.load for row in rows}


async def find_endpoints(
    connection: AsyncConnection, endpoints: Collection[Named]
) -> dict[str, EndpointFacts]:
    """Return those endpoints that exist, by id."""
    if not endpoints:
        return {}
    rows = await connection.execute(_ENDPOINTS, _named(endpoints))
    return {
        row.id: EndpointFacts(id=row.id, name=row.name, active=row.status == "active")
        for row in rows
    }


async def find_bots(connection: AsyncConnection, bots: Collection[Named]) -> dict[str, BotFacts]:
    """Return those bots that exist, by id."""
    if not bots:
        return {}
    rows = await connection.execute(_BOTS, _named(bots))
    return {row["id"]: BotFacts(**row) for row in rows.mappings()}


async def note_enquiries_ended(
    connection: AsyncConnection, agents: Collection[Named], *, at: datetime
) -> None:
    """Note that agents' last enquiries ended; the agents are locked."""
    if agents:
        await connection.execute(_ENDED, {**_named(agents), "at": at})


async def let_presence_expire(
    connection: AsyncConnection, account_id: str, agent_id: str, *, at: datetime
) -> None:
    """Take an agent, who is locked and sent no heartbeat, for offline."""
    await connection.execute(
        _EXPIRE_PRESENCE, {"account_id": account_id, "agent_id": agent_id, "at": at}
    )


def _named(pairs: Collection[Named]) -> dict[str, list[str]]:
    return {
        "account_ids": [account_id for account_id, _ in pairs],
        "ids": [id_ for _, id_ in pairs],
    }
