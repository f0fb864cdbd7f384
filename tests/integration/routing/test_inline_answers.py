"""What endpoints say in their 200: from the call to the contact, each message once."""

import asyncio
import json
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any

import pytest
from tests.support import misbehave
from tests.support.desk import AllShards
from tests.support.receiver import Receiver
from tests.support.sending import Outbox

from gateway.db.conversations import lock_conversations
from gateway.db.outbox import NewEvent
from gateway.db.wakeups import Wakeups
from gateway.domain import ids
from gateway.domain.delivery import TargetKind
from gateway.net.egress import Egress
from gateway.net.places import EgressPolicy
from gateway.sender.webhook import EndpointTransport
from routing.timers import TimerWorker

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

RECEIVED = "gateway.message.received.v1"
HELLO = {"type": "text", "text": "hello"}
BYE = {"type": "text", "text": "bye"}


class Nowhere:
    async def resolve(self, _host: str) -> list[Any]:
        return [ip_address("127.0.0.1")]


@pytest.fixture
async def outbox(database_url: str) -> AsyncIterator[Outbox]:
    async with Outbox.open(database_url) as outbox:
        egress = Egress(
            EgressPolicy(ports=frozenset({443}), allow_loopback=True), resolver=Nowhere()
        )
        outbox.transports = {
            TargetKind.ENDPOINT: EndpointTransport(
                egress, keyring=outbox.keyring, clock=outbox.clock
            )
        }
        yield outbox
        await egress.aclose()


class Story:
    """A channel linked to an endpoint that answers, and a contact who has written."""

    def __init__(self, outbox: Outbox, receiver: Receiver) -> None:
        self.outbox = outbox
        self.receiver = receiver
        self.endpoint = self.channel = self.conversation = ""

    async def begin(self, *, linked: bool = True) -> None:
        self.endpoint = await self.outbox.endpoint(self.receiver.url, event_types=["*"])
        link = {"mode": "external_endpoint", "endpoint_id": self.endpoint}
        link = link if linked else {"mode": "chat"}
        self.channel = await self.outbox.third_party_channel(link=link)
        self.conversation = await self.outbox.conversation(self.channel)

    async def enquiry(self, status: str = "ongoing", **columns: Any) -> str:
        """Give the endpoint the contact's enquiry."""
        enquiry_id = ids.new_id(ids.ENQUIRY)
        contact = await self.outbox.value("SELECT contact_id FROM conversations")
        row = {
            "account_id": self.outbox.account,
            "id": enquiry_id,
            "channel_id": self.channel,
            "conversation_id": self.conversation,
            "contact_id": contact,
            "status": status,
            "opened_at": self.outbox.clock.now(),
            "updated_at": self.outbox.clock.now(),
            "handled_by": "endpoint",
            **columns,
        }
        destination = {"id": self.endpoint, "kind": "endpoint", "name": "Desk"}
        row["destination"] = json.dumps(columns.get("destination", destination))
        names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
        await self.outbox.execute(f"INSERT INTO enquiries ({names}) VALUES ({places})", **row)
        await self.outbox.execute("UPDATE conversations SET enquiry_id = :id", id=enquiry_id)
        return enquiry_id

    async def tell(self, kind: str = RECEIVED, **answer: Any) -> str:
        """Tell the endpoint of something, which it answers; return the event's id."""
        if answer:
            self.receiver.then(misbehave.respond(200, answer))
        async with self.outbox.database.unit_of_work() as work:
            locked = await lock_conversations(
                work, [self.conversation], account_id=self.outbox.account
            )
            event = NewEvent(
                type=kind,
                account_id=self.outbox.account,
                channel_id=self.channel,
                conversation_id=self.conversation,
                sequence=locked[self.conversation].take_sequence(),
                occurred_at=work.now,
                data={},
            )
            work.announce(event)
        return event.id

    async def heard(self, event_id: str) -> None:
        """Return once the endpoint has an event, and what it said has been said."""
        await self.outbox.until_delivery("delivered", event_id=event_id)
        await self.timers()

    async def timers(self) -> None:
        wakeups = Wakeups(self.outbox.database_url)
        await TimerWorker(self.outbox.database, AllShards(), wakeups).run_due()

    async def said(self) -> list[dict[str, Any]]:
        return await self.outbox.rows(
            "SELECT * FROM messages WHERE direction = 'outbound' ORDER BY sequence"
        )

    async def words(self) -> list[str]:
        return [row["content"]["text"] for row in await self.said()]


@pytest.fixture
async def story(outbox: Outbox) -> AsyncIterator[Story]:
    async with Receiver() as receiver:
        yield Story(outbox, receiver)


async def test_what_the_channels_endpoint_answers_is_sent(story: Story, outbox: Outbox) -> None:
    await story.begin()
    enquiry = await story.enquiry()
    async with outbox.sender():
        event = await story.tell(messages=[HELLO, BYE])
        await story.heard(event)
        calls = [await outbox.third_party.call()]
    assert calls[0].text == "hello"
    first, second = await story.said()
    assert (first["author_kind"], first["author_id"]) == ("bot", story.endpoint)
    assert (first["author_name"], first["enquiry_id"]) == ("Desk", enquiry)
    assert (first["content"], second["content"]) == (HELLO, BYE)
    assert first["automation_cause"] == f"answer:{event}:0"
    row = (await outbox.rows("SELECT first_response_at FROM enquiries"))[0]
    assert row["first_response_at"] == outbox.clock.now()
    assert await outbox.value("SELECT count(*) FROM timers WHERE kind = 'intermission'") == 1


async def test_a_call_that_is_made_again_says_it_once(story: Story, outbox: Outbox) -> None:
    """The sender died between the endpoint's answer and its settlement."""
    await story.begin()
    async with outbox.sender():
        outbox.gate.close("before_settle")
        event = await story.tell(messages=[HELLO])
        await outbox.gate.reached("before_settle")
        await story.receiver.wait_for(1)
    await story.timers()
    assert await story.said() == []
    outbox.gate.open("before_settle")
    # Nobody knows what came of the call until it must have ended; then it is made again.
    await outbox.execute(
        "UPDATE deliveries SET status = 'pending', due_at = :now", now=outbox.clock.now()
    )
    story.receiver.then(misbehave.respond(200, {"messages": [HELLO]}))
    async with outbox.sender(epoch=2):
        await story.heard(event)
        assert await story.words() == ["hello"]
        first, second = await story.receiver.wait_for(2)
        assert first.header("webhook-id") == second.header("webhook-id")
        # Redelivered by hand, it is answered a third time.
        story.receiver.then(misbehave.respond(200, {"messages": [HELLO, BYE]}))
        await outbox.execute(
            "UPDATE deliveries SET status = 'pending', holds_lane = true, due_at = :now,"
            " ready = true, settled_at = NULL WHERE event_id = :id",
            now=outbox.clock.now(),
            id=event,
        )
        outbox.wake()
        await story.receiver.wait_for(3)
        await story.heard(event)
    assert await story.words() == ["hello", "bye"]


async def test_an_endpoint_that_has_the_enquiry_is_heard(story: Story, outbox: Outbox) -> None:
    await story.begin(linked=False)
    await story.enquiry()
    async with outbox.sender():
        await story.heard(await story.tell(messages=[HELLO]))
    assert await story.words() == ["hello"]


async def test_an_endpoint_that_only_listens_is_not_heard(story: Story, outbox: Outbox) -> None:
    await story.begin(linked=False)
    async with outbox.sender():
        await story.heard(await story.tell(messages=[HELLO]))
        await story.enquiry(status="closed")
        await story.heard(await story.tell(messages=[HELLO]))
    assert await story.said() == []


async def test_an_agent_who_took_over_is_not_talked_over(story: Story, outbox: Outbox) -> None:
    await story.begin()
    await story.enquiry(
        handled_by="agent",
        agent_id=ids.new_id(ids.AGENT),
        destination={"id": ids.new_id(ids.AGENT), "kind": "agent", "name": "Ada"},
    )
    async with outbox.sender():
        await story.heard(await story.tell(messages=[HELLO]))
    assert await story.said() == []


@pytest.mark.parametrize("kind", ["message.delivered", "message.accepted", "enquiry.opened"])
async def test_only_what_contacts_do_is_answered(story: Story, outbox: Outbox, kind: str) -> None:
    await story.begin()
    async with outbox.sender():
        await story.heard(await story.tell(f"gateway.{kind}.v1", messages=[HELLO]))
    assert await story.said() == []


async def test_only_a_200_says_something(story: Story, outbox: Outbox) -> None:
    await story.begin()
    story.receiver.then(misbehave.respond(201, {"messages": [HELLO]}))
    async with outbox.sender():
        await story.heard(await story.tell())
    assert await story.said() == []


async def test_what_cannot_be_sent_is_left_out_and_noted(story: Story, outbox: Outbox) -> None:
    await story.begin()
    await outbox.execute("UPDATE channels SET text_limit = 5")
    secret = {"type": "text", "text": "longer than five"}
    lost = {"type": "image", "media_id": ids.new_id(ids.MEDIA)}
    async with outbox.sender():
        answer = [{"type": "smoke"}, secret, lost, HELLO]
        event = await story.tell(messages=answer)
        await story.heard(event)
    assert await story.words() == ["hello"]
    assert (await story.said())[0]["automation_cause"] == f"answer:{event}:3"
    attempt = (await outbox.rows("SELECT outcome, error FROM delivery_attempts"))[0]
    assert attempt["outcome"] == "accepted"
    assert attempt["error"]["code"] == "validation-failed"
    assert "/messages/0" in attempt["error"]["detail"]


async def test_three_at_once_say_it_once(story: Story, outbox: Outbox) -> None:
    await story.begin()
    async with outbox.sender():
        event = await story.tell(messages=[HELLO])
        await outbox.until_delivery("delivered", event_id=event)
    workers = [
        TimerWorker(outbox.database, AllShards(), Wakeups(outbox.database_url)) for _ in range(3)
    ]
    await asyncio.gather(*(worker.run_due() for worker in workers))
    assert await story.words() == ["hello"]
    assert await outbox.value("SELECT count(*) FROM dead_letters") == 0
