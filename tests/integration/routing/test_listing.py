"""Lists of enquiries: whatever is combined, the newest first, each once."""

import itertools
import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.clock import NOON
from tests.support.rest_desk import Rest, rest_desk

STATUSES = ("open", "offered", "ongoing", "closed", "missed", "followed_up")
FILTERS = {
    "status": ("closed", "missed"),
    "channel_id": ("chn_0", "chn_1"),
    "destination_id": ("agt_0", "tem_0"),
    "agent_id": ("agt_0", "agt_1"),
    "contact_id": ("con_1",),
    "opened_after": (NOON + timedelta(hours=10),),
    "opened_before": (NOON + timedelta(hours=30),),
}


@pytest.fixture
async def rest(database_url: str) -> AsyncIterator[Rest]:
    async with rest_desk(database_url) as opened:
        yield opened


async def make(rest: Rest, count: int) -> list[dict[str, Any]]:
    """Write enquiries of which several were opened at the same moment; the newest first."""
    dice = random.Random(count)
    made = []
    for n in range(count):
        agent = dice.choice([None, "agt_0", "agt_1"])
        made.append(
            {
                "account": rest.desk.account,
                "id": f"enq_{n:04}",
                "status": dice.choice(STATUSES),
                "channel_id": dice.choice(["chn_0", "chn_1", "chn_2"]),
                "agent_id": agent,
                "destination_id": dice.choice([agent, "tem_0"]),
                "contact_id": f"con_{dice.randrange(4)}",
                "opened_at": NOON + timedelta(hours=dice.randrange(48)),
            }
        )
    await rest.desk.execute(
        "ALTER TABLE enquiries DROP CONSTRAINT"
        " fk_enquiries_conversations_account_id_conversation_id"
    )
    async with rest.desk.engine.begin() as connection:
        await connection.execute(
            text(
                """
                INSERT INTO enquiries (account_id, id, channel_id, conversation_id, contact_id,
                  status, destination, agent_id, opened_at, updated_at)
                VALUES (:account, :id, :channel_id, :id, :contact_id, :status,
                  CASE WHEN CAST(:destination_id AS text) IS NOT NULL
                       THEN jsonb_build_object('id', CAST(:destination_id AS text),
                                               'kind', 'agent') END,
                  :agent_id, :opened_at, :opened_at)
                """
            ),
            made,
        )
    return sorted(made, key=lambda each: (each["opened_at"], each["id"]), reverse=True)


def left(made: list[dict[str, Any]], wanted: dict[str, Any]) -> list[str]:
    """Return what filters leave over."""
    after, before = wanted.get("opened_after"), wanted.get("opened_before")
    return [
        each["id"]
        for each in made
        if all(each[name] == value for name, value in wanted.items() if name in each)
        and (after is None or each["opened_at"] >= after)
        and (before is None or each["opened_at"] < before)
    ]


async def pages(rest: Rest, wanted: dict[str, Any], *, limit: int) -> list[str]:
    query = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in wanted.items()
    }
    seen: list[str] = []
    cursor = None
    while True:
        page = await rest.me.get(
            "/v1/enquiries",
            params=query | {"limit": limit} | ({"cursor": cursor} if cursor else {}),
        )
        assert page.status_code == 200, page.text
        assert len(page.json()["data"]) <= limit
        seen += [each["id"] for each in page.json()["data"]]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            return seen


async def test_every_combination_of_filters(rest: Rest) -> None:
    made = await make(rest, 300)
    for size in range(len(FILTERS) + 1):
        for names in itertools.combinations(FILTERS, size):
            for values in itertools.product(*(FILTERS[name] for name in names)):
                wanted = dict(zip(names, values, strict=True))
                assert await pages(rest, wanted, limit=200) == left(made, wanted), wanted


async def test_pages_of_any_size_are_one_list(rest: Rest) -> None:
    made = await make(rest, 90)
    for wanted in ({}, {"channel_id": "chn_0"}, {"agent_id": "agt_0", "status": "closed"}):
        for limit in (1, 7):
            assert await pages(rest, wanted, limit=limit) == left(made, wanted), wanted


async def test_a_cursor_of_another_shape_is_refused(rest: Rest) -> None:
    for cursor in ("WyJlbnF1aXJpZXMiLCJlbnFfMSJd", "x"):
        answer = await rest.me.get("/v1/enquiries", params={"cursor": cursor})
        assert answer.status_code == 422
