"""Media on its way out: fetched under the guard, given to Meta once, addressed to others."""

import asyncio
import hashlib
import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.support import misbehave
from tests.support.receiver import Exchange, Receiver
from tests.support.sandbox import Box
from tests.support.sending import APP_SECRET, PAGE_TOKEN, Outbox

from gateway.clock import SystemClock
from gateway.db.media import Media, insert_media
from gateway.domain import ids
from gateway.domain.delivery import Accepted, TargetKind
from gateway.media_store import MediaStore
from gateway.meta.graph import GraphClient
from gateway.meta.uploading import AttachmentUploads
from gateway.net.egress import Egress
from gateway.net.places import EgressPolicy
from gateway.net.resolver import SystemResolver
from gateway.sandbox.app import create_sandbox
from gateway.sandbox.settings import SandboxSettings
from gateway.sender.fetching import Fetching
from gateway.sender.media_desk import MediaDesk
from gateway.sender.page import GraphTransport

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
PDF = b"%PDF-1.7" + bytes(100)
PSID = "5551"


class Shop:
    """A customer's server with files; `answers` by path are given before them."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, str]] = {"/menu.png": (PNG, "image/png")}
        self.answers: dict[str, list[Any]] = {}

    async def __call__(self, exchange: Exchange) -> None:
        path = exchange.request.target
        if self.answers.get(path):
            await self.answers[path].pop(0)(exchange)
            return
        content, mime_type = self.files.get(path, (b"", ""))
        status = 200 if path in self.files else 404
        headers = {"Content-Type": mime_type} if mime_type else {}
        await misbehave.respond(status, content, headers)(exchange)


@dataclass
class Stage:
    """An outbox whose Page is the sandbox's, and a shop with files."""

    outbox: Outbox
    box: Box
    shop: Shop
    server: Receiver
    store: MediaStore
    egress: Egress
    client: httpx.AsyncClient
    page: str
    conversation: str

    def url(self, path: str = "/menu.png") -> str:
        return f"http://127.0.0.1:{self.server.port}{path}"

    async def send(self, path: str = "/menu.png", kind: str = "image", **content: Any) -> str:
        content = content or {"url": self.url(path)}
        return await self.outbox.send(self.conversation, "", content={"type": kind, **content})

    async def upload(self, content: bytes = PNG, mime_type: str = "image/png") -> Media:
        async with self.outbox.database.unit_of_work() as work:
            media = Media(
                account_id=self.outbox.account,
                id=ids.new_id(ids.MEDIA),
                mime_type=mime_type,
                name="menu",
                size=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                path=await self.store.put(self.outbox.account, "med_x", io.BytesIO(content)),
                created_at=work.now,
            )
            await insert_media(work.connection, media)
        return media

    async def calls(self, path: str) -> list[dict[str, Any]]:
        journal = await self.box.journal()
        return [each for each in journal if each["path"].endswith(path)]

    async def seen(self) -> list[bytes]:
        """Return the pictures that the person sees."""
        thread = await self.box.control("GET", f"/pages/1001/visitors/{PSID}")
        urls = re.findall(r"http://sandbox\.test/media/\d+", str(thread))
        return [(await self.client.get(url)).content for url in urls]

    async def error(self, message_id: str) -> tuple[str, str]:
        error = (await self.outbox.until(message_id, "failed")).error
        assert error is not None
        return error["code"], error["detail"]


@pytest.fixture
async def stage(outbox: Outbox, tmp_path: Path) -> AsyncIterator[Stage]:
    sandbox = create_sandbox(
        SandboxSettings(app_id="310000000000001", app_secret=SecretStr(APP_SECRET)),
        clock=SystemClock(),
        transport=httpx.MockTransport(lambda _request: httpx.Response(200)),
    )
    egress = Egress(
        EgressPolicy(ports=frozenset({443}), allow_loopback=True),
        resolver=SystemResolver(threads=2),
    )
    shop = Shop()
    async with (
        sandbox.router.lifespan_context(sandbox),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(sandbox), base_url="http://sandbox.test"
        ) as client,
        Receiver(shop) as server,
    ):
        box = Box(sandbox, client, SystemClock())
        await box.control("POST", "/pages", {"page_id": "1001", "access_token": PAGE_TOKEN})
        await box.visitor({"text": "hello"}, psid=PSID, page="1001")
        page = await outbox.page()
        conversation = await outbox.conversation(page)
        await outbox.execute("UPDATE contacts SET source_contact_id = :id", id=PSID)
        store = MediaStore.at("", data_dir=str(tmp_path))
        outbox.transports[TargetKind.PAGE] = GraphTransport(
            GraphClient(client, base_url="http://sandbox.test"), keyring=outbox.keyring
        )
        outbox.desk = MediaDesk(
            outbox.database,
            store,
            Fetching(egress, store),
            AttachmentUploads(client, base_url="http://sandbox.test"),
            seconds=4,
        )
        yield Stage(outbox, box, shop, server, store, egress, client, page, conversation)
    await egress.aclose()


async def test_a_file_is_fetched_and_given_to_meta_once_for_a_page(stage: Stage) -> None:
    async with stage.outbox.sender() as (sender, _):
        for _ in range(2):
            await stage.outbox.until(await stage.send(), "sent")
        # The same file from elsewhere, and uploaded here.
        stage.shop.files["/other"] = (PNG, "application/octet-stream")
        await stage.outbox.until(await stage.send("/other"), "sent")
        media = await stage.upload()
        await stage.outbox.until(await stage.send(media_id=media.id), "sent")
        # Of the app's limit it used what was called: four sends and the upload.
        (used,) = sender._board.lanes.demands(now=stage.outbox.clock.now())
        assert used.made == 5
    assert await stage.seen() == [PNG] * 4
    assert len(await stage.calls("/message_attachments")) == 1
    # Nor is an address asked again that has just answered.
    assert [each.target for each in stage.server.requests] == ["/menu.png", "/other"]
    (kept,) = await stage.outbox.rows("SELECT * FROM page_attachments")
    assert kept["sha256"] == hashlib.sha256(PNG).hexdigest()


async def test_many_at_once_upload_it_once(stage: Stage) -> None:
    conversations = [await stage.outbox.conversation(stage.page) for _ in range(4)]
    media = await stage.upload()
    stage.outbox.transports.pop(TargetKind.PAGE)
    stage.outbox.graph.always(lambda call: Accepted(f"m_{call.attempt.delivery.id}"))
    async with stage.outbox.sender():
        content = {"type": "image", "media_id": media.id}
        sent = [await stage.outbox.send(each, "", content=content) for each in conversations]
        for message_id in sent:
            await stage.outbox.until(message_id, "sent")
    assert len(await stage.calls("/message_attachments")) == 1
    ids_sent = {call.attempt.readiness.attachment_id for call in stage.outbox.graph.calls}
    assert len(ids_sent) == 1


async def test_an_id_that_meta_has_forgotten_is_uploaded_anew(stage: Stage) -> None:
    await stage.outbox.execute(
        "INSERT INTO page_attachments (account_id, channel_id, sha256, kind, attachment_id,"
        " created_at, last_used_at) VALUES (:account, :page, :sha, 'image', '123', :at, :at)",
        account=stage.outbox.account,
        page=stage.page,
        sha=hashlib.sha256(PNG).hexdigest(),
        at=stage.outbox.clock.now(),
    )
    async with stage.outbox.sender():
        message_id = await stage.send()
        await stage.outbox.eventually("SELECT attempt FROM deliveries", 1)
        await stage.outbox.until(message_id, "accepted")
        await stage.outbox.advance_to_due(message_id=message_id)
        await stage.outbox.until(message_id, "sent")
    assert await stage.seen() == [PNG]
    (kept,) = await stage.outbox.rows("SELECT * FROM page_attachments")
    assert kept["attachment_id"] != "123"


async def test_an_id_is_not_used_when_meta_is_about_to_forget_it(stage: Stage) -> None:
    async with stage.outbox.sender():
        await stage.outbox.until(await stage.send(), "sent")
        await stage.outbox.execute(
            "UPDATE page_attachments SET created_at = created_at - interval '89 days'"
        )
        media = await stage.upload()
        await stage.outbox.until(await stage.send(media_id=media.id), "sent")
    assert len(await stage.calls("/message_attachments")) == 2


@pytest.mark.parametrize(
    ("content", "mime_type", "kind", "policy"),
    [
        (b"<html>no picture", "image/png", "image", "platform"),
        (PDF, "application/pdf", "image", "platform"),
        (b"", "image/png", "image", "platform"),
        (b"PK\x03\x04", "application/zip", "file", "strict"),
        (PNG + bytes(8_000_000), "image/png", "image", "platform"),
        (PDF + bytes(25_000_000), "application/pdf", "file", "platform"),
    ],
)
async def test_what_a_channel_does_not_send_fails_before_meta_is_called(
    stage: Stage, content: bytes, mime_type: str, kind: str, policy: str
) -> None:
    await stage.outbox.execute("UPDATE channels SET media_policy = :policy", policy=policy)
    stage.shop.files["/file"] = (content, mime_type)
    async with stage.outbox.sender():
        code, _ = await stage.error(await stage.send("/file", kind))
    assert code == "media-not-supported"
    assert not await stage.calls("/message_attachments")
    assert not await stage.calls("/messages")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://169.254.169.254/latest/meta-data", "address-not-allowed"),
        ("http://10.0.0.1/menu.png", "address-not-allowed"),
        ("http://user:word@127.0.0.1/menu.png", "address-not-allowed"),
        ("file:///etc/passwd", "address-not-allowed"),
        ("/nothing", "upstream-failed"),
        ("/moved", "upstream-failed"),
    ],
)
async def test_an_address_that_has_no_file_for_us(stage: Stage, url: str, code: str) -> None:
    stage.shop.answers["/moved"] = [misbehave.redirect(stage.url("/menu.png"))]
    given = stage.url(url) if url.startswith("/") else url
    async with stage.outbox.sender():
        failed = await stage.error(await stage.send(url=given))
    assert failed[0] == code
    # A redirect is not followed.
    assert "/menu.png" not in [each.target for each in stage.server.requests]
    assert not await stage.calls("/messages")


@pytest.mark.parametrize("trouble", ["busy", "reset", "cut", "hang", "meta"])
async def test_what_may_pass_is_tried_again_and_is_never_uncertain(
    stage: Stage, trouble: str
) -> None:
    async def cut(exchange: Exchange) -> None:
        exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + PNG)
        exchange.writer.close()

    answers = {
        "busy": misbehave.respond(503),
        "reset": misbehave.reset,
        "cut": cut,
        "hang": misbehave.hang,
    }
    if trouble in answers:
        stage.shop.answers["/menu.png"] = [answers[trouble]]
    else:
        await stage.box.control(
            "POST", "/faults", {"call": "attachments", "mode": "drop_after_effect"}
        )
    async with stage.outbox.sender():
        message_id = await stage.send()
        await stage.outbox.eventually("SELECT attempt FROM deliveries", 1)
        message = await stage.outbox.until(message_id, "accepted")
        assert message.error is None
        await stage.outbox.advance_to_due(message_id=message_id)
        await stage.outbox.until(message_id, "sent")
    attempts = await stage.outbox.rows("SELECT outcome FROM delivery_attempts ORDER BY attempt")
    assert [each["outcome"] for each in attempts] == ["retry", "accepted"]
    assert await stage.seen() == [PNG]
    events = {event["type"] for event in await stage.outbox.events()}
    assert "gateway.message.uncertain.v1" not in events


async def test_others_are_sent_while_a_file_is_fetched_and_nobody_overtakes_it(
    stage: Stage,
) -> None:
    let_go = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await let_go.wait()
        await misbehave.respond(200, PNG, {"Content-Type": "image/png"})(exchange)

    stage.shop.answers["/menu.png"] = [slow]
    stage.outbox.transports.pop(TargetKind.PAGE)
    other = await stage.outbox.conversation(stage.page)
    # One call at a time: the file that is fetched takes no part of it.
    async with stage.outbox.sender(concurrency=1):
        picture = await stage.send()
        words = await stage.outbox.send(stage.conversation, "after it")
        await stage.server.wait_for(1)
        assert (await stage.outbox.message(picture)).status == "accepted"
        beside = await stage.outbox.send(other, "beside it")
        call = await stage.outbox.graph.call()
        assert call.text == "beside it"
        call.answer(Accepted("m_1"))
        await stage.outbox.until(beside, "sent")
        let_go.set()
        call = await stage.outbox.graph.call()
        assert call.attempt.message is not None
        assert call.attempt.message.id == picture
        call.answer(Accepted("m_2"))
        call = await stage.outbox.graph.call()
        assert call.text == "after it"
        call.answer(Accepted("m_3"))
        await stage.outbox.until(words, "sent")


async def test_a_sender_that_ends_while_it_fetches_leaves_an_unsent_message(stage: Stage) -> None:
    stage.shop.answers["/menu.png"] = [misbehave.hang]
    async with stage.outbox.sender(epoch=1) as (sender, _):
        message_id = await stage.send()
        await stage.server.wait_for(1)
        assert await sender.drain(seconds=1)
    message = await stage.outbox.message(message_id)
    assert message.status == "accepted"
    assert await stage.outbox.value("SELECT attempt FROM deliveries") == 0
    async with stage.outbox.sender(epoch=2, owner="another"):
        await stage.outbox.until(message_id, "sent")
    assert await stage.seen() == [PNG]


async def test_a_third_party_gets_a_signed_address_of_ours(stage: Stage) -> None:
    channel = await stage.outbox.third_party_channel()
    conversation = await stage.outbox.conversation(channel)
    stage.shop.files["/price list.pdf"] = (PDF, "application/pdf")
    stage.outbox.third_party.always(Accepted())
    async with stage.outbox.sender():
        content = {"type": "file", "url": stage.url("/price%20list.pdf")}
        stage.shop.files["/price%20list.pdf"] = (PDF, "application/pdf")
        message_id = await stage.outbox.send(conversation, "", content=content)
        message = await stage.outbox.until(message_id, "sent")
    assert message.content["mime_type"] == "application/pdf"
    assert (message.content["size"], message.content["name"]) == (len(PDF), "price list.pdf")
    (media,) = await stage.outbox.rows("SELECT * FROM media")
    assert media["id"] == message.content["media_id"]
    assert media["contact_id"] == await stage.outbox.value(
        "SELECT contact_id FROM conversations WHERE id = :id", id=conversation
    )
    assert b"".join([part async for part in stage.store.read(media["path"])]) == PDF
    assert not await stage.calls("/message_attachments")
    assert len(stage.server.requests) == 1
