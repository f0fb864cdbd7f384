"""A channel's routing as callers of the REST API set it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.api import pointers, problem
from tests.support.desk import desk
from tests.support.rest_desk import Rest, rest_desk
from tests.support.routings import BAD, alternative, faults, hours, listed, shares, span, timetable

STICKY = {"enabled": False, "valid_hours": 24}


@pytest.fixture
async def rest(database_url: str) -> AsyncIterator[Rest]:
    async with rest_desk(database_url) as opened:
        yield opened


async def six(rest: Rest) -> list[str]:
    """Make destinations of all kinds."""
    ada, ben, cleo = [await rest.desk.agent() for _ in range(3)]
    team = await rest.desk.team(ada, ben)
    return [ada, team, await rest.desk.bot(), await rest.desk.endpoint(), ben, cleo]


async def test_it_is_replaced_under_its_own_version(rest: Rest) -> None:
    ada, ben = await rest.desk.agent(), await rest.desk.agent()
    path = f"/v1/channels/{await rest.desk.channel()}/routing"
    none = await rest.me.get(path)
    assert none.json() == {
        "rule": None,
        "destinations": [],
        "waiting_limit_seconds": None,
        "version": 1,
    }
    assert none.headers["ETag"] == '"1"'

    put = await rest.me.put(path, alternative(ada), headers={"If-Match": '"1"'})
    assert put.status_code == 200, put.text
    assert put.json() == {
        "rule": "alternative",
        "destinations": [{"id": ada, "timeout_seconds": 60}],
        "sticky": STICKY,
        "waiting_limit_seconds": 300,
        "version": 2,
    }
    assert put.headers["ETag"] == '"2"'
    assert (await rest.me.get(path)).json() == put.json()

    late = await rest.me.put(path, alternative(ada), headers={"If-Match": '"1"'})
    problem(late, "version-mismatch", 412)
    # What was read may be sent back with a change; it says which version it was.
    changed = put.json() | {"destinations": listed(ben, ada)}
    assert (await rest.me.put(path, changed)).json()["version"] == 3
    problem(await rest.me.put(path, changed), "version-mismatch", 412)
    [row] = await rest.desk.all(
        "SELECT type, data FROM events WHERE type LIKE 'gateway.channel.%'"
        " ORDER BY sequence DESC LIMIT 1"
    )
    assert row.type == "gateway.channel.updated.v1"
    assert [each["id"] for each in row.data["channel"]["routing"]["destinations"]] == [ben, ada]


async def test_every_rule_over_every_kind_of_destination(rest: Rest) -> None:
    ada, team, bot, endpoint, *_ = await six(rest)
    path = f"/v1/channels/{await rest.desk.channel()}/routing"
    shared = await rest.me.put(
        path,
        shares([ada, team, bot, endpoint], 40, 30, 20, 10)
        | {"sticky": {"enabled": True, "valid_hours": 2}, "waiting_limit_seconds": 60},
    )
    assert shared.status_code == 200, shared.text
    assert shared.json() == {
        "rule": "percentage",
        "destinations": [
            {"id": ada, "share": 40, "timeout_seconds": 60},
            {"id": team, "share": 30, "timeout_seconds": 60},
            {"id": bot, "share": 20, "timeout_seconds": 60},
            {"id": endpoint, "share": 10, "timeout_seconds": 60},
        ],
        "sticky": {"enabled": True, "valid_hours": 2},
        "waiting_limit_seconds": 60,
        "version": 2,
    }
    timed = await rest.me.put(
        path,
        timetable(
            span("mon tue", "09:00", "24:00", ada, team),
            exceptions=[
                {"date": "2026-12-24", "closed": True},
                {"date": "2026-12-31", "spans": [hours("22:00", "02:00", bot)]},
            ],
            holidays="GB-SCT",
            other=[endpoint],
        ),
    )
    assert timed.status_code == 200, timed.text

    def asked(*destination_ids: str) -> list[dict[str, Any]]:
        return listed(*destination_ids, timeout_seconds=60)

    assert timed.json() == {
        "rule": "time",
        "time": {
            "zone": "Europe/London",
            "spans": [
                {
                    "days": ["mon", "tue"],
                    "from": "09:00",
                    "to": "24:00",
                    "destinations": asked(ada, team),
                }
            ],
            "exceptions": [
                {"date": "2026-12-24", "closed": True},
                {
                    "date": "2026-12-31",
                    "spans": [{"from": "22:00", "to": "02:00", "destinations": asked(bot)}],
                },
            ],
            "holidays": "GB-SCT",
            "other": asked(endpoint),
        },
        "sticky": STICKY,
        "waiting_limit_seconds": 300,
        "version": 3,
    }
    again = await rest.me.put(path, timed.json())
    assert again.json() == timed.json() | {"version": 4}


async def test_a_bad_routing_is_refused_and_nothing_is_saved(
    rest: Rest, subtests: pytest.Subtests
) -> None:
    path = f"/v1/channels/{await rest.desk.channel()}/routing"
    destinations = await six(rest)
    for name, bad in BAD.items():
        with subtests.test(name):
            refused = await rest.me.put(path, bad.make(destinations))
            assert faults(problem(refused, "validation-failed", 422)) == bad.faults
    assert (await rest.me.get(path)).json()["version"] == 1
    assert await rest.desk.value("SELECT routing FROM channels") is None


async def test_overlaps_name_both_spans(rest: Rest) -> None:
    path = f"/v1/channels/{await rest.desk.channel()}/routing"
    refused = await rest.me.put(path, BAD["overlapping spans"].make(await six(rest)))
    [fault] = refused.json()["errors"]
    assert fault["detail"] == "mon 17:00-19:00 overlaps mon 09:00-18:00 at /time/spans/0."


async def test_it_is_taken_away(rest: Rest) -> None:
    path = f"/v1/channels/{await rest.desk.channel(await rest.desk.agent())}/routing"
    json = {"Content-Type": "application/json"}
    answer = await rest.me.put(path, content="null", headers=json)
    assert answer.status_code == 200, answer.text
    assert answer.json()["rule"] is None
    # What is read then may be sent back.
    again = await rest.me.put(path, answer.json())
    assert again.json() == answer.json() | {"version": 3}


async def test_of_two_who_edit_the_same_version_one_is_refused(rest: Rest) -> None:
    ada, ben = await rest.desk.agent(), await rest.desk.agent()
    path = f"/v1/channels/{await rest.desk.channel()}/routing"
    answers = await asyncio.gather(
        *(
            rest.me.put(path, alternative(each), headers={"If-Match": '"1"'})
            for each in (ada, ben, ada, ben)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    assert (await rest.me.get(path)).json() == won


async def test_a_strangers_destinations_are_none(rest: Rest, database_url: str) -> None:
    path = f"/v1/channels/{await rest.desk.channel()}/routing"
    async with desk(database_url) as stranger:
        foreign = [
            await stranger.agent(),
            await stranger.team(),
            await stranger.bot(),
            await stranger.endpoint(),
        ]
    refused = problem(await rest.me.put(path, alternative(*foreign)), "validation-failed", 422)
    assert pointers(refused) == [f"/destinations/{n}/id" for n in range(4)]


async def test_deleted_destinations_are_unknown_and_stay_where_they_are(rest: Rest) -> None:
    everyone = (await six(rest))[:5]
    channel = await rest.desk.channel()
    path = f"/v1/channels/{channel}/routing"
    placed = await rest.me.put(path, alternative(*everyone))
    assert placed.status_code == 200, placed.text
    now = rest.desk.clock.now()
    for table in ("agents", "teams", "bots", "endpoints"):
        await rest.desk.execute(f"UPDATE {table} SET deleted_at = :now", now=now)
    assert (await rest.me.get(path)).json() == placed.json()
    enquiry = (await rest.me.get(f"/v1/enquiries/{await rest.desk.say(channel)}")).json()
    assert enquiry["status"] == "missed"
    assert {each["reason"] for each in enquiry["assignment"]["considered"]} == {"deleted"}
    refused = problem(await rest.me.put(path, alternative(*everyone)), "validation-failed", 422)
    assert pointers(refused) == [f"/destinations/{n}/id" for n in range(5)]


async def test_an_agent_of_other_channels_may_be_named_and_is_never_asked(rest: Rest) -> None:
    elsewhere = await rest.desk.channel()
    ada = await rest.desk.agent(channel_ids=[elsewhere])
    channel = await rest.desk.channel()
    put = await rest.me.put(f"/v1/channels/{channel}/routing", alternative(ada))
    assert put.status_code == 200, put.text
    enquiry = await rest.desk.enquiry(await rest.desk.say(channel))
    assert enquiry.status == "missed"
    assert enquiry.assignment["considered"][0]["reason"] == "other_channel"


async def test_a_deleted_channel_keeps_what_it_had(rest: Rest) -> None:
    ada = await rest.desk.agent()
    channel = await rest.desk.channel(ada)
    await rest.desk.change("channels", channel, status="deleted")
    path = f"/v1/channels/{channel}/routing"
    problem(await rest.me.put(path, alternative(ada)), "channel-deleted", 409)
    assert (await rest.me.get(path)).json()["rule"] == "alternative"
