"""What is past its account's retention is removed; what is younger, and others', stays."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.support.inbound import Inbound, inbound

from gateway.db.dead_letters import SetAside, set_aside
from gateway.db.media import Media, insert_media
from routing.retention import Retention

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Inbound]:
    async with inbound(database_url) as opened:
        await opened.channel()
        yield opened


async def published(stage: Inbound) -> None:
    await stage.execute(
        "UPDATE events e SET position = r.n FROM (SELECT id, row_number() OVER"
        " (ORDER BY created_at, sequence) AS n FROM events) r WHERE r.id = e.id"
    )


async def texts(stage: Inbound) -> list[str]:
    rows = await stage.all("SELECT content FROM messages ORDER BY sequence")
    return [row.content.get("text", row.content["type"]) for row in rows]


async def test_only_what_is_too_old_goes(stage: Inbound) -> None:
    await stage.feed(stage.message("old"), stage.message("as old"))
    async with stage.database.unit_of_work() as work:
        letter = SetAside(reason="poison", stage="routing", account_id=stage.account, value=b"old")
        await set_aside(work, [letter])
    for media_id in ("med_1", "med_2"):
        async with stage.database.unit_of_work() as work:
            file = Media(
                account_id=stage.account,
                id=media_id,
                mime_type="image/png",
                name=None,
                size=1,
                sha256="",
                path=f"{stage.account}/{media_id}",
                created_at=stage.clock.now(),
            )
            await insert_media(work.connection, file)
        stage.clock.advance(timedelta(days=14.5))
    await stage.feed(stage.message("young"))
    await published(stage)
    sweep = Retention(stage.database).sweep
    await sweep()
    assert await texts(stage) == ["old", "as old", "young"]
    await stage.execute("UPDATE accounts SET retention_days = 30")
    stage.clock.advance(timedelta(days=2))
    for _ in range(2):
        await sweep()
        assert await texts(stage) == ["expired", "expired", "young"]
    told = await stage.all(
        "SELECT data FROM events WHERE type LIKE 'gateway.message.%' ORDER BY sequence"
    )
    words = [row.data["message"]["content"] for row in told]
    assert [each.get("text", each["type"]) for each in words] == ["expired", "expired", "young"]
    assert await stage.dead_letters() == []
    assert await stage.value("SELECT id FROM media") == "med_2"
    [removed] = await stage.all(
        "SELECT kind, subject_id, data FROM errands WHERE kind = 'remove_file'"
    )
    assert tuple(removed) == ("remove_file", "med_1", {"path": f"{stage.account}/med_1"})
    # Nobody's name goes as long as they are there.
    assert await stage.value("SELECT count(*) FROM contacts WHERE erased_at IS NOT NULL") == 0
    stage.clock.advance(timedelta(days=30))
    await sweep()
    assert await texts(stage) == ["expired", "expired", "expired"]


async def test_many_go_in_batches(stage: Inbound) -> None:
    await stage.feed(stage.message("old", mid="m_1"))
    await stage.execute(
        "INSERT INTO messages (account_id, id, channel_id, conversation_id, sequence, direction,"
        " author_kind, content, status, occurred_at, accepted_at)"
        " SELECT account_id, 'msg_' || lpad(CAST(n AS text), 26, '0'), channel_id, conversation_id,"
        " 1000 + n, 'inbound', 'contact', content, 'received', occurred_at, accepted_at"
        " FROM messages, generate_series(1, 1200) n WHERE source_message_id = 'm_1'"
    )
    await stage.execute("UPDATE accounts SET retention_days = 1")
    stage.clock.advance(timedelta(days=2))
    await Retention(stage.database).sweep()
    assert set(await texts(stage)) == {"expired"}
