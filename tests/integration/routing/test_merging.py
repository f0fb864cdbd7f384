"""Somebody known by a plug-in's `user_ref` turns out to be a contact who has written before."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.support.desk import AllShards
from tests.support.inbound import PAGE, VISITOR, Inbound, inbound

from gateway.db.channels import get_channel
from gateway.db.conversations import lock_conversations
from gateway.db.sending import find_recipients
from gateway.db.wakeups import Wakeups
from gateway.domain.message import AuthorKind
from gateway.messaging.acceptance import Outgoing, accept_message
from gateway.messaging.erasure import request_erasure
from routing.timers import TimerWorker

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

REF = {"prior_message": {"source": "checkbox_plugin", "identifier": "cb-77"}}


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Inbound]:
    async with inbound(database_url) as opened:
        yield opened


def from_plugin(stage: Inbound, words: str) -> dict[str, Any]:
    item = stage.message(words)
    return {**item, "sender": {"user_ref": "cb-77"}, "recipient": {"id": PAGE}}


async def contact(stage: Inbound, source_contact_id: str) -> Any:
    return await stage.one(
        "SELECT c.*, v.id AS conversation_id FROM contacts c JOIN conversations v"
        " ON v.contact_id = c.id WHERE c.source_contact_id = :id",
        id=source_contact_id,
    )


async def answer(stage: Inbound, channel_id: str, conversation_id: str) -> str:
    """Let an answer be on its way, which nobody knows the outcome of yet."""
    async with stage.database.unit_of_work() as work:
        locked = await lock_conversations(work, [conversation_id], account_id=stage.account)
        channel = await get_channel(work.connection, stage.account, channel_id)
        assert channel is not None
        outgoing = Outgoing(
            content={"type": "text", "text": "answer"}, author_kind=AuthorKind.SYSTEM
        )
        message = await accept_message(work, locked[conversation_id], channel, outgoing)
    await stage.execute("UPDATE messages SET status = 'sending' WHERE id = :id", id=message.id)
    await stage.execute(
        "UPDATE deliveries SET status = 'sending', attempt = 1 WHERE message_id = :id",
        id=message.id,
    )
    return message.id


async def timers(stage: Inbound) -> None:
    await TimerWorker(stage.database, AllShards(), Wakeups("")).run_due()


async def merged(stage: Inbound) -> tuple[Any, Any, str]:
    """Let both write, and then the one turn out to be the other; return them and an answer."""
    channel_id = await stage.channel()
    await stage.feed(stage.message("as a visitor"))
    stage.clock.advance(timedelta(hours=20))
    await stage.feed(from_plugin(stage, "by the plug-in"))
    former = await contact(stage, "ref.cb-77")
    await stage.execute(
        "UPDATE contacts SET name = 'Ann', attributes = '{\"tier\": \"gold\"}' WHERE id = :id",
        id=former.id,
    )
    message_id = await answer(stage, channel_id, former.conversation_id)
    stage.clock.advance(timedelta(hours=1))
    known = {**stage.message("known again"), **REF}
    await stage.feed(stage.message("beside", visitor="74000009"), known, known)
    await timers(stage)
    return former, await contact(stage, VISITOR), message_id


async def test_two_that_are_one_are_merged_and_lose_nothing(stage: Inbound) -> None:
    former, into, message_id = await merged(stage)
    assert (await contact(stage, "ref.cb-77")).merged_into == into.id
    assert (into.name, into.attributes) == ("Ann", {"tier": "gold"})
    # What was said stands where it was said, each message once.
    said = await stage.all(
        "SELECT conversation_id, content ->> 'text' AS words FROM messages ORDER BY accepted_at"
    )
    assert [tuple(row) for row in said if row.words != "beside"] == [
        (into.conversation_id, "as a visitor"),
        (former.conversation_id, "by the plug-in"),
        (former.conversation_id, "answer"),
        (into.conversation_id, "known again"),
    ]
    # One enquiry is alive, and the person has both.
    enquiries = await stage.all(
        "SELECT status, close_reason, contact_id FROM enquiries WHERE conversation_id = ANY(:ids)"
        " ORDER BY status",
        ids=[former.conversation_id, into.conversation_id],
    )
    assert [(row.status, row.close_reason) for row in enquiries] == [
        ("closed", "contact-merged"),
        ("open", None),
    ]
    assert {row.contact_id for row in enquiries} == {into.id}
    told = await stage.all(
        "SELECT data -> 'contact' AS contact FROM events"
        " WHERE type = 'gateway.contact.updated.v1' ORDER BY sequence"
    )
    assert [(row.contact["id"], row.contact["merged_into"]) for row in told] == [
        (into.id, None),
        (former.id, into.id),
    ]
    # What is on its way goes to the person, and the echo tells of it.
    async with stage.database.unit_of_work() as work:
        recipients = await find_recipients(work.connection, {former.conversation_id})
    assert recipients[former.conversation_id].source_contact_id == VISITOR
    await stage.feed(stage.echo(mid="m_answer", metadata=f"{message_id}.1"))
    status = await stage.value("SELECT status FROM messages WHERE id = :id", id=message_id)
    assert status == "sent"
    # Whatever still comes by the former name is theirs.
    await stage.feed(from_plugin(stage, "by the plug-in again"))
    where = "SELECT conversation_id FROM messages WHERE content ->> 'text' = :words"
    assert await stage.value(where, words="by the plug-in again") == into.conversation_id
    assert await stage.dead_letters() == []


async def test_an_action_by_either_name_opens_the_window(stage: Inbound) -> None:
    channel_id = await stage.channel()
    await stage.feed(stage.message("as a visitor"))
    stage.clock.advance(timedelta(hours=30))
    await stage.feed(from_plugin(stage, "by the plug-in"))
    acted_at = (await contact(stage, "ref.cb-77")).created_at
    # It came late: the plug-in's message is newer.
    known = {**stage.message("known", at=acted_at - timedelta(hours=2)), **REF}
    await stage.feed(known)
    windows = await stage.all("SELECT last_action_at FROM conversations")
    assert {row.last_action_at for row in windows} == {acted_at}
    assert await stage.value("SELECT count(*) FROM contacts WHERE merged_into IS NULL") == 1
    assert channel_id


async def test_both_are_erased_together(stage: Inbound) -> None:
    former, into, _ = await merged(stage)
    async with stage.database.unit_of_work() as work:
        assert await request_erasure(work, stage.account, former.id)
        assert not await request_erasure(work, stage.account, into.id)
    await timers(stage)
    stage.clock.advance(timedelta(seconds=31))
    await timers(stage)
    words = await stage.all(
        "SELECT content ->> 'text' AS words FROM messages WHERE content ->> 'type' = 'text'"
    )
    assert [row.words for row in words] == ["beside"]
    names = await stage.all("SELECT source_contact_id FROM contacts ORDER BY 1")
    assert [row.source_contact_id.partition(":")[0] for row in names] == [
        "74000009",
        "erased",
        "erased",
    ]
