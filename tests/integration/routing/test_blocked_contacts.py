"""A blocked contact is heard, moves nothing and gets no answer, until somebody unblocks."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.support.inbound import Inbound, inbound

STATES = {
    "open": "status = 'open'",
    "offered": "status = 'offered'",
    "ongoing": "status = 'ongoing'",
    "closed": "status = 'closed', closed_at = :now, close_reason = 'requested'",
    "missed": "status = 'missed', missed_at = :now",
    "followed_up": "status = 'followed_up', followed_up_at = :now",
}


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Inbound]:
    async with inbound(database_url) as stage:
        channel = await stage.channel()
        await stage.execute(
            "UPDATE channels SET closed_enquiry_policy = 'never',"
            """ messages = '{"welcome": {"enabled": true, "text": "Welcome"},
                             "away": {"enabled": true, "text": "Away"}}' WHERE id = :id""",
            id=channel,
        )
        yield stage


async def test_whatever_the_enquiry_is(stage: Inbound) -> None:
    for number, (state, sets) in enumerate(STATES.items()):
        visitor = f"7400{number}"
        await stage.feed(stage.message("hello", visitor=visitor))
        contact = await stage.value(
            "SELECT id FROM contacts WHERE source_contact_id = :visitor", visitor=visitor
        )
        await stage.execute(
            "UPDATE contacts SET blocked_at = :now WHERE id = :id",
            id=contact,
            now=stage.clock.now(),
        )
        await stage.execute(
            f"UPDATE enquiries SET {sets} WHERE contact_id = :id",
            **({"now": stage.clock.now()} if ":now" in sets else {}),
            id=contact,
        )
        before = await stage.all("SELECT * FROM enquiries")
        answers = await stage.value("SELECT count(*) FROM messages WHERE direction = 'outbound'")
        types = await stage.event_types()
        stage.clock.advance(timedelta(minutes=1))

        await stage.feed(stage.message("again", visitor=visitor))

        assert await stage.all("SELECT * FROM enquiries") == before, state
        message = await stage.one(
            "SELECT m.* FROM messages m JOIN conversations c ON c.id = m.conversation_id"
            " WHERE c.contact_id = :id ORDER BY m.sequence DESC LIMIT 1",
            id=contact,
        )
        assert (message.content["text"], message.enquiry_id) == ("again", None)
        assert len(await stage.event_types()) == len(types) + 1
        outbound = "SELECT count(*) FROM messages WHERE direction = 'outbound'"
        assert await stage.value(outbound) == answers


async def test_who_is_blocked_before_the_first_word_opens_nothing_until_unblocked(
    stage: Inbound,
) -> None:
    await stage.feed(stage.item({"optin": {"ref": "x"}}))
    await stage.execute("UPDATE contacts SET blocked_at = :now", now=stage.clock.now())
    await stage.feed(stage.message("hello"), stage.message("hello?"))
    assert await stage.value("SELECT count(*) FROM messages") == 2
    assert await stage.value("SELECT count(*) FROM enquiries") == 0
    await stage.execute("UPDATE contacts SET blocked_at = NULL")
    stage.clock.advance(timedelta(minutes=1))
    await stage.feed(stage.message("still there?"))
    enquiry = await stage.one("SELECT * FROM enquiries")
    assert enquiry.status == "open"
    last = await stage.one("SELECT * FROM messages WHERE enquiry_id = :id", id=enquiry.id)
    assert last.content["text"] == "still there?"
