"""Comments are kept, and who wrote one is known once the private reply's echo tells it."""

from collections.abc import AsyncIterator

import pytest
from tests.support.bodies import payload
from tests.support.inbound import APP, PAGE, VISITOR, Inbound, inbound

from gateway.db.channels import get_channel
from gateway.db.comments import lock_comment, note_reply
from gateway.db.first_contact import meet
from gateway.domain.conversation import commenter_name
from gateway.messaging.acceptance import Outgoing, accept_message
from gateway.meta.normalise import normalise

COMMENT = "1_2"


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Inbound]:
    async with inbound(database_url) as stage:
        yield stage


async def reply(stage: Inbound, channel_id: str) -> str:
    """Let a private reply to the comment be on its way, and return the message's id."""
    async with stage.database.unit_of_work() as work:
        channel = await get_channel(work.connection, stage.account, channel_id)
        assert channel is not None
        comment = await lock_comment(
            work.connection, stage.account, channel_id, COMMENT, now=work.now
        )
        _, conversation = await meet(work, channel, commenter_name(COMMENT), partition=3)
        outgoing = Outgoing(content={"type": "text", "text": "Thanks!"}, comment_id=COMMENT)
        message = await accept_message(work, conversation, channel, outgoing)
        await note_reply(work.connection, comment, message.id)
        return message.id


async def test_a_comment_is_kept_without_its_words(stage: Inbound) -> None:
    channel = await stage.channel(source="106540352242922")
    body = payload("messenger/comment")
    events = normalise(body, meta_app_id=APP, received_at=stage.clock.now()).events
    await stage.handle(events)
    kept = await stage.one("SELECT * FROM comments")
    assert (kept.channel_id, kept.comment_id, kept.author_id) == (channel, COMMENT, "99")
    assert kept.commented_at.timestamp() == 1795258795
    assert kept.message_id is None
    [event] = await stage.all("SELECT type FROM events")
    assert event.type == "gateway.comment.received.v1"
    removed = body.replace(b'"add"', b'"remove"').replace(b"1_2", b"9_9")
    await stage.handle(normalise(removed, meta_app_id=APP, received_at=stage.clock.now()).events)
    assert await stage.value("SELECT count(*) FROM comments") == 1


async def test_the_echo_tells_who_wrote_the_comment(stage: Inbound) -> None:
    channel_id = await stage.channel()
    message_id = await reply(stage, channel_id)
    await stage.feed(
        stage.message("before", visitor="74000009"),
        stage.echo(mid="m_reply", metadata=f"{message_id}.1"),
        stage.message("after", visitor="74000009"),
    )
    contact = await stage.one("SELECT * FROM contacts WHERE source_contact_id = :v", v=VISITOR)
    message = await stage.one("SELECT * FROM messages WHERE id = :id", id=message_id)
    assert (message.status, message.source_message_id) == ("sent", "m_reply")
    conversation = await stage.one(
        "SELECT * FROM conversations WHERE id = :id", id=message.conversation_id
    )
    assert (conversation.contact_id, conversation.inbound_partition) == (contact.id, 0)
    assert conversation.last_action_at is None
    told = await stage.all("SELECT data FROM events WHERE type = 'gateway.contact.updated.v1'")
    assert [each.data["contact"]["source_contact_id"] for each in told] == [VISITOR]
    # The answer comes into the same conversation, and opens its window.
    await stage.feed(stage.message("Hello"))
    answer = await stage.one("SELECT * FROM messages WHERE content ->> 'text' = 'Hello'")
    assert answer.conversation_id == message.conversation_id
    assert await stage.dead_letters() == []


async def test_who_had_written_before_keeps_their_conversation(stage: Inbound) -> None:
    channel_id = await stage.channel()
    await stage.feed(stage.message("Hello"))
    message_id = await reply(stage, channel_id)
    await stage.feed(stage.echo(mid="m_reply", metadata=f"{message_id}.1"))
    message = await stage.one("SELECT * FROM messages WHERE id = :id", id=message_id)
    assert message.status == "sent"
    before = await stage.one("SELECT * FROM messages WHERE content ->> 'text' = 'Hello'")
    assert message.conversation_id != before.conversation_id
    names = await stage.all("SELECT source_contact_id FROM contacts ORDER BY 1")
    assert [row.source_contact_id for row in names] == [VISITOR, commenter_name(COMMENT)]
    assert PAGE not in {row.source_contact_id for row in names}
