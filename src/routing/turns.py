"""Whose turn it is: of channels that share by per cents, and of teams that ask in turn.

Turns are read and written under the account's lock, so decisions of an account take them one after
another. A channel's count begins anew with every change of its routing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.rows import as_json

# An account, and a channel or a team of it.
Subject: TypeAlias = tuple[str, str]

_FIND: Final = text(
    """
    SELECT subject_id, state FROM turns
    WHERE (account_id, subject_id) IN (
      SELECT * FROM unnest(CAST(:account_ids AS text[]), CAST(:ids AS text[])))
    """
)
_SAVE: Final = text(
    """
    INSERT INTO turns (account_id, subject_id, state)
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))
      AS r(account_id text, subject_id text, state jsonb)
    ON CONFLICT (account_id, subject_id) DO UPDATE SET state = excluded.state
    """
)


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a count stands.

    Attributes:
        version: Of a channel's routing, for which the balances were counted.
        balances: Of a channel: who is due how much; see `routing.shares`.
        last_asked: Of a team: the agent who was asked last.
    """

    version: int = 0
    balances: Mapping[str, int] = field(default_factory=dict)
    last_asked: str | None = None

    def balances_of(self, version: int) -> Mapping[str, int]:
        """Return the balances of a version of the routing; a new one begins with none."""
        return self.balances if version == self.version else {}

    def as_json(self) -> dict[str, Any]:
        """Return it as the database keeps it, without empty members."""
        members = {
            "version": self.version,
            "balances": dict(self.balances),
            "last_asked": self.last_asked,
        }
        return {name: value for name, value in members.items() if value}


async def find_turns(
    connection: AsyncConnection, subjects: Collection[Subject]
) -> dict[Subject, Turn]:
    """Return where these counts stand; each that nobody began begins now."""
    if not subjects:
        return {}
    rows = await connection.execute(
        _FIND,
        {
            "account_ids": [account_id for account_id, _ in subjects],
            "ids": [subject_id for _, subject_id in subjects],
        },
    )
    found = {row.subject_id: Turn(**row.state) for row in rows}
    return {subject: found.get(subject[1], Turn()) for subject in subjects}


async def save_turns(connection: AsyncConnection, turns: Mapping[Subject, Turn]) -> None:
    """Write where counts stand now."""
    if turns:
        rows = [
            {"account_id": account_id, "subject_id": subject_id, "state": turn.as_json()}
            for (account_id, subject_id), turn in turns.items()
        ]
        await connection.execute(_SAVE, {"rows": as_json(rows)})
