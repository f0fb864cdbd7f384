"""Trying a routing over REST: an enquiry to come, and those of the past."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.support.api import problem
from tests.support.desk import desk
from tests.support.rest_desk import Rest, rest_desk
from tests.support.routings import NOBODY, alternative, faults, shares, span, timetable

from gateway.domain import ids
from routing.trials import api as trial_api

# When time stands still.
NOON = "2026-03-02T12:00:00.000Z"


@pytest.fixture
async def rest(database_url: str) -> AsyncIterator[Rest]:
    async with rest_desk(database_url) as opened:
        yield opened


async def simulate(rest: Rest, channel: str, **body: Any) -> dict[str, Any]:
    answer = await rest.me.post(f"/v1/channels/{channel}/routing/simulate", body)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def replay(rest: Rest, channel: str, routing: Any, **times: str) -> dict[str, Any]:
    body = {"from": "2026-03-02T00:00:00Z", "to": "2026-03-03T00:00:00Z", "routing": routing}
    answer = await rest.me.post(f"/v1/channels/{channel}/routing/replay", body | times)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def told(result: dict[str, Any], **names: str) -> dict[str | None, tuple[int, int]]:
    """Return what was and would be by name."""
    called = {destination_id: name for name, destination_id in names.items()} | {None: None}
    return {
        called[each["destination_id"]]: (each["was"], each["would_be"])
        for each in result["by_destination"]
    }


async def dump(rest: Rest) -> dict[str, list[str]]:
    """Return every row of every table as text."""
    tables = await rest.desk.all(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        " AND table_type = 'BASE TABLE'"
    )
    return {
        table.table_name: sorted(
            json.dumps(row.row, sort_keys=True)
            for row in await rest.desk.all(f"SELECT to_jsonb(t) AS row FROM {table.table_name} t")
        )
        for table in tables
    }


class TestSimulate:
    async def test_step_by_step(self, rest: Rest) -> None:
        ada, ben = await rest.desk.agent(), await rest.desk.agent(name="Ben")
        cleo = await rest.desk.agent("busy", name="Cleo")
        team = await rest.desk.team(ada, ben, distribution="fixed_order")
        bot = await rest.desk.bot()
        channel = await rest.desk.channel({"id": cleo}, {"id": team, "timeout_seconds": 50}, bot)
        assert await simulate(rest, channel) == {
            "rule": "alternative",
            "at": NOON,
            "hours": None,
            "considered": [
                {"destination_id": cleo, "taken": False, "reason": "busy"},
                {"destination_id": team, "taken": True, "reason": "available"},
                {"destination_id": bot, "taken": False, "reason": "not_reached"},
            ],
            "steps": [
                {"after_seconds": 0, "destination_id": team, "agent_ids": [ada]},
                {"after_seconds": 30, "destination_id": team, "agent_ids": [ben]},
                {"after_seconds": 50, "destination_id": bot, "agent_ids": []},
            ],
            "outcome": "ongoing",
            "reason": None,
            "explanation": [
                f"Decided at {NOON} by the rule alternative, version 1 of the routing.",
                "Cleo was busy.",
                "Team was the first of the list that could be asked.",
                "Robot was not reached.",
                "At once Team (Ada) is asked.",
                "After 30 s Team (Ben) is asked.",
                "After 50 s Robot takes it.",
            ],
        }

    async def test_a_draft_a_moment_and_a_presence(self, rest: Rest) -> None:
        ada, ben = await rest.desk.agent(), await rest.desk.agent("offline", name="Ben")
        channel = await rest.desk.channel(ada)
        draft = timetable(span("mon", "09:00", "18:00", ada), other=[ben])
        monday = {"routing": draft, "at": "2026-11-02T17:59:30Z"}
        result = await simulate(rest, channel, **monday)
        assert (result["rule"], result["hours"]) == ("time", "2026-11-02 09:00-18:00")
        assert result["outcome"] == "missed"
        assert [step["agent_ids"] for step in result["steps"]] == [[ada]]

        # The list for other times holds when Ada's minute is over.
        result = await simulate(rest, channel, **monday, presence={ben: "active"})
        assert result["steps"] == [
            {"after_seconds": 0, "destination_id": ada, "agent_ids": [ada]},
            {"after_seconds": 60, "destination_id": ben, "agent_ids": [ben]},
        ]
        assert result["reason"] == "nobody_took_it"

        # Who waits for Ada is offered to Ben when the hours end.
        result = await simulate(rest, channel, **monday, presence={ada: "busy", ben: "idle"})
        assert result["steps"] == [{"after_seconds": 30, "destination_id": ben, "agent_ids": [ben]}]

    async def test_nobody_is_there_or_free(self, rest: Rest) -> None:
        ada = await rest.desk.agent(capacity=1)
        channel = await rest.desk.channel(ada, waiting_limit=40)
        absent = await simulate(rest, channel, presence={ada: "offline"})
        assert (absent["steps"], absent["outcome"], absent["reason"]) == (
            [],
            "missed",
            "nobody_there",
        )
        await rest.desk.accept(await rest.desk.say(channel), ada)
        full = await simulate(rest, channel)
        assert (full["steps"], full["outcome"], full["reason"]) == (
            [],
            "missed",
            "waiting_limit",
        )
        assert full["considered"] == [{"destination_id": ada, "taken": False, "reason": "full"}]
        assert "Ada had no room (1 of 1)." in full["explanation"]

    async def test_turns_go_on_from_where_they_are(self, rest: Rest) -> None:
        ada, ben = await rest.desk.agent(), await rest.desk.agent()
        team = await rest.desk.team(ada, ben, distribution="round_robin")
        shared = await rest.desk.channel(
            {"id": ada, "share": 50}, {"id": ben, "share": 50}, rule="percentage"
        )
        listed = await rest.desk.channel(team)
        for channel in (shared, listed):
            seen = []
            for n in range(4):
                result = await simulate(rest, channel)
                seen += result["steps"][0]["agent_ids"]
                await rest.desk.say(channel, f"visitor-{n}")
            assert seen == [ada, ben, ada, ben]
        draft = shares([ben, ada], 50, 50)
        assert (await simulate(rest, shared, routing=draft))["steps"][0]["agent_ids"] == [ben]

    async def test_who_served_the_contact_is_asked_first(self, rest: Rest) -> None:
        ada, ben = await rest.desk.agent(), await rest.desk.agent(name="Ben")
        sticky = {"sticky": {"enabled": True, "valid_hours": 2}}
        channel = await rest.desk.channel(ada, routing=sticky)
        enquiry_id = await rest.desk.say(channel)
        await rest.desk.transfer(enquiry_id, ben)
        await rest.desk.accept(enquiry_id, ben)
        await rest.desk.close(enquiry_id, ben)
        contact = (await rest.desk.enquiry(enquiry_id)).contact_id

        async def first(**body: Any) -> str:
            result = await simulate(rest, channel, **body)
            asked: str = result["steps"][0]["destination_id"]
            return asked

        assert await first(contact_id=contact) == ben
        assert await first() == ada
        assert await first(contact_id=contact, at="2026-03-02T13:59:59Z") == ben
        assert await first(contact_id=contact, at="2026-03-02T14:00:00Z") == ada
        assert await first(contact_id=contact, routing=alternative(ada)) == ada
        assert await first(contact_id=contact, presence={ben: "offline"}) == ada

    async def test_without_a_routing_it_stays_open(self, rest: Rest) -> None:
        ada = await rest.desk.agent()
        channel = await rest.desk.channel()
        result = await simulate(rest, channel)
        assert (result["rule"], result["outcome"], result["reason"]) == (None, "open", None)
        assert (result["considered"], result["steps"]) == ([], [])
        assert (await simulate(rest, channel, routing=alternative(ada)))["outcome"] == "missed"
        with_rule = await rest.desk.channel(ada)
        assert (await simulate(rest, with_rule, routing=None))["outcome"] == "open"

    async def test_nothing_is_written_and_no_lock_is_waited_for(self, rest: Rest) -> None:
        ada = await rest.desk.agent()
        team = await rest.desk.team(ada, distribution="round_robin")
        channel = await rest.desk.channel(
            {"id": ada, "share": 50}, {"id": team, "share": 50}, rule="percentage"
        )
        enquiry_id = await rest.desk.say(channel)
        await rest.desk.accept(enquiry_id, ada)
        before = await dump(rest)
        async with rest.desk.engine.begin() as connection:
            for table in ("accounts", "agents", "channels", "conversations", "turns"):
                await connection.exec_driver_sql(f"SELECT * FROM {table} FOR UPDATE")
            await simulate(rest, channel, presence={ada: "idle"})
            await simulate(rest, channel, routing=alternative(team))
            await replay(rest, channel, alternative(team))
        assert await dump(rest) == before

    async def test_faults_point_at_the_field(self, rest: Rest) -> None:
        ada = await rest.desk.agent()
        channel, other = await rest.desk.channel(ada), await rest.desk.channel(ada)
        stranger = (await rest.desk.enquiry(await rest.desk.say(other))).contact_id
        path = f"/v1/channels/{channel}/routing/simulate"
        for body, expected in (
            ({"presence": {NOBODY: "active"}}, [(f"/presence/{NOBODY}", "unknown-agent")]),
            ({"presence": {"a/b": "active"}}, [("/presence/a~1b", "unknown-agent")]),
            ({"presence": {ada: "away"}}, [(f"/presence/{ada}", "literal-error")]),
            ({"contact_id": stranger}, [("/contact_id", "unknown-contact")]),
            ({"contact_id": ids.new_id(ids.CONTACT)}, [("/contact_id", "unknown-contact")]),
            ({"at": "tomorrow"}, [("/at", "datetime-from-date-parsing")]),
            ({"at": "0001-01-01T00:00:00Z"}, [("/at", "greater-than-equal")]),
            (
                {"routing": alternative(ada, NOBODY)},
                [("/routing/destinations/1/id", "unknown-destination")],
            ),
            ({"routing": shares([ada], 99)}, [("/routing/destinations", "too-few")]),
            ({"effect": True}, [("/effect", "unknown-field")]),
        ):
            refused = problem(await rest.me.post(path, body), "validation-failed", 422)
            assert faults(refused) == expected, body

    async def test_who_may_read_may_try(self, rest: Rest, database_url: str) -> None:
        channel = await rest.desk.channel(await rest.desk.agent())
        reader = await rest.caller(rest.desk.account, "read")
        sender = await rest.caller(rest.desk.account, "send")
        path = f"/v1/channels/{channel}/routing/simulate"
        assert (await reader.post(path, {})).status_code == 200
        problem(await sender.post(path, {}), "insufficient-scope", 403)
        async with desk(database_url) as stranger:
            foreign = await stranger.channel()
        problem(
            await rest.me.post(f"/v1/channels/{foreign}/routing/simulate", {}), "not-found", 404
        )


class TestReplay:
    async def test_the_difference_by_destination(self, rest: Rest) -> None:
        ada = await rest.desk.agent(capacity=1)
        ben, cleo = await rest.desk.agent(name="Ben"), await rest.desk.agent(name="Cleo")
        names = {"ada": ada, "ben": ben, "cleo": cleo}
        channel = await rest.desk.channel(ada, ben)
        # Ada has room for one, so Ben is offered the others.
        for n in range(4):
            await rest.desk.say(channel, f"visitor-{n}")
        same = await replay(rest, channel, alternative(ada, ben))
        assert same["enquiries"] == 4
        assert told(same, **names) == {"ben": (3, 3), "ada": (1, 1)}
        assert [each["assumed"] for each in same["by_destination"]] == [0, 0]

        turned = await replay(rest, channel, alternative(ben, ada))
        assert told(turned, **names) == {"ben": (3, 4), "ada": (1, 0)}
        # Nobody looked at Cleo then, so she is taken for available.
        guessed = await replay(rest, channel, alternative(cleo, ada))
        assert told(guessed, **names) == {"cleo": (0, 4), "ben": (3, 0), "ada": (1, 0)}
        assert guessed["by_destination"][0]["assumed"] == 4

    async def test_shares_take_turns_in_order(self, rest: Rest) -> None:
        ada, ben = [await rest.desk.agent(capacity=100) for _ in "ab"]
        channel = await rest.desk.channel(ada, ben)
        for n in range(20):
            await rest.desk.say(channel, f"visitor-{n}")
            rest.desk.clock.advance(timedelta(seconds=1))
        result = await replay(rest, channel, shares([ada, ben], 70, 30))
        assert told(result, ada=ada, ben=ben) == {"ada": (20, 14), "ben": (0, 6)}

    async def test_the_hours_are_those_of_then(self, rest: Rest) -> None:
        ada, ben = await rest.desk.agent(), await rest.desk.agent()
        channel = await rest.desk.channel(ada)
        # 2 March 2026 is a Monday, and it is noon.
        for n in range(3):
            await rest.desk.say(channel, f"visitor-{n}")
            rest.desk.clock.advance(timedelta(hours=3))
        draft = timetable(span("mon", "09:00", "17:00", ada), other=[ben])
        result = await replay(rest, channel, draft)
        assert told(result, ada=ada, ben=ben) == {"ada": (3, 2), "ben": (0, 1)}

    async def test_who_did_not_take_it_then_does_not_take_it_now(self, rest: Rest) -> None:
        ada, ben = await rest.desk.agent(), await rest.desk.agent("offline")
        names = {"ada": ada, "ben": ben}
        channel = await rest.desk.channel(ada, ben)
        await rest.desk.reject(await rest.desk.say(channel, "rejected"), ada)
        await rest.desk.say(channel, "late")
        await rest.desk.advance(seconds=61)
        limited = await rest.desk.channel({"id": ada, "timeout_seconds": 600})
        await rest.desk.say(limited, "limited")
        await rest.desk.advance(seconds=301)
        assert told(await replay(rest, channel, alternative(ada, ben)), **names) == {None: (2, 2)}
        team = await rest.desk.team(ada, ben)
        with_team = await replay(rest, channel, alternative(ada, team))
        assert told(with_team, **names) == {None: (2, 2)}
        # Its offer was open when the waiting limit passed.
        assert told(await replay(rest, limited, alternative(ada)), **names) == {None: (1, 1)}

    async def test_sticky_drafts(self, rest: Rest) -> None:
        ada, ben = await rest.desk.agent(), await rest.desk.agent()
        channel = await rest.desk.channel(ada, closed_enquiry_policy="always")
        for _ in range(2):
            enquiry_id = await rest.desk.say(channel)
            await rest.desk.transfer(enquiry_id, ben)
            await rest.desk.accept(enquiry_id, ben)
            await rest.desk.close(enquiry_id, ben)
            rest.desk.clock.advance(timedelta(hours=1))
        draft = alternative(ada, sticky={"enabled": True, "valid_hours": 2})
        names = {"ada": ada, "ben": ben}
        assert told(await replay(rest, channel, draft), **names) == {"ben": (2, 1), "ada": (0, 1)}
        brief = draft | {"sticky": {"enabled": True, "valid_hours": 1}}
        assert told(await replay(rest, channel, brief), **names) == {"ada": (0, 2), "ben": (2, 0)}

    async def test_only_of_the_channel_and_the_time(self, rest: Rest) -> None:
        ada = await rest.desk.agent()
        channel, other = await rest.desk.channel(ada), await rest.desk.channel(ada)
        for n in range(3):
            await rest.desk.say(channel, f"visitor-{n}")
            await rest.desk.say(other, f"visitor-{n}")
            rest.desk.clock.advance(timedelta(minutes=1))
        times = {"from": "2026-03-02T12:01:00Z", "to": "2026-03-02T12:02:00Z"}
        assert (await replay(rest, channel, alternative(ada), **times))["enquiries"] == 1
        # What nobody decided about went nowhere yet.
        unrouted = await rest.desk.channel()
        await rest.desk.say(unrouted)
        empty = await replay(rest, unrouted, alternative(ada))
        assert empty == {"enquiries": 0, "by_destination": []}

    async def test_too_many_are_refused_with_where_to_stop(
        self, rest: Rest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(trial_api, "MOST_REPLAYED", 2)
        monkeypatch.setattr(trial_api, "_A_PART", 1)
        ada = await rest.desk.agent()
        channel = await rest.desk.channel(ada)
        for n in range(3):
            await rest.desk.say(channel, f"visitor-{n}")
            rest.desk.clock.advance(timedelta(minutes=1))
        body = {
            "routing": alternative(ada),
            "from": "2026-03-02T00:00:00Z",
            "to": "2026-03-03T00:00:00Z",
        }
        path = f"/v1/channels/{channel}/routing/replay"
        refused = problem(await rest.me.post(path, body), "validation-failed", 422)
        assert faults(refused) == [("/to", "too-many")]
        assert "2026-03-02T12:02:00.000Z" in refused["errors"][0]["detail"]
        result = await replay(rest, channel, alternative(ada), to="2026-03-02T12:02:00.000Z")
        assert result["enquiries"] == 2

    async def test_faults_point_at_the_field(self, rest: Rest) -> None:
        ada = await rest.desk.agent()
        channel = await rest.desk.channel(ada)
        path = f"/v1/channels/{channel}/routing/replay"
        sound = {
            "routing": alternative(ada),
            "from": "2026-03-02T00:00:00Z",
            "to": "2026-03-03T00:00:00Z",
        }
        for change, expected in (
            ({"to": "2026-03-02T00:00:00Z"}, [("/to", "too-early")]),
            ({"from": "2026-03-02T00:00:00"}, [("/from", "timezone-aware")]),
            ({"routing": None}, [("/routing", "missing")]),
            (
                {"routing": alternative(NOBODY)},
                [("/routing/destinations/0/id", "unknown-destination")],
            ),
            ({"limit": 5}, [("/limit", "unknown-field")]),
        ):
            refused = problem(await rest.me.post(path, sound | change), "validation-failed", 422)
            assert faults(refused) == expected, change
