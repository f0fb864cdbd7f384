"""Proofs that what a person's logins brought was deleted."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.tables import data_deletions


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDeletion:
    """A request that was met, by the code that Meta and the person were given."""

    code: str
    channels: int
    requested_at: datetime


async def keep_deletion(
    connection: AsyncConnection,
    *,
    code: str,
    meta_app_id: str,
    user_id: str,
    channels: int,
    now: datetime,
) -> str:
    """Write down that a request was met; return its code, which a repeat shares."""
    person_hash = hashlib.sha256(f"{meta_app_id}\n{user_id}".encode()).digest()
    kept = (
        insert(data_deletions)
        .values(
            code=code,
            meta_app_id=meta_app_id,
            person_hash=person_hash,
            channels=channels,
            requested_at=now,
        )
        .on_conflict_do_update(
            index_elements=["meta_app_id", "person_hash"],
            # Logged in once more since, and asks again: the count goes on, the code stays.
            set_={
                "requested_at": now,
                "channels": data_deletions.c.channels + channels,
            },
        )
        .returning(data_deletions.c.code)
    )
    return str((await connection.execute(kept)).scalar_one())


async def get_deletion(connection: AsyncConnection, code: str) -> DataDeletion | None:
    """Return a request by its code."""
    found = await connection.execute(
        select(
            data_deletions.c.code, data_deletions.c.channels, data_deletions.c.requested_at
        ).where(data_deletions.c.code == code)
    )
    row = found.mappings().one_or_none()
    return None if row is None else DataDeletion(**row)
