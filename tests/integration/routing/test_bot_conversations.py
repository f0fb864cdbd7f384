"""Bots in conversations: what they answer, by which rules, and how they give an enquiry away."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.support.automation import AWAY, Automation, rule
from tests.support.inbound import Inbound, inbound

from gateway.db.media_links import MediaLinks
from gateway.domain import ids
from routing import commands
from routing.enquiries import Actor

API = Actor("api")


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Inbound]:
    async with inbound(database_url) as stage:
        yield stage


@pytest.fixture
def at(stage: Inbound, database_url: str) -> Automation:
    return Automation(stage, database_url)


MENU = {
    "type": "text",
    "text": "What is it about?",
    "quick_replies": [{"content_type": "text", "title": "Hours", "payload": "HOURS"}],
}
MENU_RULE = {"when": {"kind": "first_message"}, "messages": [MENU], "then": None}
HOURS = rule("payload", "Nine to six.", values=["HOURS"])
PEOPLE = rule("keyword", "One moment.", values=["human"], then="hand_over")
BYE = rule("keyword", "Goodbye!", values=["bye", "au revoir"], then="close")
SHRUG = rule("fallback", "Pardon?")


async def test_a_conversation_with_a_bot(at: Automation, stage: Inbound) -> None:
    bot = await at.bot(MENU_RULE, HOURS, PEOPLE, BYE, SHRUG)
    await at.channel(bot=bot, welcome=False)
    await at.says("hello")
    await stage.feed(stage.message("Hours", quick_reply={"payload": "HOURS"}))
    await at.presses("HOURS")
    await at.says("what?", "Au  Revoir, robot")
    assert await at.talk() == [
        "contact: hello",
        "bot: What is it about?",
        "contact: Hours",
        "bot: Nine to six.",
        "contact: HOURS",
        "bot: Nine to six.",
        "contact: what?",
        "bot: Pardon?",
        "contact: Au  Revoir, robot",
        "bot: Goodbye!",
    ]
    menu = await stage.one("SELECT * FROM messages WHERE author_kind = 'bot' LIMIT 1")
    assert (menu.author_id, menu.author_name, menu.content) == (bot, "Robot", MENU)
    enquiry = await stage.one("SELECT * FROM enquiries")
    assert (enquiry.status, enquiry.close_reason) == ("closed", "bot")
    assert enquiry.first_response_at is not None
    closed = await stage.one("SELECT data FROM events WHERE type = 'gateway.enquiry.closed.v1'")
    assert closed.data["actor"] == {"kind": "bot", "id": bot}
    assert {row.enquiry_id for row in await stage.all("SELECT enquiry_id FROM messages")} == {
        enquiry.id
    }


async def test_all_of_it_in_one_transaction_is_the_same(at: Automation, stage: Inbound) -> None:
    await at.channel(bot=await at.bot(MENU_RULE, BYE, SHRUG), welcome=False)
    await stage.feed(*(stage.message(text) for text in ("hello", "what?", "bye")))
    assert await at.said() == ["bot: What is it about?", "bot: Pardon?", "bot: Goodbye!"]
    assert await stage.value("SELECT status FROM enquiries") == "closed"
    assert await stage.value("SELECT count(*) FROM dead_letters") == 0


async def test_sends_leave_in_the_order_of_the_talk(at: Automation, stage: Inbound) -> None:
    bot = await at.bot(rule("first_message", "One.", "Two.", then="hand_over"))
    await at.channel(await at.agent("offline"), bot=bot)
    await at.says("hello")
    rows = await stage.all(
        "SELECT m.content ->> 'text' AS text FROM deliveries d JOIN messages m"
        " ON m.id = d.message_id ORDER BY d.ordinal"
    )
    assert [row.text for row in rows] == ["Welcome to A channel!", "One.", "Two.", AWAY]
    assert await at.said() == [
        "system: Welcome to A channel!",
        "bot: One.",
        "bot: Two.",
        f"system: {AWAY}",
    ]


async def test_a_conversation_ends_on_the_version_it_began_with(
    at: Automation, stage: Inbound
) -> None:
    bot = await at.bot(BYE, rule("fallback", "First version."))
    await at.channel(bot=bot, welcome=False)
    await at.says("hello")
    await at.bot_says(bot, 2, rule("fallback", "Second version."))
    await at.says("hello?", "bye")
    assert (await at.said())[1:] == ["bot: First version.", "bot: Goodbye!"]
    await at.says("hello again")
    assert (await at.said())[-1] == "bot: Second version."


async def test_a_deleted_bot_ends_its_conversations(at: Automation, stage: Inbound) -> None:
    bot = await at.bot(BYE, SHRUG)
    await at.channel(bot=bot, welcome=False)
    await at.says("hello")
    await at.change("bots", bot, deleted_at=stage.clock.now())
    await at.says("hm", "bye")
    assert await at.said() == ["bot: Pardon?", "bot: Pardon?", "bot: Goodbye!"]


async def test_what_a_channel_cannot_say_is_left_out(at: Automation, stage: Inbound) -> None:
    """A card that was kept before Meta's limits were known better; a text that cannot be cut."""
    card = {"template_type": "generic", "elements": [{"title": "Only a title"}]}
    odd = rule("first_message", "Before.", "x" + "\u0301" * 2001, "After.")
    odd["messages"].insert(1, {"type": "template", "template": card})
    bot = await at.bot(odd, SHRUG)
    await at.channel(bot=bot, welcome=False)
    await at.says("hello", "what?")
    assert await at.said() == ["bot: Before.", "bot: After.", "bot: Pardon?"]
    lines = await stage.all(
        "SELECT actor, data FROM timeline_entries WHERE type = 'content_left_out'"
        " ORDER BY sequence, position"
    )
    assert [(line.actor["id"], line.data["faults"]) for line in lines] == [
        (bot, [{"pointer": "/content/template/elements/0", "code": "invalid"}]),
        (bot, [{"pointer": "/content/text", "code": "text-too-long"}]),
    ]
    assert await stage.value("SELECT count(*) FROM dead_letters") == 0


async def test_a_bot_hands_over_to_people(at: Automation, stage: Inbound) -> None:
    agent = await at.agent()
    await at.channel(agent, bot=await at.bot(PEOPLE, SHRUG), welcome=False)
    await at.says("hello", "a HUMAN, please!")
    assert await at.said() == ["bot: Pardon?", "bot: One moment."]
    enquiry = await stage.one("SELECT * FROM enquiries")
    assert (enquiry.status, enquiry.destination["id"]) == ("offered", agent)
    assert (await stage.event_types())[-3:] == [
        "message.received",
        "message.accepted",
        "enquiry.transferred",
    ]
    # It has nothing more to say.
    await at.says("hello?")
    assert len(await at.said()) == 2


async def test_nobody_is_there_to_take_it(at: Automation, stage: Inbound) -> None:
    bot = await at.bot(PEOPLE, SHRUG)
    await at.channel(await at.agent("offline"), bot=bot, welcome=False, custom_info="Info")
    await at.says("hello", "human")
    assert await at.said() == ["bot: Pardon?", "bot: One moment.", f"system: {AWAY}"]
    lines = await stage.all("SELECT type FROM timeline_entries ORDER BY sequence, position")
    assert [line.type for line in lines] == [
        "opened",
        "accepted",
        "transferred",
        "missed",
        "bot_message",
    ]


async def test_bots_that_hand_over_to_one_another_end_with_people(
    at: Automation, stage: Inbound
) -> None:
    first = await at.bot(rule("fallback", "Ask the other.", then="hand_over"))
    second = await at.bot(rule("first_message", "Ask somebody.", then="hand_over"))
    agent = await at.agent()
    await at.channel(first, second, agent, welcome=False)
    await at.says("hello")
    assert await at.said() == ["bot: Ask the other.", "bot: Ask somebody."]
    enquiry = await stage.one("SELECT * FROM enquiries")
    assert (enquiry.status, enquiry.destination["id"]) == ("offered", agent)


async def test_a_bot_that_gets_it_later_answers_what_waits(at: Automation, stage: Inbound) -> None:
    bot = await at.bot(rule("keyword", "Nine to six.", values=["hours"]), SHRUG)
    await at.channel(await at.agent(), bot)
    await at.says("hello", "what are your hours?")
    stage.clock.advance(timedelta(seconds=61))
    await at.timers()
    assert (await at.said())[1:] == ["bot: Nine to six."]
    assert await stage.value("SELECT handled_by FROM enquiries") == "bot"


async def test_a_bot_that_gets_what_was_answered_waits(at: Automation, stage: Inbound) -> None:
    bot = await at.bot(rule("first_message", "Hello, I am a bot."), SHRUG)
    agent = await at.agent()
    await at.channel(agent, welcome=False)
    await at.says("hello")
    enquiry_id = await stage.value("SELECT id FROM enquiries")
    async with stage.database.unit_of_work() as work:
        await commands.accept(work, stage.account, enquiry_id, agent_id=agent)
    await stage.execute(
        "INSERT INTO messages (account_id, id, channel_id, conversation_id, sequence, direction,"
        " author_kind, content, status, occurred_at, accepted_at) SELECT account_id, :id,"
        " channel_id, conversation_id, 100, 'outbound', 'agent', '{}', 'sent', :now, :now"
        " FROM messages",
        id=ids.new_id(ids.MESSAGE),
        now=stage.clock.now(),
    )
    await stage.execute("UPDATE conversations SET next_seq = 101")
    async with stage.database.unit_of_work() as work:
        await commands.transfer(work, stage.account, enquiry_id, destination_id=bot, actor=API)
    assert not [words for words in await at.said() if words.startswith("bot")]
    await at.says("hm?")
    assert (await at.said())[-1] == "bot: Pardon?"


async def test_it_does_not_talk_over_a_person(at: Automation, stage: Inbound) -> None:
    await at.channel(bot=await at.bot(BYE, SHRUG), welcome=False)
    await at.says("hello")
    await stage.feed(stage.echo(mid="m_page", app_id="999", text_="I have it."))
    await at.says("thank you", "bye")
    assert await at.said() == ["bot: Pardon?", "page: I have it."]
    assert await stage.value("SELECT status FROM enquiries") == "ongoing"


async def test_a_stopped_bot_still_hands_over(at: Automation, stage: Inbound) -> None:
    await at.channel(await at.agent(), bot=await at.bot(PEOPLE, SHRUG), welcome=False)
    await at.says("hello")
    await stage.execute("UPDATE conversations SET automation_paused_at = :at", at=stage.clock.now())
    await at.says("hm?", "human")
    assert await at.said() == ["bot: Pardon?"]
    assert await stage.value("SELECT status FROM enquiries") == "offered"


async def test_long_texts_are_sent_in_parts_and_lost_media_is_left_out(
    at: Automation, stage: Inbound
) -> None:
    gone = {"type": "image", "media_id": ids.new_id(ids.MEDIA)}
    answer = rule("fallback", "one two three") | {
        "messages": [gone, {"type": "text", "text": "one two three"}]
    }
    channel = await at.channel(bot=await at.bot(answer), welcome=False)
    await at.change("channels", channel, text_limit=7)
    await at.says("hello")
    assert await at.said() == ["bot: one two", "bot: three"]


async def test_uploaded_media_is_sent_by_its_address(at: Automation, stage: Inbound) -> None:
    media_id = ids.new_id(ids.MEDIA)
    await stage.execute(
        "INSERT INTO media (account_id, id, mime_type, size, sha256, path, created_at)"
        " VALUES (:account, :id, 'image/png', 1, 'abc', 'x', :now)",
        account=stage.account,
        id=media_id,
        now=stage.clock.now(),
    )
    stage.database.links = MediaLinks(stage.database.keyring, public_url="https://gw.example/")
    answer = rule("fallback") | {"messages": [{"type": "image", "media_id": media_id}]}
    await at.channel(bot=await at.bot(answer), welcome=False)
    await at.says("hello")
    content = await stage.value("SELECT content FROM messages WHERE author_kind = 'bot'")
    assert (content["media_id"], content["mime_type"]) == (media_id, "image/png")
    told = await stage.value(
        "SELECT data FROM events WHERE type = 'gateway.message.accepted.v1'"
        " AND data #>> '{message,content,media_id}' IS NOT NULL"
    )
    # The address is made anew whenever it is shown.
    assert "url" not in content
    shown = told["message"]["content"]["url"]
    assert shown.startswith(f"https://gw.example/v1/media/{media_id}/content?expires=")


async def test_an_endpoint_hears_a_conversation_in_its_order(
    at: Automation, stage: Inbound
) -> None:
    endpoint = await at.endpoint()
    await stage.execute("UPDATE endpoints SET event_types = '{*}'")
    await at.channel(bot=await at.bot(SHRUG))
    await at.says("hello")
    rows = await stage.all(
        "SELECT e.type, e.sequence FROM deliveries d JOIN events e ON e.id = d.event_id"
        " WHERE d.target_id = :endpoint AND e.conversation_id IS NOT NULL ORDER BY d.ordinal",
        endpoint=endpoint,
    )
    assert [row.sequence for row in rows] == sorted(row.sequence for row in rows)
    assert rows[0].type == "gateway.message.received.v1"
    assert json.dumps([row.type for row in rows]).count("message.accepted") == 2
