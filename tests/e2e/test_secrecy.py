"""What must not be seen is not: in logs, in metrics, in the database as it lies there."""

import secrets
from typing import Any
from urllib.parse import parse_qsl

import asyncpg
import httpx
from tests.e2e.stack import SECONDS, Gateway, Tenant, call
from tests.support.browser import Browser

# Under which names the gateway gives Meta what only it may know.
_AT_META = {"access_token", "input_token", "fb_exchange_token", "client_secret", "code"}


async def test_no_secret_and_nothing_that_was_said_is_in_logs_or_metrics(
    gateway: Gateway,
) -> None:
    tenant = await gateway.tenant()
    agent = await tenant.agent(first_name=f"Agent{secrets.token_hex(6)}")
    page = await tenant.page(agent=agent)
    said, answered = f"said-{secrets.token_hex(8)}", f"answered-{secrets.token_hex(8)}"
    conversation = await page.conversation(said, visitor="7654321000001")
    message = await tenant.post(
        f"/v1/conversations/{conversation}/messages",
        {"content": {"type": "text", "text": answered}, "author": {"kind": "agent", "id": agent}},
    )
    await tenant.event("message.sent", lambda e: e["data"]["message"]["id"] == message["id"])
    # Refusals, too: a wrong token, a body that does not hold, a key in the query.
    wrong = f"cgk_{secrets.token_hex(16)}"
    await gateway.api.get("/v1/agents", headers={"Authorization": f"Bearer {wrong}"})
    await gateway.api.get(f"/v1/agents?api_key={tenant.key}")
    await tenant.post(
        f"/v1/conversations/{conversation}/messages", {"content": {"text": said}}, expect=422
    )
    described = gateway.description
    hidden = await _all_that_is_secret(tenant) | {
        "the visitor's words": said,
        "the answer": answered,
        "the Page's token": page.token,
        "the verify token": described["meta_app"]["verify_token"],
        "a wrong key": wrong,
        "the administrator's key": described["admin_key"],
        "the database's password": described["database_url"].split(":")[2].split("@")[0],
    }
    seen = {log.name: log.read_text() for log in (gateway.directory / "logs").glob("*.log")}
    for role, address in described["ops_urls"].items():
        seen[f"{role} metrics"] = (await gateway.api.get(f"{address}/metrics")).text
    assert seen["sender.log"], "the sender logs its attempts"
    for place, text in seen.items():
        for what, value in hidden.items():
            assert value not in text, f"{what} is in {place}"


async def test_secrets_lie_encrypted_in_the_database(gateway: Gateway) -> None:
    tenant = await gateway.tenant()
    page = await tenant.page()
    hidden = await _all_that_is_secret(tenant) | {"the Page's token": page.token}
    connection = await asyncpg.connect(gateway.description["database_url"].replace("+asyncpg", ""))
    tables = await connection.fetch(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    )
    for table in tables:
        rows = await connection.fetch(f'SELECT t::text FROM "{table["table_name"]}" t')
        for row in rows:
            for what, secret in hidden.items():
                place = f"{what} is in {table['table_name']}"
                assert secret not in row["t"], place
                # Bytes show in hexadecimal.
                assert secret.encode().hex() not in row["t"], place
    await connection.close()


async def _all_that_is_secret(tenant: Tenant) -> dict[str, str]:
    """Have the gateway keep a secret of every kind, and return them by what they are."""
    sandbox_url = tenant.gateway.description["sandbox_url"]
    bearer = f"bearer-{secrets.token_hex(8)}"
    hook = f"{sandbox_url}/third-party/{tenant.account}/webhook"
    endpoint = await tenant.post(
        "/v1/endpoints",
        {"name": "Back end", "url": hook, "authentication": {"kind": "bearer", "token": bearer}},
    )
    channel = await tenant.post(
        "/v1/channels",
        {
            "kind": "third_party",
            "name": "Shop",
            "source": {"source_name": "Shop", "outgoing_webhook_url": hook},
        },
    )
    return {
        "the API key": tenant.key.rpartition("_")[2],
        "the app's secret": tenant.gateway.app["app_secret"],
        "an endpoint's signing secret": endpoint["signing_secret"],
        "an endpoint's token": bearer,
        "a channel's signing secret": channel["source"]["signing_secret"],
        "a channel's incoming token": channel["source"]["incoming_token"],
        **await _of_a_login(tenant),
    }


async def _of_a_login(tenant: Tenant) -> dict[str, str]:
    sandbox, number = tenant.gateway.sandbox, str(10**14 + secrets.randbelow(10**14))
    page_id, person = f"{number}1", f"{number}2"
    await call(sandbox, "POST", "/control/pages", {"page_id": page_id, "name": "A Page"})
    pages: dict[str, list[str]] = {page_id: []}
    await call(
        sandbox, "POST", "/control/people", {"user_id": person, "name": "Robin", "pages": pages}
    )
    before = len(await _calls(sandbox))
    login = await tenant.post("/v1/facebook/logins", {"meta_app_id": tenant.gateway.app["app_id"]})
    url = tenant.gateway.description["api_url"]
    async with httpx.AsyncClient(base_url=url, timeout=SECONDS, trust_env=False) as client:
        browser = Browser(client, sandbox)
        asked = await browser.begin(login["url"])
        shown = await browser.open(await browser.choose(person, pages=(page_id,)))
        assert shown.status_code == 200, shown.text
    connected = await tenant.post(
        f"/v1/facebook/logins/{login['id']}/connect", {"pages": [{"page_id": page_id}]}
    )
    assert connected["data"][0]["status"] == "connected", connected
    told = [each for entry in (await _calls(sandbox))[before:] for each in _told_meta(entry)]
    assert {name for name, _ in told} >= {"code", "input_token", "client_secret"}
    cookies = {f"the cookie {name}": value for name, value in browser.cookies.items()}
    assert cookies
    return {
        "a login's state": asked["state"],
        **cookies,
        **{f"{name} {n} for Meta": value for n, (name, value) in enumerate(told)},
    }


async def _calls(sandbox: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = 0
    while True:
        answer = await sandbox.get("/control/journal", params={"after": after})
        entries = answer.json()["data"]
        if not entries:
            return [entry for entry in found if entry["kind"] == "call"]
        found += entries
        after = entries[-1]["n"]


def _told_meta(entry: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is secret in a call to Graph: in its address, its body and its headers."""
    body = entry.get("json") or dict(parse_qsl(entry["body"]))
    given = {**entry["query"], **body}
    found = [(name, str(value)) for name, value in given.items() if name in _AT_META]
    if kept := entry["headers"].get("authorization"):
        found.append(("access_token", kept.rpartition(" ")[2]))
    return found
