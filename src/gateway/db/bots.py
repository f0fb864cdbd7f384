"""Bots and every version that they had."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.edited import EditedTable
from gateway.db.tables import bots


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """A bot's row; its rules stand by version."""

    account_id: str
    id: str
    name: str
    version: int
    created_at: datetime
    deleted_at: datetime | None


BOTS: Final = EditedTable(bots, Bot)

_ADD: Final = text(
    """
    INSERT INTO bot_versions (account_id, bot_id, version, rules, created_at)
    VALUES (:account_id, :bot_id, :version, CAST(:rules AS jsonb), :at)
    """
)
_VERSION: Final = text(
    """
    SELECT rules FROM bot_versions
    WHERE account_id = :account_id AND bot_id = :bot_id AND version = :version
    """
)
_CURRENT: Final = text(
    """
    SELECT b.id, v.rules FROM bots b
    JOIN bot_versions v ON v.account_id = b.account_id AND v.bot_id = b.id
      AND v.version = b.version
    WHERE b.account_id = :account_id AND b.id = ANY(:ids)
    """
)


async def add_bot_version(
    connection: AsyncConnection, bot: Bot, rules: list[dict[str, Any]], *, now: datetime
) -> None:
    """Keep the rules of a bot's present version; every version has its own, even if unchanged."""
    values = {
        "account_id": bot.account_id,
        "bot_id": bot.id,
        "version": bot.version,
        "rules": json.dumps(rules),
        "at": now,
    }
    await connection.execute(_ADD, values)


async def find_bot_rules(
    connection: AsyncConnection, account_id: str, bot_ids: Collection[str]
) -> dict[str, list[dict[str, Any]]]:
    """Return the present rules of bots of an account, by id."""
    rows = await connection.execute(_CURRENT, {"account_id": account_id, "ids": list(bot_ids)})
    return {row.id: row.rules for row in rows}


async def get_bot_version(
    connection: AsyncConnection, account_id: str, bot_id: str, version: int
) -> list[dict[str, Any]] | None:
    """Return the rules that a bot of an account had in a version; also of a deleted bot."""
    wanted = {"account_id": account_id, "bot_id": bot_id, "version": version}
    row = await connection.execute(_VERSION, wanted)
    found: list[dict[str, Any]] | None = row.scalar_one_or_none()
    return found
