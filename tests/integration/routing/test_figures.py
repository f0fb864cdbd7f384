"""The rows that reports read: kept by the database through whatever happens to an enquiry."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text
from tests.support.desk import Desk, desk

from gateway.db.migrate import configuration


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[Desk]:
    async with desk(database_url) as opened:
        yield opened


async def figures(at: Desk) -> dict[str, dict[str, Any]]:
    rows = await at.all("SELECT * FROM enquiry_figures")
    return {row.enquiry_id: dict(row._mapping) for row in rows}


async def lives(at: Desk) -> list[str]:
    """Let enquiries stand in each state, and return them."""
    ada = await at.agent()
    channel, other = await at.channel(ada), await at.channel(await at.agent("offline"))
    made = [await at.say(channel, f"v{n}") or "" for n in range(5)]
    at.clock.advance(timedelta(seconds=4))
    for enquiry_id in made[1:]:
        await at.accept(enquiry_id, ada)
    await at.send(channel, "v2", agent=ada)
    at.clock.advance(timedelta(seconds=8))
    await at.close(made[3], ada)
    missed = await at.say(other, "v9") or ""
    followed = await at.say(other, "v10") or ""
    await at.follow_up(followed, ada)
    return [*made, missed, followed]


async def test_every_enquiry_has_a_row_that_says_what_it_says(at: Desk) -> None:
    made = await lives(at)
    kept = await figures(at)
    assert set(kept) == set(made)
    for enquiry_id in made:
        enquiry, row = await at.enquiry(enquiry_id), kept[enquiry_id]
        assert row["status"] == enquiry.status
        assert row["channel_id"] == enquiry.channel_id
        assert row["agent_id"] == enquiry.agent_id
        assert row["destination_id"] == (enquiry.destination or {}).get("id")
        assert row["opened_at"] == enquiry.opened_at
        assert row["missed"] == (enquiry.missed_at is not None)
        assert (row["since"] is not None) == (enquiry.status in ("open", "offered", "ongoing"))
    assert [kept[each]["waiting"] for each in made] == [None, 4000, 4000, 4000, 4000, 0, 0]
    assert [kept[each]["handling"] for each in made] == [None, None, None, 8000, None, None, None]
    assert kept[made[2]]["first_response"] == 4000


async def test_a_transaction_that_fails_leaves_no_figures(at: Desk) -> None:
    enquiry_id = await at.say(await at.channel()) or ""
    before = await figures(at)
    async with at.engine.connect() as connection:
        await connection.execute(
            text("UPDATE enquiries SET status = 'missed', missed_at = opened_at WHERE id = :id"),
            {"id": enquiry_id},
        )
        await connection.rollback()
    assert await figures(at) == before


async def test_enquiries_from_before_there_were_figures_get_theirs(at: Desk) -> None:
    made = await lives(at)
    # Missed, and then taken up again: only its timeline tells.
    await at.reopen(made[5])
    kept = await figures(at)
    await at.execute("DELETE FROM enquiry_figures")

    fill = _revision()._FILL
    async with at.engine.begin() as connection:
        last = {"account_id": "", "id": ""}
        row = (await connection.execute(text(fill), last)).mappings().one_or_none()
        assert row is not None
        assert dict(row) == {"account_id": at.account, "id": max(made)}
        assert (await connection.execute(text(fill), dict(row))).mappings().one_or_none() is None

    filled = await figures(at)
    assert filled[made[5]]["missed"]
    # What it waited before it was reopened, its row does not tell any more.
    del filled[made[5]], kept[made[5]]
    assert filled == kept


async def test_who_moves_before_it_is_filled_in_gets_a_row(at: Desk) -> None:
    ada = await at.agent()
    enquiry_id = await at.say(await at.channel(ada)) or ""
    await at.execute("DELETE FROM enquiry_figures")
    at.clock.advance(timedelta(seconds=3))
    await at.accept(enquiry_id, ada)
    row = (await figures(at))[enquiry_id]
    assert (row["status"], row["waiting"]) == ("ongoing", 3000)


def _revision() -> Any:
    script = ScriptDirectory.from_config(configuration("")).get_revision("0005")
    assert script is not None
    return script.module
