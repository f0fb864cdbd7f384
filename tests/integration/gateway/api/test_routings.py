"""Routings that come with a channel: when it is made, and when it is changed."""

import asyncio
from dataclasses import replace

import pytest
from tests.support.api import Api, Caller, pointers, problem, third_party_body
from tests.support.routings import BAD, alternative, faults, listed, shares

from routing.acceptance import RoutingRules


@pytest.fixture
async def acme(api: Api) -> Caller:
    """Return a caller of an API that knows what a routing is."""
    api.app.state.api = replace(api.app.state.api, routing_rules=RoutingRules())
    return await api.account()


async def agents(acme: Caller, many: int) -> list[str]:
    made = [await acme.post("/v1/agents", {"first_name": "Ada"}) for _ in range(many)]
    return [answer.json()["id"] for answer in made]


async def kept(api: Api) -> list[tuple[str, object, int]]:
    rows = await api.rows("SELECT name, routing, routing_version FROM channels")
    return [(row["name"], row["routing"], row["routing_version"]) for row in rows]


async def test_a_bad_routing_is_refused_and_nothing_is_saved(
    api: Api, acme: Caller, subtests: pytest.Subtests
) -> None:
    six = await agents(acme, 6)
    for name, bad in BAD.items():
        with subtests.test(f"{name}, with a new channel"):
            body = third_party_body(api.hook.url, routing=bad.make(six))
            refused = problem(await acme.post("/v1/channels", body), "validation-failed", 422)
            assert faults(refused) == [(f"/routing{at}", code) for at, code in bad.faults]
    assert await kept(api) == []

    channel = await api.third_party(acme)
    path = f"/v1/channels/{channel['id']}"
    for name, bad in BAD.items():
        with subtests.test(f"{name}, as a change"):
            change = {"name": "Other", "routing": bad.make(six)}
            refused = problem(await acme.patch(path, change), "validation-failed", 422)
            assert faults(refused) == [(f"/routing{at}", code) for at, code in bad.faults]
    assert await kept(api) == [("Acme app", None, 1)]


async def test_it_is_made_with_the_channel(api: Api, acme: Caller) -> None:
    ada, ben = await agents(acme, 2)
    channel = await api.third_party(acme, routing=shares([ada, ben], 70, 30))
    expected = {
        "rule": "percentage",
        "destinations": [
            {"id": ada, "share": 70, "timeout_seconds": 60},
            {"id": ben, "share": 30, "timeout_seconds": 60},
        ],
        "sticky": {"enabled": False, "valid_hours": 24},
        "waiting_limit_seconds": 300,
    }
    assert channel["routing"] == expected
    routing = await acme.get(f"/v1/channels/{channel['id']}/routing")
    assert routing.json() == expected | {"version": 1}


async def test_a_change_of_it_is_merged_and_counts(api: Api, acme: Caller) -> None:
    ada, ben = await agents(acme, 2)
    channel = await api.third_party(acme, routing=alternative(ada))
    path = f"/v1/channels/{channel['id']}"
    patched = await acme.patch(path, {"routing": {"waiting_limit_seconds": 10}})
    assert patched.status_code == 200, patched.text
    assert patched.json()["routing"] == channel["routing"] | {"waiting_limit_seconds": 10}
    assert [version for *_, version in await kept(api)] == [2]

    # What another rule has no use for has to go with it.
    timed = {
        "rule": "time",
        "destinations": None,
        "time": {
            "zone": "Europe/London",
            "spans": [
                {"days": ["mon"], "from": "09:00", "to": "18:00", "destinations": listed(ada)}
            ],
            "other": listed(ben),
        },
    }
    refused = await acme.patch(path, {"routing": timed | {"destinations": listed(ada)}})
    assert pointers(problem(refused, "validation-failed", 422)) == ["/routing/destinations"]
    assert (await acme.patch(path, {"routing": timed})).json()["routing"]["rule"] == "time"

    # Another change leaves its version alone, and null takes the routing away.
    assert (await acme.patch(path, {"name": "Other"})).status_code == 200
    assert [version for *_, version in await kept(api)] == [3]
    assert (await acme.patch(path, {"routing": None})).json()["routing"] is None
    assert await kept(api) == [("Other", None, 4)]


async def test_of_two_who_change_the_same_version_one_is_refused(api: Api, acme: Caller) -> None:
    ada, ben = await agents(acme, 2)
    channel = await api.third_party(acme)
    answers = await asyncio.gather(
        *(
            acme.patch(
                f"/v1/channels/{channel['id']}",
                {"routing": alternative(each)},
                headers={"If-Match": f'"{channel["version"]}"'},
            )
            for each in (ada, ben)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    assert [routing for _, routing, _ in await kept(api)] == [won["routing"]]


async def test_a_deleted_destination_is_no_obstacle_to_other_changes(
    api: Api, acme: Caller
) -> None:
    ada, ben = await agents(acme, 2)
    channel = await api.third_party(acme, routing=alternative(ada, ben))
    path = f"/v1/channels/{channel['id']}"
    assert (await acme.delete(f"/v1/agents/{ben}")).status_code == 204
    renamed = await acme.patch(path, {"name": "Other"})
    assert (renamed.status_code, renamed.json()["routing"]) == (200, channel["routing"])
    refused = await acme.patch(path, {"routing": {"waiting_limit_seconds": 10}})
    assert pointers(problem(refused, "validation-failed", 422)) == ["/routing/destinations/1/id"]


async def test_destinations_of_all_kinds_are_listed(api: Api, acme: Caller) -> None:
    [ada] = await agents(acme, 1)
    team = (await acme.post("/v1/teams", {"name": "Sales", "agent_ids": [ada]})).json()["id"]
    rules = [{"when": {"kind": "fallback"}, "messages": [{"type": "text", "text": "Hello"}]}]
    bot = (await acme.post("/v1/bots", {"name": "Robot", "rules": rules})).json()["id"]
    endpoint = await acme.post("/v1/endpoints", {"name": "Desk", "url": api.hook.url})
    listing = await acme.get("/v1/destinations")
    assert {(each["id"], each["kind"], each["name"]) for each in listing.json()["data"]} == {
        (ada, "agent", "Ada"),
        (team, "team", "Sales"),
        (bot, "bot", "Robot"),
        (endpoint.json()["id"], "endpoint", "Desk"),
    }
