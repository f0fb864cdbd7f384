"""What inbound events do: contacts, conversations, messages, marks, and whose they are."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.support.inbound import APP, PAGE, RULES, TOPIC, VISITOR, Inbound, inbound

from gateway.contracts.third_party import message_event, status_event
from gateway.db.conversations import lock_conversations
from gateway.db.dead_letters import headers_from_json
from gateway.db.messages import get_message
from gateway.db.parking import find_drainable
from gateway.domain import ids
from gateway.domain.message import MessageStatus
from gateway.messaging.transitions import Move, move_message, move_messages
from gateway.meta.normalise import normalise
from routing.inbound.draining import Drain

HOUR = timedelta(hours=1)


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Inbound]:
    async with inbound(database_url) as stage:
        yield stage


@pytest.fixture
async def channel(stage: Inbound) -> str:
    return await stage.channel()


async def _sent(stage: Inbound, *, at_seconds: int = 0, mid: str | None = None) -> str:
    """Add a message of ours that was sent; return its id."""
    conversation = await stage.one("SELECT * FROM conversations")
    message = ids.new_id(ids.MESSAGE)
    await stage.execute(
        """
        INSERT INTO messages (account_id, id, channel_id, conversation_id, sequence, direction,
          author_kind, content, status, source_message_id, platform_at, occurred_at, accepted_at)
        VALUES (:account, :id, :channel, :conversation, :sequence, 'outbound', 'agent',
          '{"type": "text", "text": "hi"}', 'sent', :mid, :at, :at, :at)
        """,
        account=conversation.account_id,
        id=message,
        channel=conversation.channel_id,
        conversation=conversation.id,
        sequence=1000 + at_seconds,
        mid=mid,
        at=stage.clock.now() + timedelta(seconds=at_seconds),
    )
    return message


async def _status(stage: Inbound, message: str) -> str:
    return str(await stage.value("SELECT status FROM messages WHERE id = :id", id=message))


async def _until_somebody_waits_for_a_lock(stage: Inbound) -> None:
    """Return once a statement in this database waits for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10):
        while not await stage.value(waiting):
            pass


async def _third_party_message(stage: Inbound, *, status: str, word: str) -> str:
    """Tell about a message of ours to a third party, by our id of it; return the id."""
    channel, now = await stage.channel(kind="third_party"), stage.clock.now()
    said = {"id": "t1", "contact": {"id": "c1"}, "type": "text", "text": "hello"}
    await stage.handle([message_event(channel, said, now)])
    message = await _sent(stage)
    await stage.execute("UPDATE messages SET status = :s WHERE id = :id", s=status, id=message)
    await stage.handle([status_event(channel, {"message_id": message, "status": word}, now)])
    return message


class TestMessages:
    async def test_the_first_message_makes_contact_conversation_and_enquiry(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message("hello"))

        contact = await stage.one("SELECT * FROM contacts")
        conversation = await stage.one("SELECT * FROM conversations")
        message = await stage.one("SELECT * FROM messages")
        enquiry = await stage.one("SELECT * FROM enquiries")
        assert (contact.channel_id, contact.source_contact_id) == (channel, VISITOR)
        assert conversation.contact_id == contact.id
        assert conversation.last_action_at == stage.clock.now()
        assert message.content == {"type": "text", "text": "hello", "attachments": []} | {
            name: value
            for name, value in message.content.items()
            if name not in ("type", "text", "attachments")
        }
        assert (message.status, message.author_kind) == ("received", "contact")
        assert message.enquiry_id == enquiry.id == conversation.enquiry_id
        assert enquiry.status == "open"
        assert await stage.event_types() == ["message.received", "enquiry.opened"]

    @pytest.mark.parametrize("kind", ["message", "echo", "reaction", "postback"])
    async def test_what_comes_of_an_event_is_of_its_trace(
        self, stage: Inbound, channel: str, kind: str
    ) -> None:
        await stage.feed(stage.message(mid="m_first"))
        reaction = {"mid": "m_first", "action": "react", "reaction": "love", "emoji": "❤"}
        item = {
            "message": stage.message("again"),
            "echo": stage.echo(mid="m_other", app_id="42"),
            "reaction": stage.item({"reaction": reaction}),
            "postback": stage.item({"postback": {"mid": "m_p", "title": "T", "payload": "P"}}),
        }[kind]
        body = json.dumps({"object": "page", "entry": [{"id": PAGE, "messaging": [item]}]})
        (event,) = normalise(body.encode(), meta_app_id=APP, received_at=stage.clock.now()).events
        trace = f"00-{'a' * 32}-{'b' * 16}-01"
        await stage.handle([replace(event, traceparent=trace)])
        newest = (
            "SELECT traceparent FROM events WHERE type LIKE :type ORDER BY sequence DESC LIMIT 1"
        )
        name = {"echo": "gateway.message.sent.v1", "reaction": "gateway.message.reacted.v1"}
        assert await stage.value(newest, type=name.get(kind, event.type)) == trace

    async def test_so_is_whom_it_makes_known_and_the_enquiry_that_it_opens(
        self, stage: Inbound, channel: str
    ) -> None:
        trace = f"00-{'a' * 32}-{'b' * 16}-01"
        item = stage.message("hello")
        body = json.dumps({"object": "page", "entry": [{"id": PAGE, "messaging": [item]}]})
        (event,) = normalise(body.encode(), meta_app_id=APP, received_at=stage.clock.now()).events
        await stage.handle([replace(event, traceparent=trace)])
        told = await stage.all("SELECT type, traceparent FROM events ORDER BY type")
        assert {row.traceparent for row in told} == {trace}
        assert {row.type.split(".")[1] for row in told} == {"contact", "enquiry", "message"}

    async def test_the_same_item_again_has_no_effect(self, stage: Inbound, channel: str) -> None:
        item = stage.message("hello")
        await stage.feed(item)
        await stage.feed(item)
        await stage.feed(item, item)
        assert await stage.value("SELECT count(*) FROM messages") == 1
        assert await stage.value("SELECT count(*) FROM inbox") == 1
        assert await stage.dead_letters() == []

    async def test_the_same_id_with_another_original_is_a_conflict(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message("one", mid="m_same"))
        await stage.feed(stage.message("two", mid="m_same"))
        letter = await stage.one("SELECT reason, account_id FROM dead_letters")
        assert (letter.reason, letter.account_id) == ("id-conflict", stage.account)
        assert (await stage.one("SELECT content FROM messages")).content["text"] == "one"

    async def test_messages_that_continue_share_a_transaction_and_keep_their_order(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message("first"))
        await stage.feed(*[stage.message(f"text {n}") for n in range(50)])
        rows = await stage.all("SELECT content, sequence FROM messages ORDER BY sequence")
        assert [row.content["text"] for row in rows] == ["first"] + [f"text {n}" for n in range(50)]
        assert await stage.value("SELECT count(*) FROM enquiries") == 1
        commits = await stage.value("SELECT count(DISTINCT xmin::text) FROM messages")
        assert commits == 2

    async def test_two_contacts_have_two_enquiries(self, stage: Inbound, channel: str) -> None:
        await stage.feed(stage.message("a", visitor="1"), stage.message("b", visitor="2"))
        assert await stage.value("SELECT count(*) FROM enquiries") == 2

    async def test_a_message_seen_in_standby_and_in_messaging_is_stored_once(
        self, stage: Inbound, channel: str
    ) -> None:
        item = stage.message("hello", mid="m_1")
        await stage.feed(item, standby=True)
        await stage.feed(item)
        assert await stage.value("SELECT count(*) FROM messages") == 1

    async def test_standby_counts_for_the_window_and_opens_nothing(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message("hello"), standby=True)
        conversation = await stage.one("SELECT * FROM conversations")
        assert conversation.last_action_at == stage.clock.now()
        assert conversation.thread_owner == "other_app"
        assert await stage.value("SELECT count(*) FROM enquiries") == 0

    async def test_a_blocked_contact_is_heard_and_opens_nothing(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message("hello"))
        await stage.execute("UPDATE contacts SET blocked_at = now()")
        await stage.execute(
            "UPDATE enquiries SET status = 'closed', closed_at = :now", now=stage.clock.now()
        )
        stage.clock.advance(2 * HOUR)
        await stage.feed(stage.message("again"))
        assert await stage.value("SELECT count(*) FROM messages") == 2
        assert await stage.value("SELECT count(*) FROM enquiries") == 1

    async def test_a_late_message_takes_the_next_number_and_moves_no_enquiry(
        self, stage: Inbound, channel: str
    ) -> None:
        earlier = stage.clock.now()
        stage.clock.advance(HOUR)
        await stage.feed(stage.message("newer"))
        await stage.execute(
            "UPDATE enquiries SET status = 'closed', closed_at = :now", now=stage.clock.now()
        )
        await stage.feed(stage.message("older", at=earlier))
        late = await stage.one("SELECT * FROM messages WHERE late")
        assert late.content["text"] == "older"
        assert late.occurred_at == earlier
        assert late.sequence > 1
        conversation = await stage.one("SELECT * FROM conversations")
        assert conversation.last_inbound_at == stage.clock.now()
        assert await stage.value("SELECT count(*) FROM enquiries") == 1

    async def test_a_postback_is_a_message_under_its_own_name(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.item({"postback": {"mid": "m_p", "title": "Go", "payload": "GO"}}))
        message = await stage.one("SELECT * FROM messages")
        assert message.content["type"] == "postback"
        assert message.content["payload"] == "GO"
        assert await stage.event_types() == ["postback.received", "enquiry.opened"]

    async def test_an_edit_and_an_unsend_change_the_message(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message("hey", mid="m_1"))
        await stage.feed(
            stage.item({"message_edit": {"mid": "m_1", "text": "hello", "num_edit": "1"}})
        )
        assert (await stage.one("SELECT content FROM messages")).content["text"] == "hello"
        assert "message.edited" in await stage.event_types()

    async def test_a_reaction_opens_the_window_and_no_enquiry(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message("hello", mid="m_1"))
        await _sent(stage, mid="m_ours")
        stage.clock.advance(3 * HOUR)
        reaction = {"reaction": "love", "emoji": "❤️", "action": "react", "mid": "m_ours"}
        await stage.feed(stage.item({"reaction": reaction}))
        message = await stage.one(
            "SELECT reactions FROM messages WHERE source_message_id = 'm_ours'"
        )
        assert message.reactions == {"contact": {"reaction": "love", "emoji": "❤️"}}
        conversation = await stage.one("SELECT * FROM conversations")
        assert conversation.last_action_at == stage.clock.now()


class TestMarks:
    async def test_a_watermark_covers_what_was_sent_before_it(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message())
        before = await _sent(stage, at_seconds=-10)
        after = await _sent(stage, at_seconds=10)
        watermark = int(stage.clock.now().timestamp() * 1000)
        await stage.feed(stage.item({"delivery": {"watermark": watermark}}))
        assert await _status(stage, before) == "delivered"
        assert await _status(stage, after) == "sent"

    async def test_reading_moves_forward_only(self, stage: Inbound, channel: str) -> None:
        await stage.feed(stage.message())
        message = await _sent(stage)
        watermark = int(stage.clock.now().timestamp() * 1000)
        await stage.feed(stage.item({"read": {"watermark": watermark}}))
        assert await _status(stage, message) == "read"
        await stage.feed(stage.item({"delivery": {"watermark": watermark}}))
        assert await _status(stage, message) == "read"
        await stage.feed(stage.item({"read": {"watermark": watermark - 60_000}}))
        row = await stage.one("SELECT * FROM conversations")
        assert row.read_watermark == stage.clock.now()

    async def test_a_delivery_that_names_a_message_already_read_changes_nothing(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message())
        message = await _sent(stage, mid="m_ours")
        now = int(stage.clock.now().timestamp() * 1000)
        await stage.feed(stage.item({"read": {"watermark": now}}))
        await stage.feed(stage.item({"delivery": {"mids": ["m_ours"], "watermark": now}}))
        assert await _status(stage, message) == "read"
        assert await stage.dead_letters() == []

    async def test_a_mark_for_an_unknown_mid_waits_for_it(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message())
        earlier = int((stage.clock.now() - HOUR).timestamp() * 1000)
        mark = {"mids": ["m_later"], "watermark": earlier}
        await stage.feed(stage.item({"delivery": mark}))
        waiting = await stage.one("SELECT * FROM pending_marks")
        assert (waiting.source_message_id, waiting.kind) == ("m_later", "delivered")
        assert waiting.expires_at == stage.clock.now() + 24 * HOUR
        await stage.feed(stage.echo(mid="m_later", app_id="263902037430900"))
        assert (
            await stage.value("SELECT status FROM messages WHERE source_message_id = 'm_later'")
            == "delivered"
        )
        assert await stage.all("SELECT * FROM pending_marks") == []

    @pytest.mark.parametrize("before", ["accepted", "sending"])
    @pytest.mark.parametrize("kind", ["delivered", "failed"])
    async def test_a_third_partys_word_before_its_answer_waits_for_that(
        self, stage: Inbound, before: str, kind: str
    ) -> None:
        message = await _third_party_message(stage, status=before, word=kind)
        assert await _status(stage, message) == before
        async with stage.database.unit_of_work() as work:
            sent = await get_message(work.connection, stage.account, message)
            assert sent is not None
            locked = await lock_conversations(work, [sent.conversation_id], account_id=None)
            conversation = locked[sent.conversation_id]
            if before == "accepted":
                await move_message(work, conversation, sent, MessageStatus.SENT)
            else:
                await move_messages(
                    work, [Move(conversation=conversation, message=sent, target=MessageStatus.SENT)]
                )
        row = await stage.one("SELECT status, error FROM messages WHERE id = :id", id=message)
        assert row.status == kind
        assert (row.error or {}).get("code") == {"failed": "refused-by-third-party"}.get(kind)
        assert await stage.all("SELECT * FROM pending_marks") == []

    async def test_a_third_partys_word_ends_an_uncertainty(self, stage: Inbound) -> None:
        message = await _third_party_message(stage, status="uncertain", word="delivered")
        assert await _status(stage, message) == "delivered"
        assert (await stage.event_types())[-3:] == [
            "message.resolved",
            "message.sent",
            "message.delivered",
        ]


class TestOtherHands:
    async def test_an_echo_that_is_not_ours_takes_the_thread_and_the_enquiry(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message())
        await stage.feed(stage.echo(mid="m_inbox", app_id="263902037430900"))
        message = await stage.one("SELECT * FROM messages WHERE direction = 'outbound'")
        assert (message.author_kind, message.status) == ("page", "sent")
        conversation = await stage.one("SELECT * FROM conversations")
        assert conversation.thread_owner == "page_inbox"
        enquiry = await stage.one("SELECT * FROM enquiries")
        assert (enquiry.status, enquiry.handled_by) == ("ongoing", "page_inbox")
        assert "conversation.thread_changed" in await stage.event_types()

    async def test_an_echo_opens_no_window(self, stage: Inbound, channel: str) -> None:
        await stage.feed(stage.echo(mid="m_inbox", app_id="263902037430900"))
        assert (await stage.one("SELECT * FROM conversations")).last_action_at is None

    async def test_thread_control_says_who_owns_the_thread(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message())
        passed = {"new_owner_app_id": "999", "previous_owner_app_id": APP}
        await stage.feed(stage.item({"pass_thread_control": passed}))
        assert (await stage.one("SELECT * FROM conversations")).thread_owner == "other_app"
        stage.clock.advance(HOUR)
        taken = {"new_owner_app_id": APP, "previous_owner_app_id": "999"}
        await stage.feed(stage.item({"take_thread_control": taken}))
        assert (await stage.one("SELECT * FROM conversations")).thread_owner == "us"


class TestWhoseEvent:
    async def test_signed_by_another_app_is_a_dead_letter_of_the_instance(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message(), app="999")
        letter = await stage.one("SELECT reason, account_id FROM dead_letters")
        assert (letter.reason, letter.account_id) == ("foreign-app", None)
        assert await stage.all("SELECT * FROM messages") == []

    async def test_messages_of_a_page_that_nobody_owns_wait_for_it_in_order(
        self, stage: Inbound
    ) -> None:
        for n in range(3):
            await stage.feed(stage.message(f"text {n}"))
        assert await stage.value("SELECT count(*) FROM parked") == 3
        assert await stage.all("SELECT * FROM inbox") == []
        stage.clock.advance(timedelta(minutes=10))
        await stage.channel(connected_at=stage.clock.now())
        # A newer one queues up behind those that wait.
        await stage.feed(stage.message("text 3"))
        assert await stage.value("SELECT count(*) FROM parked") == 4

        await Drain(stage.database, topic=TOPIC, rules=RULES).sweep()

        rows = await stage.all("SELECT content FROM messages ORDER BY sequence")
        assert [row.content["text"] for row in rows] == [f"text {n}" for n in range(4)]
        assert await stage.value("SELECT count(*) FROM enquiries") == 1
        assert await stage.all("SELECT * FROM parked_keys") == []
        await stage.feed(stage.message("text 4"))
        assert await stage.value("SELECT count(*) FROM messages") == 5

    async def test_a_repeat_of_what_was_parked_has_no_second_effect(self, stage: Inbound) -> None:
        item = stage.message()
        await stage.feed(item)
        await stage.feed(item)
        await stage.channel()
        await Drain(stage.database, topic=TOPIC, rules=RULES).sweep()
        await stage.feed(item)
        assert await stage.value("SELECT count(*) FROM messages") == 1

    async def test_the_id_of_what_is_parked_with_another_original_is_a_conflict(
        self, stage: Inbound
    ) -> None:
        await stage.feed(stage.message("one", mid="m_same"))
        await stage.feed(stage.message("two", mid="m_same"))
        assert await stage.dead_letters() == ["id-conflict"]
        assert await stage.value("SELECT count(*) FROM parked") == 1

    async def test_a_suspended_channel_keeps_what_comes_and_still_hears_echoes(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message("before"))
        await stage.execute("UPDATE channels SET status = 'suspended'")
        await stage.feed(stage.message("meanwhile"), stage.echo(mid="m_x", app_id="1"))
        assert await stage.value("SELECT count(*) FROM parked") == 1
        assert await stage.value("SELECT count(*) FROM messages WHERE direction = 'outbound'") == 1
        drain = Drain(stage.database, topic=TOPIC, rules=RULES)
        assert await drain.sweep() == 0
        await stage.execute("UPDATE channels SET status = 'active'")
        assert await drain.sweep() == 1
        rows = await stage.all(
            "SELECT content FROM messages WHERE direction = 'inbound' ORDER BY sequence"
        )
        assert [row.content["text"] for row in rows] == ["before", "meanwhile"]

    async def test_a_suspended_channel_still_learns_what_became_of_its_messages(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message())
        unclear = await _sent(stage, at_seconds=60)
        sent = await _sent(stage, mid="m_ours")
        await stage.execute("UPDATE messages SET status = 'uncertain' WHERE id = :id", id=unclear)
        await stage.execute("UPDATE channels SET status = 'suspended'")
        now = int(stage.clock.now().timestamp() * 1000)
        await stage.feed(stage.item({"delivery": {"mids": ["m_ours"], "watermark": now}}))
        stage.clock.advance(HOUR)
        await stage.feed(stage.echo(mid="m_late", metadata=f"{unclear}.1"))
        assert await _status(stage, sent) == "delivered"
        assert await _status(stage, unclear) == "sent"

    async def test_an_echo_that_a_suspended_channel_knows_changes_nothing(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message())
        echo = stage.echo(mid="m_x", app_id="1")
        await stage.feed(echo)
        await stage.execute("UPDATE channels SET status = 'suspended'")
        await stage.execute("DELETE FROM inbox")
        await stage.feed(echo)
        assert await stage.dead_letters() == []
        assert await stage.value("SELECT count(*) FROM messages WHERE direction = 'outbound'") == 1

    async def test_what_waits_behind_a_key_holds_no_conversation_meanwhile(
        self, stage: Inbound, channel: str
    ) -> None:
        await stage.feed(stage.message("before"))
        await stage.execute("UPDATE channels SET status = 'suspended'")
        await stage.feed(stage.message("parked"))
        await stage.execute("UPDATE channels SET status = 'active'")
        # As whoever drains does: first the key, then the conversation.
        async with stage.engine.begin() as draining, asyncio.TaskGroup() as group:
            await draining.execute(text("SELECT 1 FROM parked_keys FOR UPDATE"))
            parking = group.create_task(stage.feed(stage.message("newer")))
            await _until_somebody_waits_for_a_lock(stage)
            await draining.execute(text("SELECT 1 FROM conversations FOR UPDATE NOWAIT"))
            await draining.rollback()
            await parking
        assert await stage.value("SELECT count(*) FROM parked") == 2

    async def test_what_waits_for_too_long_becomes_a_dead_letter(self, stage: Inbound) -> None:
        await stage.feed(stage.message())
        stage.clock.advance(timedelta(days=1, seconds=1))
        await Drain(stage.database, topic=TOPIC, rules=RULES).sweep()
        assert await stage.dead_letters() == ["parked-expired"]
        assert await stage.all("SELECT * FROM parked_keys") == []

    async def test_no_more_than_so_many_wait_for_a_source(self, stage: Inbound) -> None:
        for n in range(RULES.per_source + 2):
            await stage.feed(stage.message(visitor=str(n)))
        assert await stage.value("SELECT count(*) FROM parked") == RULES.per_source
        assert await stage.dead_letters() == ["parked-limit", "parked-limit"]
        # A key without anything waiting behind it would be looked at for nothing.
        assert await stage.value("SELECT count(*) FROM parked_keys") == RULES.per_source

    async def test_the_look_for_what_may_move_does_not_read_what_may_not(
        self, stage: Inbound
    ) -> None:
        await stage.execute(
            """
            INSERT INTO parked_keys
            SELECT 'messenger', 'p' || n % 20, 'c' || n FROM generate_series(1, 20000) AS n
            """
        )
        await stage.channel(source="p1", status="suspended")
        await stage.execute("ANALYZE parked_keys")
        async with stage.database.unit_of_work() as work:
            assert await find_drainable(work.connection, now=work.now, limit=200) == []
            # What a transaction has read itself is counted at once.
            read = await work.connection.execute(
                text(
                    "SELECT pg_stat_get_xact_tuples_returned('parked_keys'::regclass)"
                    " + pg_stat_get_xact_tuples_returned(indexrelid) FROM pg_index"
                    " WHERE indrelid = 'parked_keys'::regclass"
                )
            )
            assert read.scalar_one() < 1000

    async def test_what_arrived_before_the_page_moved_belongs_to_the_former_owner(
        self, stage: Inbound, channel: str
    ) -> None:
        item = stage.message("for the former")
        from_then = stage.clock.now()
        stage.clock.advance(HOUR)
        await stage.execute(
            "UPDATE channels SET holds_source = false, status = 'disconnected', freed_at = :at",
            at=stage.clock.now(),
        )
        other = ids.new_id(ids.ACCOUNT)
        await stage.execute(
            "INSERT INTO accounts (id, name, created_at, updated_at) VALUES (:id, 'B', :at, :at)",
            id=other,
            at=stage.clock.now(),
        )
        stage.clock.advance(HOUR)
        await stage.channel(account=other, connected_at=stage.clock.now())
        now, stage.clock._now = stage.clock.now(), from_then
        await stage.feed(item)
        stage.clock._now = now
        await stage.feed(stage.message("for the new one"))
        owners = {
            row.content["text"]: row.account_id
            for row in await stage.all("SELECT content, account_id FROM messages")
        }
        assert owners == {"for the former": stage.account, "for the new one": other}

    async def test_marks_and_echoes_of_a_page_that_nobody_owns_are_dropped(
        self, stage: Inbound
    ) -> None:
        await stage.feed(stage.item({"read": {"watermark": 1}}), stage.echo(mid="m_x", app_id="1"))
        assert await stage.all("SELECT * FROM parked") == []
        assert await stage.value("SELECT count(*) FROM inbox") == 2


async def test_an_unreadable_record_is_set_aside_and_the_next_goes_on(
    stage: Inbound, channel: str
) -> None:
    item = json.dumps({"entry": [{"id": PAGE, "messaging": [stage.message()]}], "object": "page"})
    events = normalise(item.encode(), meta_app_id=APP, received_at=stage.clock.now()).events
    sound = stage.record(events[0])
    damaged = replace(sound, value=b"{")
    await stage.handler.handle(0, [damaged, replace(sound, offset=1)])
    assert await stage.dead_letters() == ["value-not-json"]
    assert await stage.value("SELECT count(*) FROM messages") == 1


@pytest.mark.parametrize("milliseconds", [10**18, -(10**18)])
async def test_a_record_of_a_time_outside_the_calendar_is_set_aside(
    stage: Inbound, channel: str, milliseconds: int
) -> None:
    events = await stage.feed(stage.message())
    await stage.handler.handle(0, [replace(stage.record(events[0]), timestamp=milliseconds)])
    assert await stage.dead_letters() == ["time-malformed"]


async def test_a_header_whose_name_no_database_takes_stops_nothing(stage: Inbound) -> None:
    events = await stage.feed(stage.message("one"))
    await stage.execute("DELETE FROM parked")
    odd = ("a\0b", b"x")
    record = stage.record(events[0])
    parked = replace(record, headers=[*record.headers, odd])
    unreadable = replace(stage.record(events[0]), headers=[odd])
    await stage.handler.handle(0, [parked, unreadable])
    assert await stage.dead_letters() == ["header-missing"]
    headers = (await stage.one("SELECT record_headers FROM dead_letters")).record_headers
    assert headers_from_json(headers) == [odd]
    await stage.channel()
    assert await Drain(stage.database, topic=TOPIC, rules=RULES).sweep() == 1
    assert await stage.value("SELECT count(*) FROM messages") == 1
