"""What a call needs to know beside its delivery: read in few statements for a whole batch."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.arrays import among_given
from gateway.db.channels import Channel, channel_of
from gateway.db.contacts import OF_CONVERSATIONS
from gateway.db.endpoints import Endpoint
from gateway.db.meta_apps import MetaApp
from gateway.db.statements import with_rows
from gateway.db.tables import channels, endpoints, meta_apps


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """The contact of a conversation."""

    contact_id: str
    source_contact_id: str
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicEvent:
    """A row of `events` as an endpoint gets it."""

    id: str
    type: str
    account_id: str
    channel_id: str | None
    conversation_id: str | None
    enquiry_id: str | None
    key: str
    sequence: int
    occurred_at: datetime
    data: dict[str, Any]


_EVENT_NAMES: Final = [field.name for field in fields(PublicEvent)]
_EVENT_COLUMNS: Final = ", ".join(f"e.{name}" for name in _EVENT_NAMES)

_RECIPIENTS: Final = with_rows(
    "SELECT v.id AS conversation_id, c.id AS contact_id, c.source_contact_id, c.name"
    + OF_CONVERSATIONS,
    ["conversation_id", "contact_id", "source_contact_id", "name"],
)
_MIDS: Final = with_rows(
    "SELECT id, source_message_id FROM messages "
    "WHERE id = ANY(:ids) AND source_message_id IS NOT NULL",
    ["id", "source_message_id"],
)
# The moments lead to the partitions, their bounds to few of them.
_EVENTS: Final = with_rows(
    f"""
    SELECT {_EVENT_COLUMNS}
    FROM unnest(CAST(:ids AS text[]), CAST(:moments AS timestamptz[])) AS w(id, created_at)
    JOIN events e ON e.created_at = w.created_at AND e.id = w.id
    WHERE e.created_at BETWEEN :first AND :last
    """,  # noqa: S608 - constant column names
    _EVENT_NAMES,
)
_APP_NAMES: Final = [field.name for field in fields(MetaApp)]
_CHANNELS: Final = (
    select(
        *(channels.c[field.name] for field in fields(Channel)),
        *(meta_apps.c[name].label(f"app.{name}") for name in _APP_NAMES),
    )
    .join_from(channels, meta_apps, channels.c.meta_app_id == meta_apps.c.app_id, isouter=True)
    .where(among_given(channels.c.id, "ids"))
)
_ENDPOINTS: Final = select(*(endpoints.c[field.name] for field in fields(Endpoint))).where(
    among_given(endpoints.c.id, "ids")
)


async def find_recipients(
    connection: AsyncConnection, conversation_ids: Collection[str]
) -> dict[str, Recipient]:
    """Return the contacts of conversations, by conversation."""
    rows = await connection.execute(_RECIPIENTS, {"ids": list(conversation_ids)})
    return {
        row.conversation_id: Recipient(
            contact_id=row.contact_id, source_contact_id=row.source_contact_id, name=row.name
        )
        for row in rows
    }


async def find_mids(connection: AsyncConnection, message_ids: Collection[str]) -> dict[str, str]:
    """Return the source's ids of those messages that have one, by ours."""
    if not message_ids:
        return {}
    rows = await connection.execute(_MIDS, {"ids": list(message_ids)})
    return {row.id: row.source_message_id for row in rows}


async def find_events(
    connection: AsyncConnection, events: Collection[tuple[str, datetime]]
) -> dict[str, PublicEvent]:
    """Return events, named by id and the moment of their row, by id."""
    if not events:
        return {}
    moments = [each[1] for each in events]
    rows = await connection.execute(
        _EVENTS,
        {
            "ids": [each[0] for each in events],
            "moments": moments,
            "first": min(moments),
            "last": max(moments),
        },
    )
    return {row["id"]: PublicEvent(**row) for row in rows.mappings()}


async def find_channels_and_apps(
    connection: AsyncConnection, channel_ids: Collection[str]
) -> tuple[dict[str, Channel], dict[str, MetaApp]]:
    """Return channels by id, deleted ones included, and the Meta apps of those that have one."""
    rows = (await connection.execute(_CHANNELS, {"ids": list(channel_ids)})).mappings().all()
    apps: dict[str, MetaApp] = {}
    for row in rows:
        app_id = row["app.app_id"]
        if app_id is not None and app_id not in apps:
            apps[app_id] = MetaApp(**{name: row[f"app.{name}"] for name in _APP_NAMES})
    return {row["id"]: channel_of(row) for row in rows}, apps


async def find_endpoints(
    connection: AsyncConnection, endpoint_ids: Collection[str]
) -> dict[str, Endpoint]:
    """Return endpoints by id, deleted ones included."""
    rows = await connection.execute(_ENDPOINTS, {"ids": list(endpoint_ids)})
    return {row["id"]: Endpoint(**row) for row in rows.mappings()}
