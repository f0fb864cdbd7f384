"""Files that contacts send: fetched into the store, or the message says why not."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support import misbehave
from tests.support.inbound import Inbound, inbound
from tests.support.receiver import Receiver
from tests.support.sending import Leases

from gateway.contracts.third_party import message_event
from gateway.db.media import take_media_of_contact
from gateway.domain import ids
from gateway.domain.media import LARGEST_INBOUND_BYTES
from gateway.media_store import MediaStore
from gateway.messaging.files import REMOVE_FILE, remove_files
from gateway.messaging.inbound_media import FETCH_ERRAND
from gateway.net.egress import Egress
from gateway.net.places import EgressPolicy
from gateway.net.resolver import SystemResolver
from gateway.sender.duties import Duty
from gateway.sender.errands import Errands
from gateway.sender.fetching import Fetching
from gateway.sender.file_removal import FileRemoval
from gateway.sender.media_fetch import MediaFetch

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
READY = "gateway.message.media_ready.v1"


@dataclass
class Stage:
    """Routing that takes messages in, and a sender that runs errands, with Meta's files."""

    routing: Inbound
    cdn: Receiver
    store: MediaStore
    duties: dict[str, Duty]
    running: list[Errands]

    def image(self, kind: str = "image", path: str = "/v/cat.png") -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.cdn.port}{path}"
        return {"type": kind, "payload": {"url": url}}

    async def arrives(self, *attachments: dict[str, Any]) -> None:
        item = self.routing.message("look", attachments=list(attachments))
        await self.routing.feed(item)

    async def attachments(self) -> list[dict[str, Any]]:
        content = await self.routing.value("SELECT content FROM messages")
        return list(content["attachments"])

    async def until(self, *statuses: str) -> list[dict[str, Any]]:
        async with asyncio.timeout(10):
            while True:
                shown = await self.attachments()
                if [each.get("status") for each in shown] == list(statuses):
                    return shown
                await asyncio.sleep(0.01)

    async def eventually(self, query: str, *, wanted: object) -> None:
        """Return once a query's only value is what is wanted."""
        async with asyncio.timeout(10):
            while await self.routing.value(query) != wanted:  # noqa: ASYNC110 - it happens in the database
                await asyncio.sleep(0.01)

    async def told(self) -> list[dict[str, Any]]:
        rows = await self.routing.all(
            "SELECT data FROM events WHERE type = :type ORDER BY sequence", type=READY
        )
        return [row.data for row in rows]

    @asynccontextmanager
    async def sender(self) -> AsyncIterator[None]:
        await self.routing.execute(
            "UPDATE shards SET owner = 'me', epoch = 1,"
            " expires_at = clock_timestamp() + interval '1 h' WHERE role = 'sender'"
        )
        leases: Any = Leases(1)
        errands = Errands(self.routing.database, leases, self.duties, chance=random.Random(1))
        self.running.append(errands)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(errands.run())
            yield
            self.running.remove(errands)
            task.cancel()

    def advance(self, **span: float) -> None:
        self.routing.clock.advance(timedelta(**span))
        for each in self.running:
            each.wake([])


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    egress = Egress(
        EgressPolicy(ports=frozenset({443}), allow_loopback=True),
        resolver=SystemResolver(threads=2),
    )
    picture = misbehave.respond(200, PNG, {"Content-Type": "image/png"})
    async with inbound(database_url) as routing, Receiver(picture) as cdn:
        await routing.channel()
        store = MediaStore.at("", data_dir=str(tmp_path))
        fetch = MediaFetch(routing.database, store, Fetching(egress, store))
        duties = {FETCH_ERRAND: fetch.duty(), REMOVE_FILE: FileRemoval(lambda: store).duty()}
        yield Stage(routing, cdn, store, duties, [])
    await egress.aclose()


async def test_a_picture_is_fetched_and_then_shown_by_an_address_of_ours(stage: Stage) -> None:
    await stage.arrives(stage.image())
    (pending,) = await stage.attachments()
    assert (pending["status"], pending["url"]) == ("pending", stage.image()["payload"]["url"])
    async with stage.sender():
        (ready,) = await stage.until("ready")
    assert (ready["mime_type"], ready["size"], ready["name"]) == ("image/png", len(PNG), "cat.png")
    assert "url" not in ready
    (media,) = await stage.routing.all("SELECT * FROM media")
    assert media.id == ready["media_id"]
    assert media.contact_id == await stage.routing.value("SELECT id FROM contacts")
    assert b"".join([part async for part in stage.store.read(media.path)]) == PNG
    (told,) = await stage.told()
    (shown,) = told["message"]["content"]["attachments"]
    assert shown["url"].startswith(f"/v1/media/{media.id}/content?expires=")
    assert (
        await stage.routing.value("SELECT count(*) FROM errands WHERE kind <> 'contact_profile'")
        == 0
    )


async def test_several_are_told_of_once_and_each_says_its_own(stage: Stage) -> None:
    large = misbehave.respond(200, b"", {"Content-Length": str(LARGEST_INBOUND_BYTES + 1)})
    page = misbehave.respond(200, b"<html>", {"Content-Type": "text/html"})
    answers = {
        "/cat": misbehave.respond(200, PNG, {"Content-Type": "image/png"}),
        "/gone": misbehave.respond(404),
        "/large": large,
        "/page": page,
    }

    async def answer(exchange: Any) -> None:
        await answers[exchange.request.target](exchange)

    stage.cdn.always(answer)
    await stage.routing.execute("UPDATE channels SET inbound_media_types = '{image,audio,file}'")
    await stage.arrives(
        stage.image(path="/cat"),
        stage.image(path="/gone"),
        stage.image("file", path="/large"),
        stage.image(path="/page"),
        stage.image("video", path="/never"),
        {"type": "image", "payload": {"url": "http://10.0.0.1/x.png"}},
        {"type": "fallback", "payload": {"url": "https://example.com", "title": "A page"}},
    )
    none = "unavailable"
    async with stage.sender():
        shown = await stage.until("ready", none, none, none, none, none, None)
    assert [each.get("unavailable", {}).get("reason") for each in shown] == [
        *(None, "gone", "too-large", "type-not-supported"),
        *("type-not-accepted", "address-not-allowed", None),
    ]
    assert "/never" not in [each.target for each in stage.cdn.requests]
    assert len(await stage.told()) == 1


async def test_what_may_pass_is_fetched_again_and_given_up_in_the_end(stage: Stage) -> None:
    stage.cdn.then(misbehave.respond(503), misbehave.reset)
    await stage.arrives(stage.image())
    async with stage.sender():
        for tries, seconds in ((1, 10), (2, 60)):
            await stage.cdn.wait_for(tries)
            query = (
                f"SELECT attempt = {tries} AND runs_until IS NULL FROM errands"
                " WHERE kind = 'media_fetch'"
            )
            await stage.eventually(query, wanted=True)
            assert (await stage.attachments())[0]["status"] == "pending"
            stage.advance(seconds=seconds)
        await stage.until("ready")
    assert len(stage.cdn.requests) == 3


async def test_one_that_never_comes_is_given_up(stage: Stage) -> None:
    stage.cdn.always(misbehave.respond(503))
    await stage.arrives(stage.image())
    await stage.routing.execute("UPDATE errands SET attempt = 7")
    async with stage.sender():
        (shown,) = await stage.until("unavailable")
        await stage.eventually(
            "SELECT count(*) FROM errands WHERE kind <> 'contact_profile'", wanted=0
        )
    assert shown["unavailable"]["reason"] == "failed"
    # An agent may still try the source's own.
    assert shown["url"] == stage.image()["payload"]["url"]
    assert len(await stage.told()) == 1


async def test_one_taken_back_while_it_is_fetched_leaves_nothing(stage: Stage) -> None:
    go_on = asyncio.Event()

    async def slow(exchange: Any) -> None:
        await go_on.wait()
        await misbehave.respond(200, PNG, {"Content-Type": "image/png"})(exchange)

    stage.cdn.then(slow)
    await stage.arrives(stage.image())
    async with stage.sender():
        await stage.cdn.wait_for(1)
        await stage.routing.execute('UPDATE messages SET content = \'{"type": "unsent"}\'')
        go_on.set()
        await stage.eventually(
            "SELECT count(*) FROM errands WHERE kind <> 'contact_profile'", wanted=0
        )
    assert await stage.routing.all("SELECT * FROM media") == []
    assert [path for path in stage_files(stage) if path.is_file()] == []
    assert await stage.told() == []


async def test_a_third_partys_upload_is_there_at_once_and_its_address_is_fetched(
    stage: Stage,
) -> None:
    channel = await stage.routing.channel(kind="third_party")
    uploaded = ids.new_id(ids.MEDIA)
    for number, source in enumerate(
        ({"media_id": uploaded}, {"url": stage.image()["payload"]["url"], "name": "Me.png"})
    ):
        said = {"id": f"t{number}", "contact": {"id": "c1"}, "type": "image", **source}
        await stage.routing.handle([message_event(channel, said, stage.routing.clock.now())])
    async with stage.sender():
        await stage.eventually(
            "SELECT count(*) FROM errands WHERE kind <> 'contact_profile'", wanted=0
        )
    rows = await stage.routing.all(
        "SELECT content -> 'attachments' -> 0 AS it FROM messages ORDER BY sequence"
    )
    assert [row.it["status"] for row in rows] == ["ready", "ready"]
    assert rows[0].it["media_id"] == uploaded
    assert rows[1].it["name"] == "Me.png"


async def test_what_a_contact_sent_goes_with_its_files(stage: Stage) -> None:
    await stage.arrives(stage.image())
    async with stage.sender():
        await stage.until("ready")
        account = stage.routing.account
        contact = await stage.routing.value("SELECT id FROM contacts")
        async with stage.routing.database.unit_of_work() as work:
            assert await take_media_of_contact(work.connection, account, "con_other") == []
            files = await take_media_of_contact(work.connection, account, contact)
            assert len(files) == 1
            await remove_files(work, files)
        await stage.eventually(
            "SELECT count(*) FROM errands WHERE kind <> 'contact_profile'", wanted=0
        )
    assert await stage.routing.all("SELECT * FROM media") == []
    assert [path for path in stage_files(stage) if path.is_file()] == []


def stage_files(stage: Stage) -> list[Path]:
    prefix = stage.store._store.prefix
    return list(Path(str(prefix)).rglob("*"))
