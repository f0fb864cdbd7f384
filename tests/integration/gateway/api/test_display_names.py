"""Agents' names before their words: on the wire alone, counted in the limit, as they were then."""

import json
from typing import Any

import pytest
from tests.support import misbehave
from tests.support.api import problem
from tests.support.sending import Outbox
from tests.support.talk import wrote

from gateway.domain.delivery import TargetKind
from gateway.meta.graph import GraphClient
from gateway.sender.page import GraphTransport
from gateway.sender.webhook import ThirdPartyTransport

GRAPH = "https://graph.example"


@pytest.fixture
async def acme(api):
    return await api.account()


@pytest.fixture
async def agent(acme):
    made = await acme.post(
        "/v1/agents", {"first_name": "Ada", "last_name": "Lovelace", "display_name": "Countess"}
    )
    return made.json()["id"]


@pytest.fixture
def outbox(api, acme, graph, egress, database_url):
    """Messages leave: for the sandbox, and for the third party's address."""
    client, keyring = GraphClient(graph, base_url=GRAPH), api.database.keyring
    opened = Outbox(
        database_url, api.database.engine, api.clock, api.database, keyring, acme.account_id
    )
    opened.graph_client = client
    opened.transports = {
        TargetKind.PAGE: GraphTransport(client, keyring=keyring),
        TargetKind.THIRD_PARTY: ThirdPartyTransport(
            egress, keyring=keyring, clock=api.clock, links=api.database.links
        ),
    }
    return opened


async def shows(acme: Any, channel: dict[str, Any], name_format: str) -> None:
    changed = await acme.patch(
        f"/v1/channels/{channel['id']}", {"messages": {"display_name_format": name_format}}
    )
    assert changed.status_code == 200, changed.text


def said(words: str, agent: str, **more: Any) -> dict[str, Any]:
    content = {"type": "text", "text": words}
    return {"content": content, "author": {"kind": "agent", "id": agent}, **more}


async def journal(api: Any) -> list[str]:
    """Return the texts that the sandbox was sent as Graph, in order."""
    entries = (await api.sandbox.get("/control/journal")).json()["data"]
    bodies = [
        json.loads(entry["body"])
        for entry in entries
        if entry["kind"] == "call" and entry["method"] == "POST" and "/messages" in entry["path"]
    ]
    return [body["message"]["text"] for body in bodies if "message" in body]


async def test_the_sandbox_is_shown_the_name_and_the_message_is_not(api, acme, agent, outbox):
    channel = await api.messenger(acme)
    page = channel["source"]["page_id"]
    await api.sandbox.post(f"/control/pages/{page}/visitors/551/messages", json={"text": "hello"})
    conversation, _, _ = await wrote(api.database, acme.account_id, channel["id"], "551")
    path = f"/v1/conversations/{conversation}/messages"
    sent = []
    for name_format in ("none", "first_name", "first_and_last_name", "display_name"):
        await shows(acme, channel, name_format)
        sent.append((await acme.post(path, said("Hi", agent))).json())
    # Who is called otherwise afterwards, wrote under the old name.
    await acme.patch(f"/v1/agents/{agent}", {"display_name": "Enchantress"})
    quick = {"type": "text", "text": "Well?", "quick_replies": [{"title": "Yes", "payload": "Y"}]}
    sent.append((await acme.post(path, said("", agent) | {"content": quick})).json())
    # The machine's words are nobody's.
    sent.append((await acme.post(path, {"content": {"type": "text", "text": "Beep"}})).json())
    async with outbox.sender():
        for message in sent:
            await outbox.until(message["id"], "sent")
    assert await journal(api) == [
        "Hi",
        "Ada: Hi",
        "Ada Lovelace: Hi",
        "Countess: Hi",
        "Enchantress: Well?",
        "Beep",
    ]
    texts = {message["content"]["text"] for message in sent}
    assert texts == {"Hi", "Well?", "Beep"}
    stored = await api.rows("SELECT content ->> 'text' AS text FROM messages ORDER BY sequence")
    assert {row["text"] for row in stored[1:]} == texts
    accepted = await api.events(types=("gateway.message.accepted.v1", "gateway.message.sent.v1"))
    assert {data["message"]["content"]["text"] for _, data in accepted} == texts


async def test_a_third_party_is_given_the_name(api, acme, agent, outbox):
    channel = await api.third_party(acme)
    await shows(acme, channel, "first_name")
    conversation, _, _ = await wrote(api.database, acme.account_id, channel["id"])
    before = len(api.hook.requests)
    api.hook.always(misbehave.respond(200))
    sent = (await acme.post(f"/v1/conversations/{conversation}/messages", said("Hi", agent))).json()
    async with outbox.sender():
        await outbox.until(sent["id"], "sent")
    body = api.hook.requests[before].json()
    assert body["data"]["message"]["content"] == {"type": "text", "text": "Ada: Hi"}
    assert body["data"]["message"]["author"]["name"] == "Ada Lovelace"


async def test_the_name_counts_in_the_limit(api, acme, agent):
    channel = await api.messenger(acme)
    await shows(acme, channel, "first_name")
    conversation, _, _ = await wrote(api.database, acme.account_id, channel["id"])
    path = f"/v1/conversations/{conversation}/messages"
    refused = problem(await acme.post(path, said("x" * 1996, agent)), "text-too-long", 422)
    assert refused["errors"][0]["pointer"] == "/content/text"
    assert "5 of them for the name" in refused["errors"][0]["detail"]
    assert (await acme.post(path, said("x" * 1995, agent))).status_code == 202
    assert (await acme.post(path, {"content": {"type": "text", "text": "x" * 2000}})).is_success


async def test_each_part_of_a_split_text_has_the_name(api, acme, agent):
    channel = await api.messenger(acme)
    await acme.patch(f"/v1/channels/{channel['id']}", {"text_limit": 12})
    await shows(acme, channel, "first_name")
    conversation, _, _ = await wrote(api.database, acme.account_id, channel["id"])
    path = f"/v1/conversations/{conversation}/messages"
    assert (await acme.post(path, said("one two three", agent, split=True))).status_code == 202
    rows = await api.rows(
        "SELECT content ->> 'text' AS text, display_name FROM messages"
        " WHERE direction = 'outbound' ORDER BY sequence"
    )
    assert [(row["text"], row["display_name"]) for row in rows] == [
        ("one two", "Ada"),
        ("three", "Ada"),
    ]
    # A name that leaves no room for words is no reason to send forever.
    await acme.patch(f"/v1/channels/{channel['id']}", {"text_limit": 5})
    problem(await acme.post(path, said("one two", agent, split=True)), "text-too-long", 422)
