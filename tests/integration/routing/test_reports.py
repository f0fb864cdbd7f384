"""Reports on enquiries, against figures that the tests work out by themselves."""

import csv
import io
import itertools
import random
import statistics
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from tests.support.api import pointers, problem
from tests.support.desk import Desk
from tests.support.rest_desk import Rest, rest_desk

from gateway.domain import ids

REPORT = "/v1/reports/enquiries"
GROUPS = ("channel", "status", "destination", "agent", "day")
SPANS = ("waiting", "first_response", "handling")


@pytest.fixture
async def rest(database_url: str) -> AsyncIterator[Rest]:
    async with rest_desk(database_url) as opened:
        yield opened


async def rows(rest: Rest, **query: str) -> list[dict[str, Any]]:
    answer = await rest.me.get(REPORT, params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def only_row(rest: Rest, **query: str) -> dict[str, Any]:
    [row] = await rows(rest, **query)
    return row


def median(seconds: float) -> dict[str, float]:
    return {"median": seconds, "p95": seconds}


NOTHING = {"median": None, "p95": None}


class TestFigures:
    async def test_nothing_is_a_row_of_nothing(self, rest: Rest) -> None:
        assert await only_row(rest) == {
            "count": 0,
            "missed_rate": None,
            "waiting_seconds": NOTHING,
            "first_response_seconds": NOTHING,
            "handling_seconds": NOTHING,
        }
        assert await rows(rest, group_by="day") == []

    async def test_an_enquiry_is_there_from_its_first_moment_to_its_last(self, rest: Rest) -> None:
        desk = rest.desk
        ada = await desk.agent()
        channel = await desk.channel(ada)
        enquiry_id = await desk.say(channel) or ""
        row = await only_row(rest, group_by="channel,status,destination,agent,day")
        assert row == {
            "channel_id": channel,
            "status": "offered",
            "destination_id": ada,
            "agent_id": None,
            "day": "2026-03-02",
            "count": 1,
            "missed_rate": 0.0,
            "waiting_seconds": NOTHING,
            "first_response_seconds": NOTHING,
            "handling_seconds": NOTHING,
        }
        desk.clock.advance(timedelta(seconds=12.5))
        await desk.accept(enquiry_id, ada)
        row = await only_row(rest, group_by="status,agent")
        assert (row["status"], row["agent_id"]) == ("ongoing", ada)
        assert row["waiting_seconds"] == median(12.5)
        assert row["handling_seconds"] == NOTHING
        desk.clock.advance(timedelta(seconds=30))
        await desk.send(channel, agent=ada)
        assert (await only_row(rest))["first_response_seconds"] == median(42.5)
        desk.clock.advance(timedelta(minutes=2))
        await desk.close(enquiry_id, ada)
        row = await only_row(rest, group_by="status")
        assert row["status"] == "closed"
        assert row["waiting_seconds"] == median(12.5)
        assert row["handling_seconds"] == median(150)

    async def test_even_numbers_meet_in_the_middle(self, rest: Rest) -> None:
        desk = rest.desk
        ada = await desk.agent()
        channel = await desk.channel(ada)
        for visitor, seconds in (("v1", 10), ("v2", 20)):
            enquiry_id = await desk.say(channel, visitor) or ""
            desk.clock.advance(timedelta(seconds=seconds))
            await desk.accept(enquiry_id, ada)
        waiting = (await only_row(rest))["waiting_seconds"]
        assert waiting == {"median": 15.0, "p95": pytest.approx(19.5)}

    async def test_who_waits_outside_does_not_wait_yet(self, database_url: str) -> None:
        async with rest_desk(database_url, limit=1) as rest:
            desk = rest.desk
            ada = await desk.agent()
            channel = await desk.channel(ada)
            first = await desk.say(channel, "v1") or ""
            second = await desk.say(channel, "v2") or ""
            third = await desk.say(channel, "v3") or ""
            await desk.accept(first, ada)
            desk.clock.advance(timedelta(seconds=40))
            await desk.close(third)
            await desk.close(first, ada)
            await desk.timers()
            desk.clock.advance(timedelta(seconds=7))
            await desk.accept(second, ada)
            found = await desk.all("SELECT enquiry_id, waiting FROM enquiry_figures")
            assert dict(map(tuple, found)) == {first: 0, second: 7000, third: None}

    async def test_each_leg_of_an_enquiry_that_is_passed_on_counts(self, rest: Rest) -> None:
        desk = rest.desk
        ada, ben = await desk.agent(), await desk.agent()
        enquiry_id = await desk.say(await desk.channel(ada)) or ""
        for seconds, move in (
            (5, lambda: desk.accept(enquiry_id, ada)),
            (60, lambda: desk.transfer(enquiry_id, ben)),
            (7, lambda: desk.accept(enquiry_id, ben)),
            (30, lambda: desk.close(enquiry_id, ben)),
            (600, lambda: desk.reopen(enquiry_id)),
            (3, lambda: desk.accept(enquiry_id, ben)),
            (10, lambda: desk.close(enquiry_id, ben)),
        ):
            desk.clock.advance(timedelta(seconds=seconds))
            await move()
        row = await only_row(rest, group_by="agent")
        assert (row["agent_id"], row["count"]) == (ben, 1)
        assert row["waiting_seconds"] == median(5 + 7 + 3)
        assert row["handling_seconds"] == median(60 + 30 + 10)

    async def test_missed_once_is_missed_whatever_came_of_it(self, rest: Rest) -> None:
        desk = rest.desk
        ada = await desk.agent("busy")
        channel = await desk.channel(ada, waiting_limit=120)
        enquiry_id = await desk.say(channel) or ""
        await desk.say(await desk.channel(), "bob")
        await desk.advance(seconds=120)
        assert (await desk.enquiry(enquiry_id)).status == "missed"
        row = await only_row(rest, status="missed")
        assert (row["missed_rate"], row["waiting_seconds"]) == (1.0, median(120))

        await desk.presence(ada, "active")
        await desk.reopen(enquiry_id)
        await desk.accept(enquiry_id, ada)

        assert (await desk.enquiry(enquiry_id)).missed_at is None
        assert (await only_row(rest))["missed_rate"] == 0.5
        by_status = {
            row["status"]: row["missed_rate"] for row in await rows(rest, group_by="status")
        }
        assert by_status == {"ongoing": 1.0, "open": 0.0}

    async def test_strangers_see_nothing(self, rest: Rest) -> None:
        channel = await rest.desk.channel()
        await rest.desk.say(channel)
        stranger = await rest.caller()
        for query in ({}, {"channel_id": channel}, {"group_by": "channel"}):
            data = (await stranger.get(REPORT, params=query)).json()["data"]
            assert sum(row["count"] for row in data) == 0
        problem(await (await rest.caller(None, "send")).get(REPORT), "insufficient-scope", 403)


@dataclass(frozen=True)
class Made:
    """An enquiry as a test wrote it."""

    channel_id: str
    status: str
    destination_id: str | None
    agent_id: str | None
    opened_at: datetime
    waiting: float | None
    first_response: float | None
    handling: float | None


async def make(desk: Desk, many: Iterable[Made]) -> None:
    """Write enquiries as they stand, with the moments that lead to their durations."""

    def later(moment: datetime | None, seconds: float | None) -> datetime | None:
        return None if moment is None or seconds is None else moment + timedelta(seconds=seconds)

    values = []
    for each in many:
        accepted_at = later(each.opened_at, each.waiting)
        missed_at = None
        if each.status == "missed":
            accepted_at, missed_at = None, accepted_at
        values.append(
            {
                "id": ids.new_id(ids.ENQUIRY),
                "channel": each.channel_id,
                "status": each.status,
                "destination": each.destination_id,
                "agent": each.agent_id,
                "opened": each.opened_at,
                "accepted": accepted_at,
                "missed": missed_at,
                "response": later(each.opened_at, each.first_response),
                "closed": later(accepted_at, each.handling),
                "account": desk.account,
            }
        )
    # Nobody looks at what they are about.
    await desk.execute(
        "ALTER TABLE enquiries DROP CONSTRAINT"
        " fk_enquiries_conversations_account_id_conversation_id"
    )
    async with desk.engine.begin() as connection:
        await connection.execute(
            text(
                """
                INSERT INTO enquiries (account_id, id, channel_id, conversation_id, contact_id,
                  status, destination, agent_id, opened_at, entered_at, accepted_at, missed_at,
                  first_response_at, closed_at, updated_at)
                VALUES (:account, :id, :channel, :id, :id, :status,
                  CASE WHEN CAST(:destination AS text) IS NOT NULL
                       THEN jsonb_build_object('id', CAST(:destination AS text)) END,
                  :agent, :opened, :opened, :accepted, :missed, :response, :closed, :opened)
                """
            ),
            values,
        )


def some(count: int, seed: int) -> list[Made]:
    """Return enquiries of ten days; of some groups one, and of some many."""
    dice = random.Random(seed)
    channels, agents, teams = (
        [f"{kind}_{n}" for n in range(size)] for kind, size in (("chn", 3), ("agt", 4), ("tem", 2))
    )
    made = []
    for _ in range(count):
        status = dice.choice(["closed"] * 6 + ["missed", "ongoing", "open"])
        taken = status in ("closed", "ongoing")
        agent = dice.choice(agents) if taken else None
        made.append(
            Made(
                channel_id=dice.choice(channels),
                status=status,
                destination_id=dice.choice([agent, *teams]) if taken else None,
                agent_id=agent,
                opened_at=datetime(2026, 3, 25, tzinfo=UTC)
                + timedelta(milliseconds=dice.randrange(10 * 86_400_000)),
                waiting=None if status == "open" else round(dice.lognormvariate(3, 1), 3),
                first_response=round(dice.lognormvariate(4, 1), 3)
                if taken and dice.random() < 0.8
                else None,
                handling=round(dice.lognormvariate(6, 1), 3) if status == "closed" else None,
            )
        )
    return made


def expected(
    many: Sequence[Made], group_by: Sequence[str], zone: str
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Work a report out by other means."""
    of: dict[str, Callable[[Made], Any]] = {
        "channel": lambda made: made.channel_id,
        "status": lambda made: made.status,
        "destination": lambda made: made.destination_id,
        "agent": lambda made: made.agent_id,
        "day": lambda made: made.opened_at.astimezone(ZoneInfo(zone)).date().isoformat(),
    }
    groups: dict[tuple[Any, ...], list[Made]] = {}
    for made in many:
        groups.setdefault(tuple(of[name](made) for name in group_by), []).append(made)
    return {
        key: {
            "count": len(group),
            "missed_rate": pytest.approx(
                sum(made.status == "missed" for made in group) / len(group)
            ),
            **{
                f"{name}_seconds": _summary([getattr(made, name) for made in group])
                for name in SPANS
            },
        }
        for key, group in groups.items()
    }


def _summary(values: Sequence[float | None]) -> dict[str, Any]:
    there = [value for value in values if value is not None]
    if not there:
        return NOTHING
    p95 = statistics.quantiles(there, n=20, method="inclusive")[18] if there[1:] else there[0]
    return {"median": pytest.approx(statistics.median(there)), "p95": pytest.approx(p95)}


def keyed(
    found: Iterable[Mapping[str, Any]], group_by: Sequence[str]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    fields = [name if name in ("status", "day") else f"{name}_id" for name in group_by]
    return {
        tuple(row[field] for field in fields): {
            name: value for name, value in row.items() if name not in fields
        }
        for row in found
    }


class TestGroups:
    SPAN: ClassVar = {"from": "2026-03-20", "to": "2026-04-10"}

    async def test_every_way_to_group_agrees_with_the_statistics_module(self, rest: Rest) -> None:
        many = some(400, seed=7)
        await make(rest.desk, many)
        for size in range(len(GROUPS) + 1):
            for group_by in (
                itertools.permutations(GROUPS, size)
                if size < 3
                else itertools.combinations(GROUPS[::-1], size)
            ):
                query = self.SPAN | ({"group_by": ",".join(group_by)} if group_by else {})
                found = await rows(rest, **query)
                assert keyed(found, group_by) == expected(many, group_by, "UTC"), group_by

    @pytest.mark.parametrize(
        "zone",
        ["Europe/London", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Pacific/Chatham"],
    )
    async def test_days_are_those_of_the_zone(self, rest: Rest, zone: str) -> None:
        many = [
            Made("chn_0", "open", None, None, opened_at, None, None, None)
            for hour in range(24 * 16)
            for opened_at in (datetime(2026, 3, 24, minute=7, tzinfo=UTC) + timedelta(hours=hour),)
        ]
        await make(rest.desk, many)
        found = await rows(rest, group_by="day", zone=zone, **self.SPAN)
        assert keyed(found, ["day"]) == expected(many, ["day"], zone)
        assert [row["day"] for row in found] == sorted(row["day"] for row in found)

    async def test_the_beginning_is_included_and_the_end_is_not(self, rest: Rest) -> None:
        moment = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
        many = [
            Made("chn_0", "open", None, None, moment + timedelta(seconds=n), None, None, None)
            for n in (-1, 0, 59, 60)
        ]
        await make(rest.desk, many)
        # In London it is two o'clock: the hour before was skipped.
        span = {"from": "2026-03-29T02:00:00+01:00", "to": "2026-03-29T01:01:00Z"}
        assert (await only_row(rest, **span))["count"] == 2
        answer = await rest.me.get(REPORT, params=span)
        assert answer.json()["from"] == "2026-03-29T01:00:00.000Z"

    async def test_filters_hold_together(self, rest: Rest) -> None:
        many = some(300, seed=8)
        await make(rest.desk, many)
        for only in (
            {"channel_id": "chn_1"},
            {"status": "missed"},
            {"agent_id": "agt_2", "destination_id": "tem_1"},
            {"channel_id": "chn_0", "status": "closed", "agent_id": "agt_0"},
        ):
            left = [
                made
                for made in many
                if all(getattr(made, name) == value for name, value in only.items())
            ]
            found = await rows(rest, group_by="day", **only, **self.SPAN)
            assert keyed(found, ["day"]) == expected(left, ["day"], "UTC")
            assert left

    async def test_too_many_rows_are_refused(self, rest: Rest) -> None:
        await rest.desk.execute(
            """
            INSERT INTO enquiry_figures (account_id, opened_at, enquiry_id, status, channel_id,
                                         agent_id)
            SELECT :account, :now, 'enq_' || n, 'closed', 'chn_' || n / 101, 'agt_' || n % 101
            FROM generate_series(0, 100 * 101) AS n
            """,
            account=rest.desk.account,
            now=rest.desk.clock.now(),
        )
        refused = problem(
            await rest.me.get(REPORT, params={"group_by": "agent,channel"}),
            "validation-failed",
            422,
        )
        assert pointers(refused) == ["/query/group_by"]
        assert refused["errors"][0]["code"] == "too-many-rows"
        assert len(await rows(rest, group_by="agent,channel", channel_id="chn_7")) == 101


class TestForms:
    async def test_csv_says_what_json_says(self, rest: Rest) -> None:
        await make(rest.desk, some(200, seed=9))
        query = TestGroups.SPAN | {"group_by": "day,agent"}
        answer = await rest.me.get(REPORT, params=query, headers={"Accept": "text/csv"})
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.headers["vary"] == "Accept"
        read = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        said = await rows(rest, **query)
        assert len(read) == len(said) > 10
        for line, row in zip(read, said, strict=True):
            assert line["day"] == row["day"]
            assert line["agent_id"] == (row["agent_id"] or "")
            assert int(line["count"]) == row["count"]
            for name in SPANS:
                for which in ("median", "p95"):
                    value = row[f"{name}_seconds"][which]
                    cell = line[f"{name}_seconds_{which}"]
                    assert (
                        (cell == "")
                        if value is None
                        else float(cell) == pytest.approx(value, abs=1e-6)
                    )

    @pytest.mark.parametrize(
        ("accept", "form"),
        [
            ("*/*", "application/json"),
            ("application/json", "application/json"),
            ("text/csv", "text/csv"),
            ("text/*", "text/csv"),
            ("application/json;q=0.5, text/csv", "text/csv"),
            ("text/csv;q=0.5, */*", "application/json"),
            ("text/html, */*;q=0.8", "application/json"),
        ],
    )
    async def test_who_asks_is_asked_what_is_wanted(
        self, rest: Rest, accept: str, form: str
    ) -> None:
        answer = await rest.me.get(REPORT, headers={"Accept": accept})
        assert answer.headers["content-type"].partition(";")[0] == form

    async def test_nothing_else_is_on_offer(self, rest: Rest) -> None:
        for accept in ("application/xml", "text/csv;q=0"):
            problem(await rest.me.get(REPORT, headers={"Accept": accept}), "not-acceptable", 406)

    async def test_what_it_does_not_know_it_refuses(self, rest: Rest) -> None:
        for query, pointer in (
            ({"group_by": "channel,colour"}, "/query/group_by"),
            ({"group_by": ""}, "/query/group_by"),
            ({"group_by": "day,agent,day"}, "/query/group_by"),
            ({"zone": "Mars/Olympus"}, "/query/zone"),
            ({"from": "soon"}, "/query/from"),
            ({"to": "2026-01-01T00:00:00"}, "/query/to"),
            ({"from": "2026-04-01", "to": "2026-03-01"}, "/query/to"),
            ({"from": "2001-01-01", "group_by": "day"}, "/query/from"),
            ({"status": "lost"}, "/query/status"),
            ({"sort": "count"}, "/query/sort"),
        ):
            refused = problem(await rest.me.get(REPORT, params=query), "validation-failed", 422)
            assert pointers(refused) == [pointer], query
