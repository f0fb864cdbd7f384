from tests.support.api import pointers, problem, third_party_body


async def _agent(caller, name="Ann"):
    made = await caller.post("/v1/agents", {"first_name": name})
    return made.json()["id"]


async def _made(caller, path, body):
    made = await caller.post(path, body)
    assert made.status_code == 201, made.text
    return made.json()


async def test_a_team_keeps_its_order_and_takes_only_agents_of_the_account(api):
    acme, other = await api.account(), await api.account()
    ann, bob, eve = await _agent(acme), await _agent(acme, "Bob"), await _agent(other, "Eve")
    team = await _made(acme, "/v1/teams", {"name": "Sales", "agent_ids": [bob, ann, bob]})
    assert team["agent_ids"] == [bob, ann]
    assert (team["distribution"], team["agent_timeout_seconds"]) == ("simultaneous", 30)
    refused = await acme.post("/v1/teams", {"name": "X", "agent_ids": [ann, eve]})
    assert pointers(problem(refused, "validation-failed", 422)) == ["/agent_ids/1"]
    refused = await acme.post("/v1/teams", {"name": "X", "distribution": "best"})
    assert pointers(problem(refused, "validation-failed", 422)) == ["/distribution"]
    problem(await other.get(f"/v1/teams/{team['id']}"), "not-found", 404)


async def test_a_team_whose_agent_was_deleted_can_still_be_changed(api):
    acme = await api.account()
    ann, bob = await _agent(acme), await _agent(acme, "Bob")
    team = await _made(acme, "/v1/teams", {"name": "Sales", "agent_ids": [ann]})
    path = f"/v1/teams/{team['id']}"
    await acme.delete(f"/v1/agents/{ann}")
    changed = await acme.patch(path, {"agent_ids": [ann, bob], "distribution": "round_robin"})
    assert changed.status_code == 200, changed.text
    assert changed.json()["agent_ids"] == [ann, bob]
    assert changed.json()["version"] == 2
    assert api.changes.told[-1] == ("destination", acme.account_id, team["id"])
    stale = await acme.patch(path, {"name": "Y"}, headers={"If-Match": '"1"'})
    problem(stale, "version-mismatch", 412)
    assert (await acme.delete(path)).status_code == 204
    problem(await acme.get(path), "not-found", 404)
    assert (await acme.get("/v1/teams")).json()["data"] == []


RULES = [
    {
        "when": {"kind": "keyword", "values": ["price"]},
        "messages": [
            {"type": "text", "text": "Ten.", "quick_replies": [{"title": "Buy", "payload": "BUY"}]}
        ],
    },
    {"when": {"kind": "fallback"}, "then": "hand_over"},
]


async def test_every_version_of_a_bot_is_kept(api):
    acme = await api.account()
    bot = await _made(acme, "/v1/bots", {"name": "Prices", "rules": RULES})
    assert bot["version"] == 1
    assert bot["rules"][1] == {"when": {"kind": "fallback"}, "messages": [], "then": "hand_over"}
    path = f"/v1/bots/{bot['id']}"
    changed = await acme.patch(path, {"name": "Price list"})
    assert (changed.json()["version"], changed.json()["rules"]) == (2, bot["rules"])
    changed = await acme.patch(path, {"rules": [{"when": {"kind": "first_message"}}]})
    assert changed.json()["version"] == 3
    assert (await acme.get(path)).json() == changed.json()
    assert [each["name"] for each in (await acme.get("/v1/bots?search=LIST")).json()["data"]] == [
        "Price list"
    ]
    kept = await api.rows(
        "SELECT version, jsonb_array_length(rules) AS rules FROM bot_versions ORDER BY version"
    )
    assert [(row["version"], row["rules"]) for row in kept] == [(1, 2), (2, 2), (3, 1)]
    assert (await acme.delete(path)).status_code == 204
    assert api.changes.told == [("destination", acme.account_id, bot["id"])]


async def test_a_bots_media_have_to_be_there(api):
    acme = await api.account()
    lost = {"type": "image", "media_id": "med_01kb2x5h8ve0xrn1y2z3a4b5c6"}
    rules = [RULES[1], {"when": {"kind": "fallback"}, "messages": [lost]}]
    refused = problem(
        await acme.post("/v1/bots", {"name": "B", "rules": rules}), "validation-failed", 422
    )
    assert pointers(refused) == ["/rules/1/messages/0/media_id"]
    assert (await acme.get("/v1/bots")).json()["data"] == []


async def test_what_is_wrong_with_a_bot(api):
    acme = await api.account()
    faults = {
        "/rules": [],
        "/rules/0/when/kind": [{"when": {"kind": "regex"}}],
        "/rules/0/when": [{"when": {"kind": "keyword"}}],
        "/rules/1/when": [RULES[0], {"when": {"kind": "fallback", "values": ["x"]}}],
        "/rules/0/when/values/0": [{"when": {"kind": "keyword", "values": [" "]}}],
        "/rules/0/messages/0/type": [
            {"when": {"kind": "fallback"}, "messages": [{"type": "shout", "text": "x"}]}
        ],
        "/rules/0/then": [{"when": {"kind": "fallback"}, "then": "sleep"}],
    }
    for pointer, rules in faults.items():
        refused = await acme.post("/v1/bots", {"name": "B", "rules": rules})
        assert pointers(problem(refused, "validation-failed", 422)) == [pointer], refused.text


async def test_all_four_kinds_are_destinations(api):
    acme = await api.account()
    await _agent(acme)
    await _made(acme, "/v1/teams", {"name": "Sales"})
    await _made(acme, "/v1/bots", {"name": "Prices", "rules": RULES})
    await _made(acme, "/v1/endpoints", {"name": "CRM", "url": api.hook.url})
    listed = (await acme.get("/v1/destinations")).json()["data"]
    assert sorted((each["kind"], each["name"]) for each in listed) == [
        ("agent", "Ann"),
        ("bot", "Prices"),
        ("endpoint", "CRM"),
        ("team", "Sales"),
    ]
    found = await acme.get("/v1/destinations", params={"kind": "team"})
    assert [each["name"] for each in found.json()["data"]] == ["Sales"]


async def test_channels_need_departments_where_they_are_used(api):
    acme = await api.account()
    path = f"/v1/accounts/{acme.account_id}"
    support = await _made(acme, "/v1/departments", {"name": "Support"})
    first = await api.third_party(acme)
    second = await api.third_party(acme)
    on = {"departments_enabled": True}
    problem(await api.admin.patch(path, on), "departments-exhausted", 409)
    await acme.delete(f"/v1/channels/{second['id']}")
    assert (await api.admin.patch(path, on)).status_code == 200
    body = third_party_body(api.hook.url)
    refused = await acme.post("/v1/channels", body | {"department_id": support["id"]})
    problem(refused, "departments-exhausted", 409)
    sales = await _made(acme, "/v1/departments", {"name": "Sales"})
    refused = await acme.post("/v1/channels", body)
    assert pointers(problem(refused, "validation-failed", 422)) == ["/department_id"]
    # Shared is allowed: the number counts.
    made = await acme.post("/v1/channels", body | {"department_id": support["id"]})
    assert made.status_code == 201, made.text
    assert made.json()["department_id"] == support["id"]
    refused = await acme.delete(f"/v1/departments/{support['id']}")
    problem(refused, "conflict", 409)
    refused = await acme.delete(f"/v1/departments/{sales['id']}")
    problem(refused, "departments-exhausted", 409)
    await acme.delete(f"/v1/channels/{first['id']}")
    assert (await acme.delete(f"/v1/departments/{sales['id']}")).status_code == 204
    renamed = await acme.patch(f"/v1/departments/{support['id']}", {"name": "Help"})
    assert (renamed.json()["name"], renamed.json()["version"]) == ("Help", 2)
