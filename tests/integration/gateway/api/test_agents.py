from datetime import timedelta

from tests.support.api import pointers, problem


async def _agent(caller, **more):
    made = await caller.post("/v1/agents", {"first_name": "Ann", **more})
    assert made.status_code == 201, made.text
    return made.json()


async def test_an_agent_is_offline_until_the_first_presence(api):
    acme = await api.account()
    agent = await _agent(acme, last_name="Lee")
    assert agent["presence"] == {"state": "offline", "changed_at": None, "expires_at": None}
    assert agent["capacity"] == 5
    there = await acme.put(f"/v1/agents/{agent['id']}/presence", {"state": "active"})
    assert there.status_code == 200
    assert there.json()["presence"]["state"] == "active"
    assert api.changes.told == [("presence", acme.account_id, agent["id"])]


async def test_presence_expires_unless_it_is_renewed(api, clock):
    acme = await api.account()
    agent = await _agent(acme)
    path = f"/v1/agents/{agent['id']}"
    await acme.put(f"{path}/presence", {"state": "idle", "expires_in": 30})
    clock.advance(timedelta(seconds=29))
    assert (await acme.get(path)).json()["presence"]["state"] == "idle"
    clock.advance(timedelta(seconds=1))
    assert (await acme.get(path)).json()["presence"]["state"] == "offline"
    refused = await acme.put(f"{path}/presence", {"state": "away", "expires_in": 0})
    assert sorted(pointers(problem(refused, "validation-failed", 422))) == ["/expires_in", "/state"]


async def test_agents_are_found_by_name_and_by_the_channels_they_serve(api):
    acme = await api.account()
    channel = await api.third_party(acme)
    ann = await _agent(acme, last_name="Lee", channel_ids=[channel["id"]])
    bob = await _agent(acme, first_name="Bob_", display_name="Mr B.")
    for search, expected in [("n le", ann), ("B_", bob), ("o_", None), ("mr", bob)]:
        found = (await acme.get("/v1/agents", params={"search": search})).json()["data"]
        assert [each["id"] for each in found] == ([expected["id"]] if expected else [])
    served = await acme.get("/v1/agents", params={"channel_id": "chn_other"})
    assert [each["id"] for each in served.json()["data"]] == [bob["id"]]
    refused = await acme.patch(f"/v1/agents/{ann['id']}", {"channel_ids": ["chn_x", channel["id"]]})
    assert pointers(problem(refused, "validation-failed", 422)) == ["/channel_ids/0"]


async def test_a_deleted_agent_is_gone(api):
    acme = await api.account()
    agent = await _agent(acme)
    assert (await acme.delete(f"/v1/agents/{agent['id']}")).status_code == 204
    problem(await acme.get(f"/v1/agents/{agent['id']}"), "not-found", 404)
    assert api.changes.told == [("destination", acme.account_id, agent["id"])]


async def test_destinations_are_listed_together(api):
    acme = await api.account()
    agent = await _agent(acme, last_name="Lee")
    endpoint = (await acme.post("/v1/endpoints", {"name": "CRM", "url": api.hook.url})).json()
    both = (await acme.get("/v1/destinations")).json()["data"]
    assert both == [
        {"id": agent["id"], "kind": "agent", "name": "Ann Lee"},
        {"id": endpoint["id"], "kind": "endpoint", "name": "CRM"},
    ]
    first = (await acme.get("/v1/destinations", params={"limit": 1})).json()
    rest = await acme.get("/v1/destinations", params={"cursor": first["next_cursor"]})
    assert [each["kind"] for each in rest.json()["data"]] == ["endpoint"]
    found = await acme.get("/v1/destinations", params={"search": "crm", "kind": "endpoint"})
    assert len(found.json()["data"]) == 1
