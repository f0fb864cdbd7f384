"""What endpoints want to be told."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.statements import with_rows
from gateway.domain.subscription import wants


# Its fields stand in the order of the query.
@dataclass(frozen=True, slots=True)
class Subscription:
    """What an endpoint wants, by itself and as the one that channels are linked to."""

    account_id: str
    id: str
    event_types: list[str]
    channel_ids: list[str]
    ordering: str
    status: str
    linked_channel_ids: list[str]

    def wants(self, event_type: str, channel_id: str | None) -> bool:
        """Say whether the endpoint gets events of a type and a channel."""
        return channel_id in self.linked_channel_ids or wants(
            event_type, channel_id, event_types=self.event_types, channel_ids=self.channel_ids
        )

    def lane_of(self, key: str, delivery_id: str) -> str:
        """Return the lane of a delivery that carries an event of a key."""
        match self.ordering:
            case "conversation":
                return key
            case "endpoint":
                return self.id
            case _:
                return delivery_id


_SUBSCRIPTIONS: Final = """
    SELECT e.account_id, e.id, e.event_types, e.channel_ids, e.ordering, e.status,
           ARRAY(SELECT c.id FROM channels c WHERE c.account_id = e.account_id
                 AND c.link ->> 'mode' = 'external_endpoint' AND c.link ->> 'endpoint_id' = e.id)
             AS linked_channel_ids
    FROM endpoints e
    WHERE e.account_id = ANY(:account_ids) AND e.deleted_at IS NULL
"""
_NAMES: Final = [field.name for field in fields(Subscription)]
_OF_ACCOUNTS: Final = with_rows(_SUBSCRIPTIONS, _NAMES)
_OF_ONE: Final = with_rows(f"{_SUBSCRIPTIONS} AND e.id = :id FOR UPDATE OF e", _NAMES)


async def find_subscriptions(
    connection: AsyncConnection, account_ids: Collection[str]
) -> list[Subscription]:
    """Return what the endpoints of accounts want."""
    rows = await connection.execute(_OF_ACCOUNTS, {"account_ids": list(account_ids)})
    return [Subscription(*row) for row in rows]


async def lock_subscription(
    connection: AsyncConnection, account_id: str, endpoint_id: str
) -> Subscription | None:
    """Lock an endpoint and return what it wants; None: it has been deleted."""
    rows = await connection.execute(_OF_ONE, {"account_ids": [account_id], "id": endpoint_id})
    row = rows.one_or_none()
    return None if row is None else Subscription(*row)
