"""Channels as every role reads them."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.arrays import among_given
from gateway.db.secrets import KeyRing, open_rotating
from gateway.db.tables import channels
from gateway.domain.channel import ChannelKind, ChannelStatus, StatusReason, hold_reason


@dataclass(slots=True, frozen=True, kw_only=True)
class Channel:
    """A channel's row, secrets still encrypted."""

    account_id: str
    id: str
    kind: ChannelKind
    name: str
    status: ChannelStatus
    status_reason: StatusReason | None
    source_id: str
    meta_app_id: str | None
    page_id: str | None
    page_name: str | None
    page_access_token: bytes | None
    connected_by: str | None
    token_expires_at: datetime | None
    token_warned_days: int | None
    subscribed_fields: list[str]
    source_name: str | None
    outgoing_webhook_url: str | None
    incoming_token_hash: bytes | None
    previous_incoming_token_hash: bytes | None
    previous_incoming_token_expires_at: datetime | None
    signing_secret: bytes | None
    previous_signing_secret: bytes | None
    previous_signing_secret_expires_at: datetime | None
    department_id: str | None
    link: dict[str, Any]
    routing: dict[str, Any] | None
    routing_version: int
    messages: dict[str, Any]
    custom_info: dict[str, Any]
    icon: dict[str, Any] | None
    intermission_minutes: int
    closed_enquiry_policy: str
    text_limit: int
    human_agent: bool
    media_policy: str
    inbound_media_types: list[str]
    send_deadline_seconds: int
    on_unknown_outcome: str
    on_suspend: str
    holds_source: bool
    connected_at: datetime
    freed_at: datetime | None
    version: int
    created_at: datetime
    deleted_at: datetime | None

    @property
    def hold(self) -> str | None:
        """Why its messages wait unsent, or None."""
        return hold_reason(self.status, self.status_reason, on_suspend=self.on_suspend)

    @property
    def target_kind(self) -> str:
        """What kind of target its messages go to."""
        return "third_party" if self.kind is ChannelKind.THIRD_PARTY else "page"

    def secret_row(self, column: str) -> str:
        """Return the associated data of one of its secrets."""
        return f"channels/{self.id}/{column}"

    def open_signing_secrets(self, keyring: KeyRing, now: datetime) -> list[str]:
        """Return what signs what we POST: two secrets while one rotates, the present one first.

        Raises:
            UndecryptableError: There is none, or one cannot be read.
        """
        return open_rotating(
            keyring,
            self.signing_secret,
            self.previous_signing_secret,
            self.previous_signing_secret_expires_at,
            rows=(
                self.secret_row("signing_secret"),
                self.secret_row("previous_signing_secret"),
            ),
            now=now,
        )


_NAMES: Final = [field.name for field in fields(Channel)]
_SELECT: Final = select(*(channels.c[name] for name in _NAMES))
_BY_ID: Final = _SELECT.where(among_given(channels.c.id, "ids"))
_OWNERS: Final = _SELECT.where(
    channels.c.kind == bindparam("kind"), among_given(channels.c.source_id, "source_ids")
).order_by(channels.c.holds_source.desc(), channels.c.freed_at.desc())


def channel_of(row: RowMapping) -> Channel:
    """Return the channel that a row of these columns holds."""
    values = {name: row[name] for name in _NAMES}
    values["kind"] = ChannelKind(values["kind"])
    values["status"] = ChannelStatus(values["status"])
    reason = values["status_reason"]
    values["status_reason"] = None if reason is None else StatusReason(reason)
    return Channel(**values)


async def get_channel(
    connection: AsyncConnection, account_id: str, channel_id: str, *, lock: bool = False
) -> Channel | None:
    """Return a channel of an account, deleted ones included."""
    statement = _SELECT.where(channels.c.account_id == account_id, channels.c.id == channel_id)
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else channel_of(row)


async def find_channels(
    connection: AsyncConnection, channel_ids: Iterable[str]
) -> dict[str, Channel]:
    """Return channels by id, for workers that took the ids from rows of their own."""
    rows = await connection.execute(_BY_ID, {"ids": list(channel_ids)})
    return {row["id"]: channel_of(row) for row in rows.mappings()}


async def find_owners(
    connection: AsyncConnection, kind: str, source_ids: Iterable[str]
) -> dict[str, list[Channel]]:
    """Return every channel that holds or held these sources, the present owner first."""
    rows = await connection.execute(_OWNERS, {"kind": kind, "source_ids": list(source_ids)})
    found: dict[str, list[Channel]] = {}
    for row in rows.mappings():
        found.setdefault(row["source_id"], []).append(channel_of(row))
    return found
