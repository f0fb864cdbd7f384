"""An account with Pages and conversations, written straight into a database, and its messages."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import insert, text

from gateway.clock import SystemClock
from gateway.db.channels import find_channels
from gateway.db.conversations import lock_conversations
from gateway.db.engine import create_engine
from gateway.db.secrets import KeyRing
from gateway.db.tables import accounts, channels, contacts, conversations, meta_apps
from gateway.db.unit_of_work import Database
from gateway.db.wakeups import Wakeups
from gateway.domain import ids
from gateway.domain.message import AuthorKind
from gateway.messaging.acceptance import Outgoing, accept_message

APP: Final = "100200300"
APP_SECRET: Final = "0123456789abcdef0123456789abcdef"  # noqa: S105 - nobody else's
# Conversations whose messages are accepted in one transaction.
_AT_ONCE: Final = 200
_FIRST_CONTACT: Final = 10**15


@dataclass(frozen=True, slots=True)
class Desk:
    """Who can be written to.

    Attributes:
        database: Where everything is.
        account: Whose everything is.
        conversations: Every conversation, those of one Page beside one another.
        channels: The channel of each conversation.
        pages: The Page of each conversation.
        contacts: With whom each conversation is.
    """

    database: Database
    account: str
    conversations: Sequence[str]
    channels: Sequence[str]
    pages: Sequence[str]
    contacts: Sequence[str]

    async def settle_down(self) -> None:
        """Let PostgreSQL see what is in its tables, as it does by itself within a minute."""
        async with self.database.engine.begin() as connection:
            await connection.execute(text("ANALYZE"))

    async def accept(self, text: str) -> None:
        """Accept one message for each conversation, as a request for it does."""
        for start in range(0, len(self.conversations), _AT_ONCE):
            await self.accept_for(self.conversations[start : start + _AT_ONCE], text)

    async def accept_for(self, conversations: Sequence[str], text: str) -> None:
        """Accept one message for each of some conversations, in one transaction."""
        async with self.database.unit_of_work() as work:
            locked = await lock_conversations(work, conversations, account_id=self.account)
            wanted = {each.channel_id for each in locked.values()}
            pages = await find_channels(work.connection, wanted)
            for each in locked.values():
                outgoing = Outgoing(
                    content={"type": "text", "text": text}, author_kind=AuthorKind.AGENT
                )
                await accept_message(work, each, pages[each.channel_id], outgoing)


@asynccontextmanager
async def desk(
    database_url: str, encryption_keys: str, *, pages: int, conversations_each: int
) -> AsyncIterator[Desk]:
    """Write an account, its Pages and their conversations; the contacts have just written."""
    clock, keyring = SystemClock(), KeyRing.from_text(encryption_keys)
    engine = create_engine(database_url, pool_size=2, max_overflow=0, application_name="bench")
    wakeups = Wakeups(database_url)
    waking = asyncio.ensure_future(wakeups.run())
    database = Database(engine, clock=clock, keyring=keyring, wake=wakeups.wake)
    try:
        yield await _found(database, keyring, pages, conversations_each)
    finally:
        waking.cancel()
        await engine.dispose()


async def _found(database: Database, keyring: KeyRing, pages: int, conversations_each: int) -> Desk:
    now = database.clock.now()
    account = ids.new_id(ids.ACCOUNT)
    made: dict[str, Any] = {"created_at": now}
    changed = {**made, "updated_at": now}
    page_rows = []
    people, talks = [], []
    for page in range(pages):
        channel = ids.new_id(ids.CHANNEL)
        token = keyring.encrypt(f"EAAtoken{page}", row=f"channels/{channel}/page_access_token")
        page_rows.append(
            {
                "account_id": account,
                "id": channel,
                "kind": "messenger",
                "name": f"Page {page}",
                "status": "active",
                "source_id": str(10**14 + page),
                "page_id": str(10**14 + page),
                "meta_app_id": APP,
                "page_access_token": token,
                "subscribed_fields": ["messages", "message_echoes"],
                "connected_at": now,
                **changed,
            }
        )
        for contact in range(conversations_each):
            person, talk = ids.new_id(ids.CONTACT), ids.new_id(ids.CONVERSATION)
            number = _FIRST_CONTACT + page * conversations_each + contact
            owned = {"account_id": account, "channel_id": channel}
            people.append({**owned, "id": person, "source_contact_id": str(number), **changed})
            talks.append(
                {
                    **owned,
                    "id": talk,
                    "contact_id": person,
                    "inbound_partition": 0,
                    "last_action_at": now,
                    "last_inbound_at": now,
                    **made,
                }
            )
    async with database.unit_of_work() as work:
        await work.connection.execute(
            insert(accounts).values(
                id=account, name="Bench", concurrent_contacts_limit=100_000, **changed
            )
        )
        await work.connection.execute(
            insert(meta_apps).values(
                app_id=APP,
                name="Bench",
                app_secrets=[keyring.encrypt(APP_SECRET, row=f"meta_apps/{APP}/app_secrets")],
                verify_token=keyring.encrypt("verify", row=f"meta_apps/{APP}/verify_token"),
                graph_version="v26.0",
                **changed,
            )
        )
        await work.connection.execute(insert(channels), page_rows)
        await work.connection.execute(insert(contacts), people)
        await work.connection.execute(insert(conversations), talks)
    sources = {each["id"]: each["source_id"] for each in page_rows}
    return Desk(
        database,
        account,
        conversations=[each["id"] for each in talks],
        channels=[each["channel_id"] for each in talks],
        pages=[sources[each["channel_id"]] for each in talks],
        contacts=[each["source_contact_id"] for each in people],
    )
