"""Page tokens that logins brought, one of each administrator and Page."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import SecretStr
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.arrays import among
from gateway.db.secrets import KeyRing
from gateway.db.tables import page_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class PageToken:
    """A Page token as it is stored."""

    account_id: str
    meta_app_id: str
    page_id: str
    user_id: str
    token: bytes
    scopes: list[str]
    expires_at: datetime | None
    granted_at: datetime

    def open(self, keyring: KeyRing) -> SecretStr:
        """Return the token.

        Raises:
            UndecryptableError: It cannot be read.
        """
        row = secret_row(self.account_id, self.page_id, self.user_id)
        return SecretStr(keyring.decrypt(bytes(self.token), row=row))


_COLUMNS: Final = tuple(page_tokens.c[name] for name in PageToken.__dataclass_fields__)


def secret_row(account_id: str, page_id: str, user_id: str) -> str:
    """Return the associated data of a token."""
    return f"page_tokens/{account_id}/{page_id}/{user_id}"


async def keep_page_tokens(connection: AsyncConnection, tokens: Iterable[PageToken]) -> None:
    """Store tokens; one of the same person for the same Page is replaced."""
    rows = [{name: getattr(each, name) for name in each.__dataclass_fields__} for each in tokens]
    if not rows:
        return
    statement = insert(page_tokens)
    fresh = {name: statement.excluded[name] for name in ("token", "scopes", "expires_at")}
    await connection.execute(
        statement.on_conflict_do_update(
            constraint="pk_page_tokens",
            set_={**fresh, "granted_at": statement.excluded.granted_at},
        ),
        # Always in one order, so that two logins at once do not lock each other out.
        sorted(rows, key=lambda row: str(row["page_id"])),
    )


async def find_page_tokens(
    connection: AsyncConnection, account_id: str, meta_app_id: str, page_ids: Iterable[str]
) -> list[PageToken]:
    """Return the known tokens of Pages, the newest first."""
    statement = (
        select(*_COLUMNS)
        .where(
            page_tokens.c.account_id == account_id,
            page_tokens.c.meta_app_id == meta_app_id,
            among(page_tokens.c.page_id, page_ids),
        )
        .order_by(page_tokens.c.granted_at.desc())
    )
    return [PageToken(**row) for row in (await connection.execute(statement)).mappings()]


async def forget_person(connection: AsyncConnection, meta_app_id: str, user_id: str) -> None:
    """Delete every token that a person's logins brought, whosever account has it."""
    await connection.execute(
        delete(page_tokens).where(
            page_tokens.c.meta_app_id == meta_app_id, page_tokens.c.user_id == user_id
        )
    )
