"""Whoever else answers on a thread: people in the Page's inbox, and other apps."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.support.inbound import APP, Inbound, inbound

from gateway.domain import ids

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
INBOX = "263902037430900"
OTHER = "999"


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Inbound]:
    async with inbound(database_url) as stage:
        await stage.channel()
        yield stage


async def _owner(stage: Inbound) -> str:
    return str(await stage.value("SELECT thread_owner FROM conversations"))


async def _changes(stage: Inbound) -> list[tuple[str, str]]:
    """Return from whom to whom the thread went, as was told outside."""
    rows = await stage.all(
        "SELECT data FROM events WHERE type = 'gateway.conversation.thread_changed.v1'"
        " ORDER BY sequence"
    )
    return [(row.data["previous_owner"], row.data["thread_owner"]) for row in rows]


async def _bot(stage: Inbound, *rules: dict[str, Any]) -> None:
    """Have the channel answered by a bot."""
    bot = ids.new_id(ids.BOT)
    given = {"account": stage.account, "id": bot, "now": stage.clock.now()}
    await stage.execute(
        "INSERT INTO bots (account_id, id, name, created_at, updated_at)"
        " VALUES (:account, :id, 'Robot', :now, :now)",
        **given,
    )
    await stage.execute(
        "INSERT INTO bot_versions (account_id, bot_id, version, rules, created_at)"
        " VALUES (:account, :id, 1, CAST(:rules AS jsonb), :now)",
        rules=json.dumps(rules),
        **given,
    )
    await stage.execute(
        "UPDATE channels SET link = jsonb_build_object('mode', 'bot', 'bot_id', CAST(:id AS text))",
        id=bot,
    )


async def _said_by_bot(stage: Inbound) -> int:
    return int(await stage.value("SELECT count(*) FROM messages WHERE author_kind = 'bot'"))


class TestRobots:
    async def test_a_person_who_answers_is_never_talked_over(self, stage: Inbound) -> None:
        await _bot(
            stage,
            {"when": {"kind": "fallback"}, "messages": [{"type": "text", "text": "I am a bot."}]},
        )
        await stage.feed(stage.message("one"))
        assert await _said_by_bot(stage) == 1
        await stage.feed(stage.echo(mid="m_person", app_id=INBOX))
        # What was not sent yet is not sent any more.
        status = await stage.value("SELECT status FROM messages WHERE author_kind = 'bot'")
        assert status == "failed"
        await stage.feed(stage.message("two"))
        stage.clock.advance(23 * HOUR)
        await stage.feed(stage.echo(mid="m_again", app_id=INBOX), stage.message("three"))
        stage.clock.advance(23 * HOUR)
        await stage.feed(stage.message("four"))
        assert await _said_by_bot(stage) == 1
        # A day after that person's last word.
        stage.clock.advance(HOUR)
        await stage.feed(stage.message("five"))
        assert await _said_by_bot(stage) == 2

    async def test_nor_is_one_who_answers_first(self, stage: Inbound) -> None:
        await stage.feed(stage.echo(mid="m_person", app_id=INBOX))
        await _bot(
            stage,
            {"when": {"kind": "fallback"}, "messages": [{"type": "text", "text": "I am a bot."}]},
        )
        stage.clock.advance(HOUR)
        await stage.feed(stage.message("hello"))
        assert await _said_by_bot(stage) == 0

    async def test_what_another_app_has_opens_nothing_and_is_heard(self, stage: Inbound) -> None:
        await _bot(
            stage,
            {"when": {"kind": "fallback"}, "messages": [{"type": "text", "text": "I am a bot."}]},
        )
        await stage.feed(stage.message("one"), standby=True)
        assert await stage.value("SELECT count(*) FROM enquiries") == 0
        assert await stage.value("SELECT count(*) FROM messages") == 1
        assert await _said_by_bot(stage) == 0
        stage.clock.advance(HOUR)
        await stage.feed(stage.message("two"))
        assert await _changes(stage) == [("idle", "other_app"), ("other_app", "us")]
        assert await _said_by_bot(stage) == 1


class TestWhoOwnsTheThread:
    async def test_what_comes_in_standby_renews_it(self, stage: Inbound) -> None:
        for _ in range(3):
            await stage.feed(stage.message(), standby=True)
            stage.clock.advance(23 * HOUR)
        since = await stage.value("SELECT thread_owner_since FROM conversations")
        assert since == stage.clock.now() - 23 * HOUR
        assert await _changes(stage) == [("idle", "other_app")]

    async def test_after_a_day_it_is_idle_and_told_so_with_the_next_change(
        self, stage: Inbound
    ) -> None:
        await stage.feed(stage.message(), standby=True)
        stage.clock.advance(DAY)
        await stage.feed(stage.message(), standby=True)
        stage.clock.advance(HOUR)
        await stage.feed(stage.echo(mid="m_person", app_id=INBOX))
        stage.clock.advance(DAY)
        await stage.feed(stage.echo(mid="m_again", app_id=INBOX))
        assert await _changes(stage) == [
            ("idle", "other_app"),
            ("idle", "other_app"),
            ("other_app", "page_inbox"),
            ("idle", "page_inbox"),
        ]

    async def test_in_standby_the_inbox_keeps_what_it_has_for_a_day(self, stage: Inbound) -> None:
        await stage.feed(stage.echo(mid="m_person", app_id=INBOX))
        stage.clock.advance(23 * HOUR)
        await stage.feed(stage.message(), standby=True)
        assert await _owner(stage) == "page_inbox"
        stage.clock.advance(DAY)
        await stage.feed(stage.message(), standby=True)
        assert await _owner(stage) == "other_app"

    @pytest.mark.parametrize(
        ("standby", "app", "owner"),
        [
            (True, OTHER, "other_app"),
            (True, INBOX, "page_inbox"),
            (False, OTHER, "page_inbox"),
        ],
    )
    async def test_an_echo_of_another_app_that_has_it_takes_nothing(
        self, stage: Inbound, *, standby: bool, app: str, owner: str
    ) -> None:
        await stage.feed(stage.message(), standby=True)
        await stage.feed(stage.echo(mid="m_echo", app_id=app), standby=standby)
        assert await _owner(stage) == owner
        message = await stage.one("SELECT * FROM messages WHERE direction = 'outbound'")
        assert (message.author_kind, message.author_id) == ("page", app)

    @pytest.mark.parametrize("key", ["pass_thread_control", "take_thread_control"])
    async def test_control_may_go_to_people(self, stage: Inbound, key: str) -> None:
        await stage.feed(stage.message())
        given = {"previous_owner_app_id": APP, "new_owner_app_id": INBOX}
        await stage.feed(stage.item({key: given}))
        assert await _owner(stage) == "page_inbox"
        stage.clock.advance(HOUR)
        await stage.feed(stage.item({key: given | {"new_owner_app_id": OTHER}}))
        assert await _owner(stage) == "other_app"
        stage.clock.advance(HOUR)
        await stage.feed(stage.item({key: given | {"new_owner_app_id": APP}}))
        assert await _owner(stage) == "us"
