"""Enquiries as callers of the REST API see them."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.support.api import pointers, problem
from tests.support.rest_desk import Rest, rest_desk

from gateway.domain import ids

NOBODY = ids.new_id(ids.AGENT)


@pytest.fixture
async def rest(database_url: str) -> AsyncIterator[Rest]:
    async with rest_desk(database_url) as opened:
        yield opened


class TestEnquiries:
    async def test_an_enquiry_is_read_with_its_timeline(self, rest: Rest) -> None:
        ada = await rest.desk.agent()
        enquiry_id = await rest.desk.say(await rest.desk.channel(ada))
        await rest.me.post(f"/v1/enquiries/{enquiry_id}/accept", {"agent_id": ada})

        answer = await rest.me.get(f"/v1/enquiries/{enquiry_id}")

        assert answer.status_code == 200
        shown = answer.json()
        assert shown["status"] == "ongoing"
        assert shown["agent"] == {"id": ada, "kind": "agent", "name": "Ada"}
        assert shown["destination"] == shown["agent"]
        assert shown["handled_by"] == "agent"
        assert shown["offers"] == [
            {
                "agent_id": ada,
                "destination_id": ada,
                "status": "accepted",
                "expires_at": "2026-03-02T12:01:00.000Z",
            }
        ]
        assert shown["assignment"]["rule"] == "alternative"
        assert shown["assignment"]["explanation"] == [
            f"Decided at {shown['opened_at']} by the rule alternative, version 1 of the routing.",
            "Ada was the first of the list that could be asked.",
        ]
        assert [line["type"] for line in shown["timeline"]] == ["opened", "offered", "accepted"]
        assert shown["timeline"][2]["actor"] == {"kind": "agent", "id": ada}

    async def test_the_whole_life_by_calls(self, rest: Rest) -> None:
        ada, ben = await rest.desk.agent(), await rest.desk.agent()
        enquiry_id = await rest.desk.say(await rest.desk.channel(ada))
        path = f"/v1/enquiries/{enquiry_id}"
        for call, body, status in (
            ("accept", {"agent_id": ada}, "ongoing"),
            ("transfer", {"destination_id": ben}, "offered"),
            # Who had it is asked again, as the rule says.
            ("reject", {"agent_id": ben}, "offered"),
            ("reject", {"agent_id": ada}, "missed"),
            ("follow-up", {"agent_id": ben}, "followed_up"),
            ("close", None, "closed"),
            ("reopen", {}, "offered"),
            ("close", {"agent_id": ada}, "closed"),
        ):
            answer = await rest.me.post(f"{path}/{call}", body)
            assert (answer.status_code, answer.json()["status"]) == (200, status), call

    async def test_an_illegal_move_names_state_and_moves(self, rest: Rest) -> None:
        ada, ben = await rest.desk.agent(), await rest.desk.agent()
        enquiry_id = await rest.desk.say(await rest.desk.channel(ada))
        path = f"/v1/enquiries/{enquiry_id}"
        await rest.me.post(f"{path}/accept", {"agent_id": ada})
        refused = problem(
            await rest.me.post(f"{path}/accept", {"agent_id": ben}), "illegal-transition", 409
        )
        assert refused["state"] == "ongoing"
        assert refused["allowed"] == ["closed", "offered"]
        assert refused["agent_id"] == ada
        await rest.me.post(f"{path}/close")
        refused = problem(await rest.me.post(f"{path}/close"), "illegal-transition", 409)
        assert (refused["state"], refused["allowed"]) == ("closed", ["open"])
        assert "agent_id" not in refused

    async def test_a_deleted_channel_wins_over_an_illegal_move(self, rest: Rest) -> None:
        ada = await rest.desk.agent()
        channel = await rest.desk.channel(ada)
        enquiry_id = await rest.desk.say(channel)
        path = f"/v1/enquiries/{enquiry_id}"
        await rest.me.post(f"{path}/close")
        await rest.desk.change("channels", channel, status="deleted")
        for call, body in (
            ("accept", {"agent_id": ada}),
            ("transfer", {"destination_id": ada}),
            ("reopen", None),
        ):
            problem(await rest.me.post(f"{path}/{call}", body), "channel-deleted", 409)

    async def test_faults_point_at_the_field(self, rest: Rest) -> None:
        enquiry_id = await rest.desk.say(await rest.desk.channel())
        path = f"/v1/enquiries/{enquiry_id}"
        for call, body, pointer in (
            ("accept", {}, "/agent_id"),
            ("accept", {"agent_id": NOBODY}, "/agent_id"),
            ("accept", {"agent_id": 7}, "/agent_id"),
            ("accept", {"agent_id": NOBODY, "force": True}, "/force"),
            ("transfer", {"destination_id": NOBODY}, "/destination_id"),
            ("close", {"agent_id": NOBODY}, "/agent_id"),
        ):
            refused = problem(await rest.me.post(f"{path}/{call}", body), "validation-failed", 422)
            assert pointers(refused) == [pointer], (call, body)

    async def test_a_stranger_finds_nothing(self, rest: Rest) -> None:
        ada = await rest.desk.agent()
        channel = await rest.desk.channel(ada)
        enquiry_id = await rest.desk.say(channel)
        stranger = await rest.caller()
        path = f"/v1/enquiries/{enquiry_id}"
        problem(await stranger.get(path), "not-found", 404)
        for call, body in (
            ("accept", {"agent_id": ada}),
            ("reject", {"agent_id": ada}),
            ("transfer", {"destination_id": ada}),
            ("close", None),
            ("reopen", None),
            ("follow-up", None),
        ):
            problem(await stranger.post(f"{path}/{call}", body), "not-found", 404)
        routing = f"/v1/channels/{channel}/routing"
        problem(await stranger.get(routing), "not-found", 404)
        problem(await stranger.put(routing, {"rule": "alternative"}), "not-found", 404)
        assert (await stranger.get("/v1/enquiries")).json()["data"] == []
        assert await rest.desk.told(enquiry_id) == ["opened", "offered"]

    async def test_scopes(self, rest: Rest) -> None:
        reader = await rest.caller(rest.desk.account, "read")
        enquiry_id = await rest.desk.say(await rest.desk.channel())
        assert (await reader.get(f"/v1/enquiries/{enquiry_id}")).status_code == 200
        problem(await reader.post(f"/v1/enquiries/{enquiry_id}/close"), "insufficient-scope", 403)

    async def test_a_repeated_call_with_the_same_key_is_one_move(self, rest: Rest) -> None:
        ada = await rest.desk.agent()
        enquiry_id = await rest.desk.say(await rest.desk.channel(ada))
        path = f"/v1/enquiries/{enquiry_id}/accept"
        key = {"Idempotency-Key": "once"}
        first = await rest.me.post(path, {"agent_id": ada}, headers=key)
        again = await rest.me.post(path, {"agent_id": ada}, headers=key)
        assert (first.status_code, again.status_code) == (200, 200)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json() == first.json()


class TestLists:
    async def test_pages_the_newest_first(self, rest: Rest) -> None:
        channel = await rest.desk.channel()
        made = [await rest.desk.say(channel, f"v{n}") for n in range(5)]
        seen: list[str] = []
        cursor = None
        while True:
            page = await rest.me.get(
                "/v1/enquiries", params={"limit": 2} | ({"cursor": cursor} if cursor else {})
            )
            seen += [each["id"] for each in page.json()["data"]]
            cursor = page.json()["next_cursor"]
            if cursor is None:
                break
        assert seen == made[::-1]

    async def test_filters_hold_together(self, rest: Rest) -> None:
        ada = await rest.desk.agent()
        channel, other = await rest.desk.channel(ada), await rest.desk.channel()
        offered = await rest.desk.say(channel, "v1") or ""
        rest.desk.clock.advance(timedelta(minutes=1))
        ongoing = await rest.desk.say(channel, "v2") or ""
        await rest.desk.accept(ongoing, ada)
        elsewhere = await rest.desk.say(other, "v3") or ""
        contact = (await rest.desk.enquiry(elsewhere)).contact_id
        for query, expected in (
            ({"status": "offered"}, {offered}),
            ({"channel_id": channel}, {offered, ongoing}),
            ({"channel_id": channel, "status": "open"}, set()),
            ({"agent_id": ada}, {ongoing}),
            ({"destination_id": ada}, {offered, ongoing}),
            ({"contact_id": contact}, {elsewhere}),
            ({"opened_after": "2026-03-02T12:01:00Z"}, {ongoing, elsewhere}),
            ({"opened_before": "2026-03-02T12:01:00Z"}, {offered}),
        ):
            page = (await rest.me.get("/v1/enquiries", params=query)).json()
            assert {each["id"] for each in page["data"]} == expected, query

    async def test_what_it_does_not_know_it_refuses(self, rest: Rest) -> None:
        for query, pointer in (
            ({"state": "open"}, "/query/state"),
            ({"opened_after": "yesterday"}, "/query/opened_after"),
            ({"opened_after": "2026-03-02T12:01:00"}, "/query/opened_after"),
            ({"cursor": "x"}, "/query/cursor"),
            ({"limit": 201}, "/query/limit"),
            ({"status": "lost"}, "/query/status"),
        ):
            refused = problem(
                await rest.me.get("/v1/enquiries", params=query), "validation-failed", 422
            )
            assert pointers(refused) == [pointer]


class TestPresence:
    async def test_an_agent_who_comes_is_offered_what_waits(self, rest: Rest) -> None:
        made = await rest.me.post("/v1/agents", {"first_name": "Ada"})
        ada = made.json()["id"]
        busy = {"state": "busy"}
        assert (await rest.me.put(f"/v1/agents/{ada}/presence", busy)).status_code == 200
        enquiry_id = await rest.desk.say(await rest.desk.channel(ada))
        assert (await rest.desk.enquiry(enquiry_id)).status == "open"
        await rest.me.put(f"/v1/agents/{ada}/presence", {"state": "active", "expires_in": 30})
        await rest.desk.timers()
        assert (await rest.desk.enquiry(enquiry_id)).status == "offered"
        await rest.desk.advance(seconds=30)
        assert (await rest.desk.enquiry(enquiry_id)).status == "missed"

    async def test_a_deleted_agent_loses_its_offers(self, rest: Rest) -> None:
        ada, ben = await rest.desk.agent(), await rest.desk.agent()
        enquiry_id = await rest.desk.say(await rest.desk.channel(ada, ben))
        assert (await rest.me.delete(f"/v1/agents/{ada}")).status_code == 204
        await rest.desk.timers()
        enquiry = await rest.desk.enquiry(enquiry_id)
        assert [(offer.agent_id, offer.status.value) for offer in enquiry.offers] == [
            (ada, "withdrawn"),
            (ben, "pending"),
        ]

    async def test_more_capacity_takes_who_waits(self, rest: Rest) -> None:
        made = await rest.me.post("/v1/agents", {"first_name": "Ada", "capacity": 0})
        ada = made.json()["id"]
        await rest.me.put(f"/v1/agents/{ada}/presence", {"state": "active"})
        enquiry_id = await rest.desk.say(await rest.desk.channel(ada))
        assert (await rest.desk.enquiry(enquiry_id)).status == "open"
        await rest.me.patch(f"/v1/agents/{ada}", {"capacity": 1})
        await rest.desk.timers()
        assert (await rest.desk.enquiry(enquiry_id)).status == "offered"
