from datetime import timedelta

from tests.support.api import pointers, problem


async def test_an_account_lives_from_making_to_deletion(api):
    made = await api.admin.post("/v1/accounts", {"name": " Acme "})
    assert made.status_code == 201
    account = made.json()
    assert account["id"].startswith("acc_")
    assert account["name"] == "Acme"
    assert account["concurrent_contacts_limit"] == 200
    assert account["channels_limit"] is None
    assert account["version"] == 1
    assert made.headers["etag"] == '"1"'
    path = f"/v1/accounts/{account['id']}"

    changed = await api.admin.patch(path, {"channels_limit": 3}, headers={"If-Match": '"1"'})
    assert changed.status_code == 200
    assert changed.json()["channels_limit"] == 3
    assert changed.json()["version"] == 2
    removed = await api.admin.patch(path, {"channels_limit": None})
    assert removed.json()["channels_limit"] is None

    stale = await api.admin.patch(path, {"name": "x"}, headers={"If-Match": '"1"'})
    assert problem(stale, "version-mismatch", 412)["version"] == 3

    assert (await api.admin.delete(path)).status_code == 204
    problem(await api.admin.get(path), "not-found", 404)
    assert (await api.admin.get("/v1/accounts")).json() == {"data": [], "next_cursor": None}


async def test_lists_come_in_parts_the_newest_first(api):
    names = [f"account {n}" for n in range(5)]
    for name in names:
        await api.admin.post("/v1/accounts", {"name": name})
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.admin.get("/v1/accounts", params=params)).json()
        seen += [account["name"] for account in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == names[::-1]


async def test_a_body_is_held_against_its_model(api):
    body = {"name": "", "channels_limit": "3", "colour": "red", "concurrent_contacts_limit": 0}
    refused = problem(await api.admin.post("/v1/accounts", body), "validation-failed", 422)
    assert sorted(pointers(refused)) == [
        "/channels_limit",
        "/colour",
        "/concurrent_contacts_limit",
        "/name",
    ]
    codes = {fault["pointer"]: fault["code"] for fault in refused["errors"]}
    assert codes["/colour"] == "unknown-field"


async def test_keys_open_what_their_scopes_say(api):
    acme = await api.account(scopes=["read"])
    keys = f"/v1/accounts/{acme.account_id}/api-keys"
    problem(await acme.get(keys), "insufficient-scope", 403)
    problem(await acme.get("/v1/accounts"), "forbidden", 403)
    keeper = await api.key(acme.account_id, ["admin"])
    listed = (await keeper.get(keys)).json()
    assert len(listed["data"]) == 2
    assert all("secret" not in key for key in listed["data"])


async def test_a_rotated_key_works_on_for_its_overlap(api, clock):
    acme = await api.account()
    keys = f"/v1/accounts/{acme.account_id}/api-keys"
    key_id = (await acme.get(keys)).json()["data"][0]["id"]
    rotated = await acme.post(f"{keys}/{key_id}/rotate", {"overlap_seconds": 60})
    assert rotated.status_code == 200
    fresh = type(acme)(api.client, rotated.json()["secret"])
    assert (await acme.get(keys)).status_code == 200
    assert (await fresh.get(keys)).status_code == 200
    clock.advance(timedelta(seconds=60))
    problem(await acme.get(keys), "unauthenticated", 401)
    assert (await fresh.get(keys)).status_code == 200
    assert (await fresh.delete(f"{keys}/{key_id}")).status_code == 204
    problem(await fresh.get(keys), "unauthenticated", 401)
