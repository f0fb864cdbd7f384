"""What must not be seen is not: in logs, in metrics, in the database as it lies there."""

import secrets

import asyncpg
from tests.e2e.stack import Gateway


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
    hidden = {
        "the visitor's words": said,
        "the answer": answered,
        "the Page's token": page.token,
        "the app's secret": described["meta_app"]["app_secret"],
        "the verify token": described["meta_app"]["verify_token"],
        "the API key": tenant.key.rpartition("_")[2],
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
    connection = await asyncpg.connect(gateway.description["database_url"].replace("+asyncpg", ""))
    tables = await connection.fetch(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    )
    hidden = [page.token, gateway.app["app_secret"], tenant.key.rpartition("_")[2]]
    for table in tables:
        rows = await connection.fetch(f'SELECT t::text FROM "{table["table_name"]}" t')
        for row in rows:
            for secret in hidden:
                # Bytes show in hexadecimal.
                assert secret not in row["t"], table["table_name"]
                assert secret.encode().hex() not in row["t"], table["table_name"]
    await connection.close()
