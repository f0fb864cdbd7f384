"""What the ingress has to know to tell friend from stranger."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.meta_apps import MetaApp, list_apps

_VERSION: Final = text("SELECT version FROM secret_versions WHERE id = 1")
_CHANNELS: Final = """
    SELECT account_id, id, status = 'deleted' AS deleted, incoming_token_hash,
           previous_incoming_token_hash, previous_incoming_token_expires_at
    FROM channels WHERE kind = 'third_party'
"""
_ALL_CHANNELS: Final = text(f"{_CHANNELS} AND status <> 'deleted'")
_ONE_CHANNEL: Final = text(f"{_CHANNELS} AND id = :id")


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingChannel:
    """A third-party channel, and the hashes of the tokens that its source may use."""

    account_id: str
    id: str
    deleted: bool
    incoming_token_hash: bytes | None
    previous_incoming_token_hash: bytes | None
    previous_incoming_token_expires_at: datetime | None

    def token_hashes(self, now: datetime) -> list[bytes]:
        """Return the SHA-256 of each token that holds now."""
        hashes = [self.incoming_token_hash]
        until = self.previous_incoming_token_expires_at
        if until is not None and now < until:
            hashes.append(self.previous_incoming_token_hash)
        return [each for each in hashes if each is not None]


async def read_version(connection: AsyncConnection) -> int:
    """Return a number that rises whenever one of these secrets may have changed."""
    return int((await connection.execute(_VERSION)).scalar_one())


async def read_all(
    connection: AsyncConnection,
) -> tuple[list[MetaApp], list[IncomingChannel]]:
    """Return every Meta app and every third-party channel that is not deleted."""
    return await list_apps(connection), _channels(
        (await connection.execute(_ALL_CHANNELS)).mappings()
    )


async def read_channel(connection: AsyncConnection, channel_id: str) -> IncomingChannel | None:
    """Return a third-party channel, deleted or not."""
    rows = (await connection.execute(_ONE_CHANNEL, {"id": channel_id})).mappings()
    return next(iter(_channels(rows)), None)


def _channels(rows: Iterable[object]) -> list[IncomingChannel]:
    return [IncomingChannel(**row) for row in rows]  # type: ignore[arg-type]  # columns by name
