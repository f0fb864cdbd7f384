"""Accounts with Pages, agents and conversations, written straight into a database, and the traffic.

The traffic is what the ingress writes: webhook bodies, normalised. Of it are 70 % messages of
contacts whose enquiry is alive, 10 % messages that open an enquiry (half of them of strangers, half
of contacts whose enquiry was closed long ago), and 20 % delivery and read marks.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from gateway.contracts.inbound import InboundEvent, inbound_key
from gateway.contracts.moments import whole_milliseconds
from gateway.domain import ids
from gateway.domain.shards import shard_of
from gateway.meta.normalise import normalise
from routing.configuration import validate_routing

APP: Final = "400500600700"
AGENTS_OF_PAGE: Final = 5
CAPACITY: Final = 1000
OPENINGS: Final = 0.10
_MESSAGES: Final = 0.70
_STRANGERS: Final = _MESSAGES + OPENINGS / 2
_RETURNING: Final = _MESSAGES + OPENINGS
_DELIVERIES: Final = _RETURNING + 0.10
_TEXT: Final = "Hello, I ordered a lamp last week, number {}, and would like to know where it is."


@dataclass(slots=True)
class Page:
    """A Page with its account and agents."""

    account: str
    channel: str
    source: str
    agents: list[str]


@dataclass(slots=True)
class Person:
    """A contact of a Page; `marks` are the messages that it has not seen yet, oldest first."""

    page: Page
    number: str
    contact: str
    conversation: str
    enquiry: str
    alive: bool
    marks: list[tuple[str, datetime]] = field(default_factory=list)
    delivered: bool = False


class Town:
    """Who lives here, and what they say."""

    def __init__(self, *, accounts: int, pages: int, contacts: int, events: int) -> None:
        """Describe a town in which so many events may happen."""
        self._random = random.Random(20261121)  # noqa: S311 - the same town every time
        self.events = events
        self.accounts = [ids.new_id(ids.ACCOUNT) for _ in range(accounts)]
        self.pages = [
            Page(
                self.accounts[n % accounts],
                ids.new_id(ids.CHANNEL),
                str(106540350000000 + n),
                [ids.new_id(ids.AGENT) for _ in range(AGENTS_OF_PAGE)],
            )
            for n in range(pages)
        ]
        returning = round(events * OPENINGS / 2 * 1.1) + 100
        self._strangers = iter(range(10**9))
        self.alive = [self._person(n, alive=True) for n in range(contacts)]
        self._returning = [self._person(contacts + n, alive=False) for n in range(returning)]
        self._mids = 0
        self.expected: dict[str, int] = {}

    def _person(self, n: int, *, alive: bool) -> Person:
        return Person(
            self.pages[n % len(self.pages)],
            str(7788990000000000 + n),
            ids.new_id(ids.CONTACT),
            ids.new_id(ids.CONVERSATION),
            ids.new_id(ids.ENQUIRY),
            alive,
        )

    async def settle(
        self, database_url: str, *, now: datetime, partition_of: Callable[[bytes], int]
    ) -> None:
        """Write everybody into an empty database; keys go to the partitions that are said."""
        dsn = database_url.replace("postgresql+asyncpg://", "postgresql://", 1)
        connection = await asyncpg.connect(dsn)
        try:
            for table, each in self._rows(now, partition_of):
                rows = list(each)
                names = list(rows[0])
                records = [tuple(row[name] for name in names) for row in rows]
                await connection.copy_records_to_table(table, columns=names, records=records)
            await connection.execute("ANALYZE")
        finally:
            await connection.close()

    def traffic(self, now: datetime) -> Iterator[InboundEvent]:
        """Yield the events, as the ingress derives them from webhook bodies, in their order."""
        for n in range(self.events):
            at = now + timedelta(milliseconds=n // 4)
            draw = self._random.random()
            page, item = self._item(draw, at)
            entry = {"id": page.source, "time": _milliseconds(at), "messaging": [item]}
            body = json.dumps({"object": "page", "entry": [entry]}).encode()
            (event,) = normalise(body, meta_app_id=APP, received_at=at).events
            yield event

    def _item(self, draw: float, at: datetime) -> tuple[Page, dict[str, Any]]:
        if draw < _MESSAGES:
            person = self._random.choice(self.alive)
            self._expect("message.received")
            return person.page, self._message(person.page, person.number, at)
        if draw < _STRANGERS:
            n = next(self._strangers)
            page = self.pages[n % len(self.pages)]
            self._expect("contact.created", "message.received", "enquiry.opened", "enquiry.offered")
            return page, self._message(page, str(5500000000000000 + n), at)
        if draw < _RETURNING and self._returning:
            person = self._returning.pop()
            self._expect("message.received", "enquiry.opened", "enquiry.offered")
            return person.page, self._message(person.page, person.number, at)
        return self._mark(at)

    def _mark(self, at: datetime) -> tuple[Page, dict[str, Any]]:
        """Let somebody receive, or read, the next message that we sent."""
        person = self._random.choice(self.alive)
        if not person.marks:
            person = next(each for each in self.alive if each.marks)
        mid, sent_at = person.marks[0]
        watermark = _milliseconds(sent_at)
        item = {
            "sender": {"id": person.number},
            "recipient": {"id": person.page.source},
            "timestamp": _milliseconds(at),
        }
        if not person.delivered:
            person.delivered = True
            self._expect("message.delivered")
            return person.page, {**item, "delivery": {"mids": [mid], "watermark": watermark}}
        person.delivered = False
        person.marks.pop(0)
        self._expect("message.read")
        return person.page, {**item, "read": {"watermark": watermark}}

    def _message(self, page: Page, number: str, at: datetime) -> dict[str, Any]:
        self._mids += 1
        return {
            "sender": {"id": number},
            "recipient": {"id": page.source},
            "timestamp": _milliseconds(at),
            "message": {"mid": _mid("i", self._mids), "text": _TEXT.format(self._mids)},
        }

    def _expect(self, *names: str) -> None:
        for name in names:
            kind = f"gateway.{name}.v1"
            self.expected[kind] = self.expected.get(kind, 0) + 1

    def _rows(
        self, now: datetime, partition_of: Callable[[bytes], int]
    ) -> Iterator[tuple[str, Sequence[dict[str, Any]]]]:
        # Marks compare whole milliseconds, as the platform gives them.
        before = whole_milliseconds(now) - timedelta(days=2)
        made = {"created_at": before}
        changed = {**made, "updated_at": before}
        yield (
            "accounts",
            [
                {"id": each, "name": "Bench", "concurrent_contacts_limit": 10**6, **changed}
                for each in self.accounts
            ],
        )
        yield (
            "meta_apps",
            [
                {
                    "app_id": APP,
                    "name": "Bench",
                    "app_secrets": [],
                    "verify_token": b"",
                    "graph_version": "v26.0",
                    **changed,
                }
            ],
        )
        yield "channels", [_channel_row(page, changed, before) for page in self.pages]
        yield (
            "agents",
            [
                {
                    "account_id": page.account,
                    "id": agent,
                    "first_name": f"Agent {n}",
                    "capacity": CAPACITY,
                    "presence": "active",
                    **changed,
                }
                for page in self.pages
                for n, agent in enumerate(page.agents)
            ],
        )
        people = [*self.alive, *self._returning]
        yield (
            "contacts",
            [
                {
                    "account_id": person.page.account,
                    "id": person.contact,
                    "channel_id": person.page.channel,
                    "source_contact_id": person.number,
                    "name": "Ann Onymous",
                    **changed,
                }
                for person in people
            ],
        )
        yield (
            "conversations",
            [
                {
                    "account_id": person.page.account,
                    "id": person.conversation,
                    "channel_id": person.page.channel,
                    "contact_id": person.contact,
                    "inbound_partition": partition_of(
                        inbound_key("messenger", person.page.source, person.number).encode()
                    ),
                    "next_seq": 1000,
                    "enquiry_id": person.enquiry,
                    "last_inbound_at": before,
                    "last_action_at": before,
                    "last_message_at": before,
                    **made,
                }
                for person in people
            ],
        )
        yield "enquiries", [_enquiry_row(n, person, before) for n, person in enumerate(people)]
        yield (
            "timers",
            [
                {
                    "account_id": person.page.account,
                    "id": ids.new_id(ids.TIMER),
                    "shard": shard_of(person.conversation),
                    "kind": "intermission",
                    "conversation_id": person.conversation,
                    "subject_id": person.enquiry,
                    "due_at": now + timedelta(days=1),
                }
                for person in self.alive
            ],
        )
        yield "messages", list(self._sent(before))

    def _sent(self, before: datetime) -> Iterator[dict[str, Any]]:
        """Yield what was sent so far, and note it with whom it was sent to."""
        marks = round(self.events * (1 - _RETURNING) / 2 * 1.2)
        each_has = marks // len(self.alive) + 2
        for p, person in enumerate(self.alive):
            for n in range(each_has):
                at = before + timedelta(minutes=n)
                mid = _mid("o", p * each_has + n)
                person.marks.append((mid, at))
                yield {
                    "account_id": person.page.account,
                    "id": ids.new_id(ids.MESSAGE),
                    "channel_id": person.page.channel,
                    "conversation_id": person.conversation,
                    "enquiry_id": person.enquiry,
                    "sequence": 10 + n,
                    "direction": "outbound",
                    "author_kind": "agent",
                    "author_id": person.page.agents[0],
                    "content": json.dumps({"type": "text", "text": "It is on its way."}),
                    "status": "sent",
                    "source_message_id": mid,
                    "platform_at": at,
                    "occurred_at": at,
                    "accepted_at": at,
                    "sent_at": at,
                }


def _channel_row(page: Page, changed: dict[str, Any], before: datetime) -> dict[str, Any]:
    routing = validate_routing(
        {
            "rule": "alternative",
            "destinations": [{"id": agent, "timeout_seconds": 3600} for agent in page.agents],
            "waiting_limit_seconds": 7200,
        }
    )
    return {
        "account_id": page.account,
        "id": page.channel,
        "kind": "messenger",
        "name": "Bench",
        "status": "active",
        "source_id": page.source,
        "page_id": page.source,
        "meta_app_id": APP,
        "subscribed_fields": ["messages", "message_echoes"],
        "routing": json.dumps(routing),
        "connected_at": before,
        **changed,
    }


def _enquiry_row(n: int, person: Person, before: datetime) -> dict[str, Any]:
    agent = person.page.agents[n % AGENTS_OF_PAGE]
    return {
        "account_id": person.page.account,
        "id": person.enquiry,
        "channel_id": person.page.channel,
        "conversation_id": person.conversation,
        "contact_id": person.contact,
        "status": "ongoing" if person.alive else "closed",
        "destination": json.dumps({"id": agent, "kind": "agent", "name": "Agent"}),
        "agent_id": agent,
        "agent_name": "Agent",
        "handled_by": "agent",
        "opened_at": before,
        "entered_at": before,
        "accepted_at": before,
        "closed_at": None if person.alive else before,
        "close_reason": None if person.alive else "requested",
        "updated_at": before,
    }


def _mid(prefix: str, n: int) -> str:
    """Return an id as long as Meta's."""
    return f"m_{prefix}{n:0>40}AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIj"


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
