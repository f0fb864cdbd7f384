"""Who writes to a Page is asked for at Meta, behind the message."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.support.duties import attempt, the_errand
from tests.support.inbound import APP, VISITOR, Inbound, inbound

from gateway.messaging.contact_profiles import CONTACT_PROFILE
from gateway.messaging.erasure import request_erasure
from gateway.meta.graph_calls import GraphCalls
from gateway.meta.profiles import Profiles
from gateway.sender.contact_profiles import ContactProfiles
from gateway.sender.duties import Again, Done, Result

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

ROBIN = {"first_name": "Robin", "last_name": "Hale", "id": VISITOR}


@dataclass
class Box:
    """A router and the duty, beside a Meta that answers as a test says."""

    stage: Inbound
    profiles: Any = None
    answers: tuple[int, dict[str, Any]] = (200, ROBIN)
    asked: list[httpx.URL] = field(default_factory=list)

    def __post_init__(self) -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        calls = GraphCalls(client, base_url="https://graph.example")
        self.profiles = ContactProfiles(self.stage.database, Profiles(calls))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        status, document = self.answers
        return httpx.Response(status, stream=httpx.ByteStream(json.dumps(document).encode()))

    def fails(self, status: int, code: int, subcode: int | None = None) -> None:
        error = {"message": "no", "type": "OAuthException", "code": code, "fbtrace_id": "t"}
        self.answers = (status, {"error": error | {"error_subcode": subcode}})

    async def writes(self, visitor: str = VISITOR) -> None:
        await self.stage.feed(self.stage.message(visitor=visitor))

    async def ask(self) -> Result:
        return await attempt(self.stage.database, self.profiles.duty(), CONTACT_PROFILE)

    async def waiting(self) -> int:
        return int(await self.stage.value("SELECT count(*) FROM errands"))

    async def names(self) -> list[tuple[str | None, ...]]:
        rows = await self.stage.all(
            "SELECT name, first_name, last_name FROM contacts ORDER BY created_at"
        )
        return [tuple(row) for row in rows]

    async def told(self) -> list[str | None]:
        rows = await self.stage.all(
            "SELECT data FROM events WHERE type = 'gateway.contact.updated.v1' ORDER BY sequence"
        )
        return [row.data["contact"]["name"] for row in rows]


@pytest.fixture
async def box(database_url: str) -> AsyncIterator[Box]:
    async with inbound(database_url) as stage:
        channel = await stage.channel()
        keyring = stage.database.keyring
        token = keyring.encrypt("EAA", row=f"channels/{channel}/page_access_token")
        secret = keyring.encrypt("s", row=f"meta_apps/{APP}/app_secrets")
        await stage.execute("UPDATE channels SET page_access_token = :token", token=token)
        await stage.execute("UPDATE meta_apps SET app_secrets = :secrets", secrets=[secret])
        yield Box(stage)


async def test_the_first_message_asks_once_and_the_name_is_told(box: Box) -> None:
    for _ in range(2):
        await box.writes()
    assert await box.waiting() == 1
    assert isinstance(await box.ask(), Done)
    assert await box.names() == [("Robin Hale", "Robin", "Hale")]
    assert await box.told() == ["Robin Hale"]
    (asked,) = box.asked
    assert asked.path == f"/v26.0/{VISITOR}"
    assert "EAA" not in str(asked)
    await box.writes()
    assert await box.waiting() == 0
    # People rename themselves.
    box.stage.clock.advance(timedelta(days=30))
    box.answers = (200, ROBIN | {"last_name": "Hill"})
    await box.writes()
    await box.ask()
    assert await box.told() == ["Robin Hale", "Robin Hill"]


@pytest.mark.parametrize(("code", "subcode"), [(100, 33), (230, None), (2018218, None)])
async def test_who_keeps_their_name_to_themselves_is_asked_for_a_day_later(
    box: Box, code: int, subcode: int | None
) -> None:
    box.fails(400, code, subcode)
    await box.writes()
    assert isinstance(await box.ask(), Done)
    await box.writes()
    assert (await box.waiting(), await box.told()) == (0, [])
    box.stage.clock.advance(timedelta(days=1))
    await box.writes()
    # Meta says nothing of some people, without an error.
    box.answers = (200, {})
    assert isinstance(await box.ask(), Done)
    assert await box.names() == [(None, None, None)]


async def test_a_page_that_may_not_read_profiles_is_asked_once_an_hour(box: Box) -> None:
    box.fails(403, 200)
    for visitor in ("7500001", "7500002"):
        await box.writes(visitor)
        await box.ask()
    assert len(box.asked) == 1
    box.stage.clock.advance(timedelta(hours=1))
    box.answers = (200, ROBIN)
    await box.writes("7500001")
    await box.ask()
    assert await box.told() == ["Robin Hale"]


async def test_while_meta_is_away_the_question_waits_and_the_message_does_not(box: Box) -> None:
    box.fails(500, 2)
    await box.writes()
    assert await box.stage.event_types() == ["message.received", "enquiry.opened"]
    assert isinstance(await box.ask(), Again)
    assert await box.waiting() == 1


async def test_nothing_is_written_of_who_was_erased_meanwhile(box: Box) -> None:
    await box.writes()
    contact = await box.stage.value("SELECT id FROM contacts")
    duty = box.profiles.duty()
    result = await duty.run(await the_errand(box.stage.database, CONTACT_PROFILE))
    assert isinstance(result, Done)
    async with box.stage.database.unit_of_work() as work:
        await request_erasure(work, box.stage.account, contact)
    async with box.stage.database.unit_of_work() as work:
        await result.effect(work)
    assert await box.names() == [(None, None, None)]
    assert await box.waiting() == 0


async def test_an_instagram_name_is_the_one_shown_there(box: Box) -> None:
    await box.stage.execute("UPDATE channels SET kind = 'instagram'")
    box.answers = (200, {"username": "robin.hale", "id": VISITOR})
    await box.stage.feed(box.stage.message(), obj="instagram")
    await box.ask()
    assert await box.told() == ["robin.hale"]
    assert box.asked[0].params["fields"] == "name,username"
