"""Channels that speak by themselves, bots, and what they have said, on the stage of `inbound`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.desk import AllShards
from tests.support.inbound import VISITOR, Inbound

from gateway.db.wakeups import Wakeups
from gateway.domain import ids
from routing.configuration import validate_routing
from routing.timers import TimerWorker

WELCOME = "Welcome to {channel_name}, {contact_name}!"
GREETED = "Welcome to A channel!"
AWAY = "Nobody is here."


def rule(kind: str, *texts: str, values: Sequence[str] = (), then: str | None = None) -> Any:
    """Return a bot's rule that answers with these texts."""
    when = {"kind": kind} | ({"values": list(values)} if values else {})
    messages = [{"type": "text", "text": text} for text in texts]
    return {"when": when, "messages": messages, "then": then}


@dataclass
class Automation:
    """What tests of automation do besides feeding items."""

    stage: Inbound
    database_url: str

    async def channel(
        self,
        *destinations: str,
        welcome: bool = True,
        away: bool = True,
        custom_info: str | None = None,
        bot: str | None = None,
        endpoint: str | None = None,
        **where: Any,
    ) -> str:
        """Make a channel; without destinations it has no routing."""
        channel_id = await self.stage.channel(**where)
        link: dict[str, Any] = {"mode": "chat"}
        if bot is not None:
            link = {"mode": "bot", "bot_id": bot}
        if endpoint is not None:
            link = {"mode": "external_endpoint", "endpoint_id": endpoint}
        await self.change(
            "channels",
            channel_id,
            messages={
                "display_name_format": "none",
                "welcome": {"enabled": welcome, "text": WELCOME},
                "away": {"enabled": away, "text": AWAY},
            },
            custom_info={"enabled": custom_info is not None, "text": custom_info or ""},
            link=link,
        )
        if destinations:
            routing = {
                "rule": "alternative",
                "destinations": [{"id": each} for each in destinations],
            }
            await self.change("channels", channel_id, routing=validate_routing(routing))
        return channel_id

    async def agent(self, presence: str = "active", **columns: Any) -> str:
        return await self._make("agents", ids.AGENT, first_name="Ada", presence=presence, **columns)

    async def endpoint(self) -> str:
        return await self._make(
            "endpoints",
            ids.ENDPOINT,
            name="Desk",
            url="https://desk.example",
            event_types=[],
            signing_secret=b"",
        )

    async def bot(self, *rules: Any) -> str:
        bot_id = await self._make("bots", ids.BOT, name="Robot")
        await self.bot_says(bot_id, 1, *rules)
        return bot_id

    async def bot_says(self, bot_id: str, version: int, *rules: Any) -> None:
        """Give a bot a version of its rules, the one that it follows from now on."""
        await self.stage.execute(
            "INSERT INTO bot_versions (account_id, bot_id, version, rules, created_at)"
            " VALUES (:account, :id, :version, CAST(:rules AS jsonb), :now)",
            account=self.stage.account,
            id=bot_id,
            version=version,
            rules=json.dumps(rules),
            now=self.stage.clock.now(),
        )
        await self.change("bots", bot_id, version=version)

    async def says(self, *texts: str, visitor: str = VISITOR, **further: Any) -> None:
        """Let a visitor write, one message after another."""
        for text in texts:
            await self.stage.feed(self.stage.message(text, visitor=visitor, **further))

    async def presses(self, payload: str) -> None:
        """Let the visitor press a button."""
        mid = f"m_{ids.new_id(ids.EVENT)}"
        await self.stage.feed(
            self.stage.item({"postback": {"mid": mid, "title": "Yes", "payload": payload}})
        )

    async def talk(self) -> list[str]:
        """Return what was said, in order: `ann: words` by the contact, `bot: words`, …."""
        rows = await self.stage.all(
            "SELECT author_kind, content FROM messages ORDER BY conversation_id, sequence"
        )
        return [
            f"{row.author_kind}: {row.content.get('text') or row.content.get('payload')}"
            for row in rows
        ]

    async def said(self) -> list[str]:
        """Return what our side said, in order."""
        return [words for words in await self.talk() if not words.startswith("contact")]

    async def sends(self) -> int:
        """Return how many messages were given to the sender."""
        count: int = await self.stage.value(
            "SELECT count(*) FROM deliveries WHERE kind = 'message'"
        )
        return count

    async def timers(self) -> None:
        """Let everything happen that is due now."""
        wakeups = Wakeups(self.database_url)
        await TimerWorker(self.stage.database, AllShards(), wakeups).run_due()

    async def change(self, table: str, row_id: str, **columns: Any) -> None:
        """Change a row behind everybody's back."""
        sets = ", ".join(
            f"{name} = CAST(:{name} AS jsonb)" if isinstance(value, dict) else f"{name} = :{name}"
            for name, value in columns.items()
        )
        values = {
            name: json.dumps(value) if isinstance(value, dict) else value
            for name, value in columns.items()
        }
        await self.stage.execute(
            f"UPDATE {table} SET {sets} WHERE id = :row_id", row_id=row_id, **values
        )

    async def _make(self, table: str, prefix: str, **columns: Any) -> str:
        row_id = ids.new_id(prefix)
        row = {"account_id": self.stage.account, "id": row_id, **columns}
        row |= {"created_at": self.stage.clock.now(), "updated_at": self.stage.clock.now()}
        names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
        await self.stage.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", **row)
        return row_id
