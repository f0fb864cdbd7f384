"""What is said by itself on a real database: welcome, away, custom info, and where it stops."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from tests.support.automation import AWAY, GREETED, Automation, rule
from tests.support.inbound import APP, PAGE, RULES, TOPIC, VISITOR, Inbound, inbound

from gateway.db.channels import get_channel
from gateway.db.conversations import lock_conversations
from gateway.domain import ids
from gateway.domain.message import AuthorKind
from gateway.messaging.acceptance import Outgoing, accept_message
from gateway.messaging.automatic import MOST_MESSAGES, PAUSE
from gateway.meta.normalise import normalise
from routing import commands
from routing.enquiries import Actor
from routing.inbound.draining import Drain

API = Actor("api")


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Inbound]:
    async with inbound(database_url) as stage:
        yield stage


@pytest.fixture
def at(stage: Inbound, database_url: str) -> Automation:
    return Automation(stage, database_url)


class TestWelcome:
    async def test_it_follows_the_very_first_message_and_no_other(
        self, at: Automation, stage: Inbound
    ) -> None:
        await at.channel(await at.agent())
        await at.says("hello", "anybody?")
        assert await at.talk() == ["contact: hello", f"system: {GREETED}", "contact: anybody?"]
        assert await stage.event_types() == [
            "message.received",
            "message.accepted",
            "enquiry.opened",
            "enquiry.offered",
            "message.received",
        ]
        welcome = await stage.one("SELECT * FROM messages WHERE author_kind = 'system'")
        assert welcome.enquiry_id == await stage.value("SELECT id FROM enquiries")
        assert welcome.status == "accepted"
        assert await at.sends() == 1

    async def test_another_enquiry_of_the_contact_has_none(
        self, at: Automation, stage: Inbound
    ) -> None:
        channel = await at.channel()
        await at.change("channels", channel, closed_enquiry_policy="always")
        await at.says("hello")
        async with stage.database.unit_of_work() as work:
            enquiry = await stage.value("SELECT id FROM enquiries")
            await commands.close(work, stage.account, enquiry, agent_id=None, actor=API)
        await at.says("hello again")
        assert await stage.value("SELECT count(*) FROM enquiries") == 2
        assert await at.said() == [f"system: {GREETED}"]

    async def test_a_button_is_a_first_message_and_a_link_is_none(self, at: Automation) -> None:
        await at.channel()
        await at.stage.feed(at.stage.item({"referral": {"source": "SHORTLINK", "ref": "a"}}))
        assert await at.said() == []
        await at.presses("GET_STARTED")
        assert await at.talk() == ["contact: GET_STARTED", f"system: {GREETED}"]

    async def test_the_name_is_the_one_that_is_known(self, at: Automation, stage: Inbound) -> None:
        await at.channel()
        await stage.feed(stage.item({"referral": {"source": "SHORTLINK", "ref": "a"}}))
        await stage.execute("UPDATE contacts SET first_name = 'Vera', last_name = 'Cruz'")
        await at.says("hello")
        assert await at.said() == ["system: Welcome to A channel, Vera Cruz!"]

    async def test_it_is_cut_to_the_text_limit(self, at: Automation) -> None:
        channel = await at.channel()
        await at.change("channels", channel, text_limit=10)
        await at.says("hello")
        assert await at.said() == ["system: Welcome…"]

    async def test_none_where_it_is_switched_off(self, at: Automation) -> None:
        await at.channel(welcome=False)
        await at.says("hello")
        assert await at.said() == []

    async def test_none_for_what_was_parked(self, at: Automation, stage: Inbound) -> None:
        channel = await at.channel(await at.agent("offline"), status="suspended")
        await at.says("hello")
        await at.change("channels", channel, status="active")
        assert await Drain(stage.database, topic=TOPIC, rules=RULES).sweep() == 1
        # Nor an away message: nobody would understand it now.
        assert (await stage.one("SELECT status, late FROM enquiries")) == ("missed", True)
        await at.says("still there?")
        assert await at.said() == []

    async def test_none_for_a_blocked_contact(self, at: Automation, stage: Inbound) -> None:
        await at.channel(await at.agent("offline"))
        await stage.feed(stage.item({"referral": {"source": "SHORTLINK", "ref": "a"}}))
        await stage.execute("UPDATE contacts SET blocked_at = :now", now=stage.clock.now())
        await at.says("hello")
        assert await at.talk() == ["contact: hello"]
        assert await stage.value("SELECT count(*) FROM enquiries") == 0
        # Unblocked, the contact is heard again: the first message was another one.
        await stage.execute("UPDATE contacts SET blocked_at = NULL")
        await at.says("hello?")
        assert await at.talk() == ["contact: hello", "contact: hello?", f"system: {AWAY}"]

    @pytest.mark.parametrize("owner", ["other_app", "page_inbox"])
    async def test_none_while_somebody_else_has_the_thread(
        self, at: Automation, stage: Inbound, owner: str
    ) -> None:
        await at.channel(await at.agent("offline"))
        await stage.feed(stage.item({"referral": {"source": "SHORTLINK", "ref": "a"}}))
        await stage.execute(
            "UPDATE conversations SET thread_owner = :owner, thread_owner_since = :now",
            owner=owner,
            now=stage.clock.now(),
        )
        await stage.feed(stage.message(), standby=owner == "other_app")
        assert await at.talk() == ["contact: hello"]

    async def test_a_channel_that_holds_its_messages_holds_it(
        self, at: Automation, stage: Inbound
    ) -> None:
        await at.channel(status="disconnected")
        await at.says("hello")
        assert await at.said() == [f"system: {GREETED}"]
        assert await stage.value("SELECT due_at FROM deliveries WHERE kind = 'message'") is None

    async def test_many_in_one_transaction_cost_few_statements(
        self, at: Automation, stage: Inbound
    ) -> None:
        channel = await at.channel()
        statements: list[str] = []

        @event.listens_for(stage.engine.sync_engine, "before_cursor_execute")
        def _count(_c: Any, _cur: Any, statement: str, *_rest: Any) -> None:
            statements.append(statement)

        async def cost(prefix: str) -> int:
            statements.clear()
            await stage.feed(*(stage.message(visitor=f"{prefix}{n}") for n in range(40)))
            return len(statements)

        greeted = await cost("a")
        assert len(await at.said()) == 40
        await at.change(
            "channels",
            channel,
            messages={"welcome": {"enabled": False, "text": ""}},
        )
        # One for the messages, one for their deliveries, and one to wake the sender.
        assert greeted <= await cost("b") + 3


class TestAway:
    async def test_it_is_said_when_an_enquiry_is_missed_and_the_staff_are_informed(
        self, at: Automation, stage: Inbound
    ) -> None:
        await at.channel(await at.agent("offline"), welcome=False, custom_info="Asks for Ada.")
        await at.says("hello")
        assert await at.talk() == ["contact: hello", f"system: {AWAY}"]
        assert await stage.event_types() == [
            "message.received",
            "enquiry.opened",
            "enquiry.missed",
            "message.accepted",
        ]
        lines = await stage.all("SELECT type, actor, data FROM timeline_entries ORDER BY sequence")
        assert [line.type for line in lines] == ["opened", "missed", "bot_message"]
        assert (lines[2].actor, lines[2].data) == ({"kind": "bot"}, {"text": "Asks for Ada."})
        assert await at.sends() == 1

    async def test_it_is_said_once_an_enquiry_ever(self, at: Automation, stage: Inbound) -> None:
        channel = await at.channel(await at.agent("offline"), welcome=False, custom_info="Info")
        await at.says("hello", "hello?")
        assert await stage.value("SELECT count(*) FROM timeline_entries WHERE type = 'missed'") == 2
        assert await at.said() == [f"system: {AWAY}"]
        await at.change("channels", channel, closed_enquiry_policy="always")
        await at.says("another matter")
        assert await at.said() == [f"system: {AWAY}"] * 2

    async def test_welcome_comes_first(self, at: Automation) -> None:
        await at.channel(await at.agent("offline"))
        await at.says("hello")
        assert await at.said() == [f"system: {GREETED}", f"system: {AWAY}"]

    async def test_a_timer_that_misses_says_it_too(self, at: Automation, stage: Inbound) -> None:
        await at.channel(await at.agent(), welcome=False, custom_info="Info")
        await stage.feed(*(stage.message(visitor=f"v{n}") for n in range(5)))
        stage.clock.advance(timedelta(seconds=61))
        await at.timers()
        assert await at.said() == [f"system: {AWAY}"] * 5
        notes = await stage.value(
            "SELECT count(*) FROM timeline_entries WHERE type = 'bot_message'"
        )
        assert notes == 5

    async def test_none_after_the_window_has_closed(self, at: Automation, stage: Inbound) -> None:
        await at.channel(await at.agent(), welcome=False)
        await at.says("hello")
        await stage.execute(
            "UPDATE conversations SET last_action_at = :then",
            then=stage.clock.now() - timedelta(hours=24),
        )
        stage.clock.advance(timedelta(seconds=61))
        await at.timers()
        assert await stage.value("SELECT status FROM enquiries") == "missed"
        assert await at.said() == []

    async def test_none_on_a_suspended_channel(self, at: Automation, stage: Inbound) -> None:
        channel = await at.channel(await at.agent(), welcome=False)
        await at.says("hello")
        await at.change("channels", channel, status="suspended")
        stage.clock.advance(timedelta(seconds=61))
        await at.timers()
        assert await stage.value("SELECT status FROM enquiries") == "missed"
        assert await at.said() == []

    async def test_a_person_in_the_pages_inbox_takes_it_back(
        self, at: Automation, stage: Inbound
    ) -> None:
        await at.channel(await at.agent("offline"))
        await at.says("hello")
        await stage.feed(stage.echo(mid="m_page", app_id="999"))
        rows = await stage.all(
            "SELECT status, error ->> 'code' AS code FROM messages WHERE automation_cause"
            " IS NOT NULL"
        )
        assert [tuple(row) for row in rows] == [("failed", "cancelled")] * 2


class DiedError(Exception):
    pass


async def test_ten_events_at_once_on_three_routers_one_of_which_dies(
    at: Automation, stage: Inbound
) -> None:
    await at.channel(await at.agent("offline"), custom_info="Info")
    dies = asyncio.Event()

    async def die(point: str) -> None:
        if point == "before_commit" and not dies.is_set():
            dies.set()
            raise DiedError

    routers = {1: stage.another(), 2: stage.another(), 3: stage.another(at=die)}
    for partition, router in routers.items():
        await router.assigned(partition)
    batches = {partition: records(stage, partition, 10) for partition in routers}
    results = await asyncio.gather(
        *(router.handle(partition, batches[partition]) for partition, router in routers.items()),
        return_exceptions=True,
    )
    assert dies.is_set()
    # Whatever the dead one left undone, another does: all of it, for all that anybody knows.
    heir = stage.another()
    await heir.assigned(3)
    offset = await stage.value("SELECT next_offset FROM partition_owners WHERE partition = 3")
    rest = [record for record in batches[3] if record.offset >= offset]
    await heir.handle(3, rest)
    assert not [
        error for error in results if error is not None and not isinstance(error, DiedError)
    ]
    assert await at.said() == [f"system: {GREETED}", f"system: {AWAY}"]
    assert await stage.value("SELECT count(*) FROM messages WHERE direction = 'inbound'") == 10
    assert await at.sends() == 2
    causes = await stage.all("SELECT DISTINCT automation_cause FROM messages")
    assert len(causes) == 3
    assert await stage.value("SELECT count(*) FROM enquiries") == 1


def records(stage: Inbound, partition: int, count: int) -> list[Any]:
    """Return the same events of one contact on a partition: everybody may meet them first."""
    items = [
        {
            "sender": {"id": VISITOR},
            "recipient": {"id": PAGE},
            "timestamp": round(stage.clock.now().timestamp() * 1000),
            "message": {"mid": f"m_{n}", "text": f"hello {n}"},
        }
        for n in range(count)
    ]
    body = json.dumps({"object": "page", "entry": [{"id": PAGE, "messaging": items}]}).encode()
    events = normalise(body, meta_app_id=APP, received_at=stage.clock.now()).events
    return [
        replace(stage.record(each), partition=partition, offset=offset)
        for offset, each in enumerate(events)
    ]


class TestStopping:
    async def talked_out(self, at: Automation) -> None:
        bot = await at.bot(rule("fallback", "Beep."))
        await at.channel(bot=bot, welcome=False)
        await at.says(*["boop"] * (MOST_MESSAGES + 2))

    async def test_more_than_ten_within_a_minute_stop_automation(
        self, at: Automation, stage: Inbound
    ) -> None:
        await self.talked_out(at)
        assert await at.said() == ["bot: Beep."] * MOST_MESSAGES
        told = [each for each in await stage.event_types() if each.startswith("conversation")]
        assert told == ["conversation.automation_paused"]

    async def test_fewer_in_a_minute_go_on(self, at: Automation, stage: Inbound) -> None:
        await at.channel(bot=await at.bot(rule("fallback", "Beep.")), welcome=False)
        for _ in range(3):
            await at.says(*["boop"] * MOST_MESSAGES)
            stage.clock.advance(timedelta(seconds=61))
        assert len(await at.said()) == 3 * MOST_MESSAGES

    async def test_it_goes_on_a_day_later(self, at: Automation, stage: Inbound) -> None:
        await self.talked_out(at)
        stage.clock.advance(PAUSE - timedelta(seconds=1))
        await at.says("boop")
        assert len(await at.said()) == MOST_MESSAGES
        stage.clock.advance(timedelta(seconds=1))
        await at.says("boop")
        assert len(await at.said()) == MOST_MESSAGES + 1

    async def test_it_goes_on_when_an_agent_has_written(
        self, at: Automation, stage: Inbound
    ) -> None:
        await self.talked_out(at)
        async with stage.database.unit_of_work() as work:
            conversation_id = await stage.value("SELECT id FROM conversations")
            locked = await lock_conversations(work, [conversation_id], account_id=stage.account)
            conversation = locked[conversation_id]
            channel = await get_channel(work.connection, stage.account, conversation.channel_id)
            assert channel is not None
            outgoing = Outgoing(
                content={"type": "text", "text": "Hi"},
                author_kind=AuthorKind.AGENT,
                author_id=ids.new_id(ids.AGENT),
            )
            await accept_message(work, conversation, channel, outgoing)
        await at.says("boop")
        assert (await at.said())[-2:] == ["agent: Hi", "bot: Beep."]
