"""The example of docs/third-party.md, run as it stands there, against the whole gateway."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.e2e.stack import Gateway, Tenant

from gateway.embedded.ports import free_port

PAGE = (Path(__file__).parents[2] / "docs" / "third-party.md").read_text(encoding="utf-8")
[EXAMPLE] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


class Chat:
    """The example as a process: what it prints, and what is typed into it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def printed(self) -> str:
        assert self._process.stdout is not None
        return (await asyncio.wait_for(self._process.stdout.readline(), 30)).decode().strip()

    async def type(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    return await gateway.tenant()


@pytest.fixture
async def chat(gateway: Gateway, tenant: Tenant, tmp_path: Path) -> AsyncIterator[Chat]:
    example = tmp_path / "chat.py"
    example.write_text(EXAMPLE, encoding="utf-8")
    port = str(free_port())
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(example),
        gateway.description["api_url"],
        tenant.key,
        port,
        f"http://127.0.0.1:{port}/webhook",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    yield Chat(process)
    process.kill()
    await process.communicate()


async def test_what_is_typed_reaches_an_agent_and_the_answer_is_printed_once(
    gateway: Gateway, tenant: Tenant, chat: Chat
) -> None:
    assert len(EXAMPLE.splitlines()) <= 60
    agent = await tenant.agent()
    assert await chat.printed() == "connected"
    [channel] = (await tenant.get("/v1/channels"))["data"]
    quiet = {"messages": {"welcome": {"enabled": False}}}
    await tenant.call("PATCH", f"/v1/channels/{channel['id']}", quiet)

    await chat.type("Do you deliver to Leith?")
    received = await tenant.event("message.received")
    assert received["data"]["message"]["content"]["text"] == "Do you deliver to Leith?"
    answer = await tenant.post(
        f"/v1/conversations/{received['conversation_id']}/messages",
        {"content": {"type": "text", "text": "We do."}, "author": {"kind": "agent", "id": agent}},
    )
    assert await chat.printed() == "< We do."
    sent = await tenant.event("message.delivered")
    assert sent["data"]["message"]["id"] == answer["id"]
    # It was signed, and a secret that rotates does not lock it out.
    rotated = f"/v1/channels/{channel['id']}/signing-secret/rotate"
    await tenant.post(rotated)
    await tenant.post(f"/v1/channels/{channel['id']}/verify")
    second = {"content": {"type": "text", "text": "On Tuesdays."}}
    await tenant.post(f"/v1/conversations/{received['conversation_id']}/messages", second)
    assert await chat.printed() == "< On Tuesdays."


async def test_what_nobody_signed_is_not_taken(
    gateway: Gateway, tenant: Tenant, chat: Chat
) -> None:
    assert await chat.printed() == "connected"
    [channel] = (await tenant.get("/v1/channels"))["data"]
    forged = {"type": "gateway.message.send.v1", "data": {"message": {"content": {"text": "x"}}}}
    answer = await gateway.api.post(channel["source"]["outgoing_webhook_url"], json=forged)
    assert answer.status_code == 401
