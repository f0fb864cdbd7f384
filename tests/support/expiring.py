"""Enquiries whose offers run out at given moments: thousands of them, written straight as rows."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from gateway.domain import ids
from gateway.domain.shards import shard_of
from routing.configuration import validate_routing

_CHANNELS_EACH: Final = 10
_DAY: Final = 86_400
_LOOK_SECONDS: Final = 0.5
_LEFT: Final = "SELECT count(*) FROM timers WHERE kind = 'offer' AND due_at <= $1"
_LATENESS: Final = """
    SELECT extract(epoch FROM pg_xact_commit_timestamp(t.xmin) - o.expires_at)::float AS seconds
    FROM timeline_entries t
    JOIN offers o ON o.account_id = t.account_id AND o.enquiry_id = t.enquiry_id
    WHERE t.type = 'offer_withdrawn' AND o.status = 'expired' ORDER BY 1
"""

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class _Channel:
    account: str
    id: str
    first: str
    second: str


@dataclass
class Expiring:
    """So many enquiries of some accounts, each offered to an agent for whom there is a second one.

    The offers run out evenly within `seconds` from `begins` on; the second agent is asked then.
    """

    accounts: int
    offers: int
    begins: datetime
    seconds: float
    account_ids: list[str] = field(default_factory=list)

    async def write(self, dsn: str) -> None:
        """Write everything into a migrated database."""
        connection = await asyncpg.connect(dsn)
        try:
            for table, rows in self._rows():
                names = list(rows[0])
                records = [tuple(row[name] for name in names) for row in rows]
                await connection.copy_records_to_table(table, columns=names, records=records)
            await connection.execute("ANALYZE")
        finally:
            await connection.close()

    async def until_none_is_left(self, dsn: str, *, seconds: float) -> None:
        """Return once all of them have run out.

        Raises:
            TimeoutError: Some are still there after so many seconds.
        """
        last = self.begins + timedelta(seconds=self.seconds)
        connection = await asyncpg.connect(dsn)
        try:
            async with asyncio.timeout(seconds):
                # There is nothing to wait on but the rows themselves.
                while await connection.fetchval(_LEFT, last):  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await connection.close()

    async def lateness(self, dsn: str) -> list[float]:
        """Return how late each took effect, in seconds, ordered.

        The database has to run with `track_commit_timestamp`.
        """
        connection = await asyncpg.connect(dsn)
        try:
            return [row["seconds"] for row in await connection.fetch(_LATENESS)]
        finally:
            await connection.close()

    def _rows(self) -> Iterator[tuple[str, Rows]]:
        before = self.begins - timedelta(minutes=1)
        made = {"created_at": before}
        changed = made | {"updated_at": before}
        self.account_ids = [ids.new_id(ids.ACCOUNT) for _ in range(self.accounts)]
        channels = [
            _Channel(account, ids.new_id(ids.CHANNEL), ids.new_id(ids.AGENT), ids.new_id(ids.AGENT))
            for account in self.account_ids
            for _ in range(_CHANNELS_EACH)
        ]
        yield (
            "accounts",
            [
                {"id": each, "name": "A", "concurrent_contacts_limit": 10**6, **changed}
                for each in self.account_ids
            ],
        )
        yield "channels", [_channel_row(each, before) | changed for each in channels]
        yield (
            "agents",
            [
                {"account_id": each.account, "id": agent, "first_name": "Ada", **changed}
                | {"capacity": 10**6, "presence": "active"}
                for each in channels
                for agent in (each.first, each.second)
            ],
        )
        yield from self._offered(channels, made, changed)

    def _offered(
        self, channels: Sequence[_Channel], made: dict[str, Any], changed: dict[str, Any]
    ) -> Iterator[tuple[str, Rows]]:
        contacts, conversations, enquiries, offers, timers = [], [], [], [], []
        for n in range(self.offers):
            channel = channels[n % len(channels)]
            account = {"account_id": channel.account}
            contact, conversation = ids.new_id(ids.CONTACT), ids.new_id(ids.CONVERSATION)
            enquiry, offer = ids.new_id(ids.ENQUIRY), ids.new_id(ids.OFFER)
            due_at = self.begins + timedelta(seconds=self.seconds * n / self.offers)
            of_channel = account | {"channel_id": channel.id}
            contacts.append(of_channel | {"id": contact, "source_contact_id": str(n), **changed})
            talk = {"contact_id": contact, "inbound_partition": 0, "next_seq": 10}
            ours = {"id": conversation, "enquiry_id": enquiry, **talk, **made}
            conversations.append(of_channel | ours)
            enquiries.append(
                _enquiry_row(channel, enquiry, made["created_at"])
                | {"conversation_id": conversation, "contact_id": contact}
            )
            asked = {"id": offer, "agent_id": channel.first, "destination_id": channel.first}
            pending = {"status": "pending", "created_at": made["created_at"], "expires_at": due_at}
            offers.append(account | {"enquiry_id": enquiry, **asked, **pending})
            timers.append(
                account
                | {"id": ids.new_id(ids.TIMER), "shard": shard_of(conversation), "kind": "offer"}
                | {"conversation_id": conversation, "subject_id": enquiry, "due_at": due_at}
            )
        yield "contacts", contacts
        yield "conversations", conversations
        yield "enquiries", enquiries
        yield "offers", offers
        yield "timers", timers


def _channel_row(channel: _Channel, before: datetime) -> dict[str, Any]:
    listed = [{"id": each, "timeout_seconds": _DAY} for each in (channel.first, channel.second)]
    routing = validate_routing(
        {"rule": "alternative", "destinations": listed, "waiting_limit_seconds": _DAY}
    )
    return {
        "account_id": channel.account,
        "id": channel.id,
        "kind": "third_party",
        "name": "A channel",
        "status": "active",
        "source_id": channel.id,
        "routing": json.dumps(routing),
        "connected_at": before,
    }


def _enquiry_row(channel: _Channel, enquiry: str, before: datetime) -> dict[str, Any]:
    return {
        "account_id": channel.account,
        "id": enquiry,
        "channel_id": channel.id,
        "status": "offered",
        "destination": json.dumps({"id": channel.first, "kind": "agent", "name": "Ada"}),
        "progress": json.dumps({"since": before.isoformat()}),
        "opened_at": before,
        "entered_at": before,
        "offered_at": before,
        "updated_at": before,
    }
