"""Messages in a newer release's words: their content, once, and nothing else."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict

import pytest
from tests.support.inbound import Inbound, inbound

from gateway.contracts.inbound import InboundEvent
from gateway.contracts.third_party import message_event
from routing.replaying import Tally, replay_some

OLDER_WORDS = {"type": "unsupported", "attachments": []}


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Inbound]:
    async with inbound(database_url) as stage:
        yield stage


async def _replay(
    stage: Inbound, *events: InboundEvent, current: str = "2", dry_run: bool = False
) -> dict[str, int]:
    tally = Tally()
    async with stage.database.unit_of_work() as work:
        records = [stage.record(event) for event in events]
        await replay_some(work, records, tally, dry_run=dry_run, current=current)
    return asdict(tally)


async def _forget_words(stage: Inbound) -> None:
    """Leave messages as an older release would have written them."""
    await stage.execute(
        "UPDATE messages SET content = CAST(:content AS jsonb)", content=json.dumps(OLDER_WORDS)
    )


async def _everything(stage: Inbound) -> list[list[tuple[object, ...]]]:
    tables = ("conversations", "enquiries", "events", "deliveries", "timers", "inbox")
    return [
        [tuple(row) for row in await stage.all(f"SELECT * FROM {table} ORDER BY 1, 2")]
        for table in tables
    ]


async def test_content_is_put_into_new_words_once_and_nothing_else_happens(stage: Inbound) -> None:
    await stage.channel()
    events = await stage.feed(stage.message("hello"), stage.message("again"))
    words = await stage.all("SELECT content FROM messages ORDER BY sequence")
    await _forget_words(stage)
    before = await _everything(stage)
    counted = {"records": 2, "older": 2, "changed": 2, "missing": 0}
    assert await _replay(stage, *events, dry_run=True) == counted
    assert await stage.value("SELECT DISTINCT content FROM messages") == OLDER_WORDS
    assert await _replay(stage, *events) == counted
    assert await stage.all("SELECT content FROM messages ORDER BY sequence") == words
    assert await _replay(stage, *events) == counted | {"changed": 0}
    assert await _everything(stage) == before


async def test_what_this_release_normalised_is_left_alone(stage: Inbound) -> None:
    await stage.channel()
    events = await stage.feed(stage.message("hello"))
    await _forget_words(stage)
    assert await _replay(stage, *events, current="1") == {
        "records": 1,
        "older": 0,
        "changed": 0,
        "missing": 0,
    }
    assert await stage.value("SELECT content FROM messages") == OLDER_WORDS


async def test_messages_of_a_third_party_are_too(stage: Inbound) -> None:
    channel = await stage.channel(kind="third_party")
    said = {"id": "t1", "contact": {"id": "c1"}, "type": "text", "text": "hello"}
    event = message_event(channel, said, stage.clock.now())
    await stage.handle([event])
    await _forget_words(stage)
    assert (await _replay(stage, event))["changed"] == 1
    assert (await stage.value("SELECT content FROM messages"))["text"] == "hello"


@pytest.mark.parametrize("gone", ["unsent", "erased", "expired"])
async def test_what_is_gone_stays_gone(stage: Inbound, gone: str) -> None:
    await stage.channel()
    events = await stage.feed(stage.message("hello"))
    await stage.execute(
        "UPDATE messages SET content = CAST(:content AS jsonb)", content=json.dumps({"type": gone})
    )
    assert (await _replay(stage, *events))["changed"] == 0
    assert await stage.value("SELECT content FROM messages") == {"type": gone}


async def test_what_was_edited_keeps_its_last_text(stage: Inbound) -> None:
    await stage.channel()
    events = await stage.feed(stage.message("hi"))
    await stage.execute(
        "UPDATE messages SET edited_at = now(), content ="
        """ '{"type": "unsupported", "attachments": [], "text": "hello", "edit_number": 2}'"""
    )
    assert (await _replay(stage, *events))["changed"] == 1
    content = await stage.value("SELECT content FROM messages")
    assert (content["type"], content["text"], content["edit_number"]) == ("text", "hello", 2)


async def test_what_we_added_to_attachments_stays(stage: Inbound) -> None:
    await stage.channel()
    picture = {"type": "image", "payload": {"url": "https://cdn.example/1.png"}}
    events = await stage.feed(stage.message("look", attachments=[picture]))
    await stage.execute(
        "UPDATE messages SET content = jsonb_set(content - 'text',"
        " '{attachments,0,media_id}', '\"med_1\"')"
    )
    assert (await _replay(stage, *events))["changed"] == 1
    content = await stage.value("SELECT content FROM messages")
    assert content["text"] == "look"
    [attachment] = content["attachments"]
    assert attachment["media_id"] == "med_1"
    assert attachment["url"] == "https://cdn.example/1.png"


async def test_what_was_never_kept_is_counted_and_not_made(stage: Inbound) -> None:
    await stage.channel()
    events = await stage.feed(stage.message("hello"))
    await stage.execute("DELETE FROM messages")
    assert (await _replay(stage, *events))["missing"] == 1
    assert await stage.all("SELECT 1 FROM messages") == []
