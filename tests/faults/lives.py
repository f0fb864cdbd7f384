"""The lives of one sender after another, each of which ends at a named point.

What is to be sent goes to a sandbox in the same process, whose echoes take the way of all webhooks
through routing. The product's clock is moved a minute for each life, so that what waits for a
retry, or for a limit, has its turn in the next one.
"""

import asyncio
import io
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from tests.faults.checker import Verdict
from tests.faults.checks.report import Report
from tests.faults.checks.sends import check_sends
from tests.faults.checks.states import check_states
from tests.faults.evidence import Evidence, take_tables
from tests.faults.journal import Journal
from tests.faults.ledger import Ledger
from tests.faults.points import POINTS_OF_A_FILE, POINTS_OF_A_SEND, plants
from tests.faults.totals import KEPT, add_run
from tests.support.inbound import APP, RULES, TOPIC, Inbound
from tests.support.sending import APP_SECRET, PAGE_TOKEN, SCHEDULE, Leases, Outbox

from gateway.db.channels import get_channel
from gateway.db.leases import ShardLeases
from gateway.db.media import Media, insert_media
from gateway.db.unit_of_work import Database
from gateway.domain import ids
from gateway.domain.channel import ChannelStatus
from gateway.domain.delivery import TargetKind
from gateway.media_store import MediaStore
from gateway.messaging.channel_status import write_status
from gateway.meta.graph import GraphClient
from gateway.meta.normalise import normalise
from gateway.meta.uploading import AttachmentUploads
from gateway.net.egress import Egress
from gateway.net.places import EgressPolicy
from gateway.net.resolver import SystemResolver
from gateway.sandbox.app import create_sandbox
from gateway.sandbox.settings import SandboxSettings
from gateway.sender.board import Board
from gateway.sender.claiming import Budgets
from gateway.sender.fetching import Fetching
from gateway.sender.media_desk import MediaDesk
from gateway.sender.page import GraphTransport
from gateway.sender.settling import Settlement
from gateway.sender.worker import Sender, SenderPlan
from routing.inbound.worker import InboundHandler

__all__ = ["POINTS_OF_A_FILE", "POINTS_OF_A_SEND", "Lives", "lives"]

_SANDBOX: Final = "http://sandbox.test"
_LIFE_SECONDS: Final = 20.0
_PATIENCE_SECONDS: Final = 0.5
_LAST_SECONDS: Final = 90.0
_MINUTE: Final = timedelta(seconds=61)
_LOOK_SECONDS: Final = 0.05
# Longer than a busy machine stands still, and soon over for who comes next.
_CALL: Final = timedelta(seconds=2)
_MESSAGES: Final = 2
# So few that a death strikes some of what waits, and not all.
_SLOTS: Final = 8
# What befalls the Page's next calls, as the sandbox is told of it.
_FAULTS: Final[dict[str, dict[str, Any]]] = {
    "retry": {"code": 2, "count": 1},
    "throttle": {"code": 613, "count": 1},
    "pause": {"code": 190, "subcode": 463, "count": 1},
    # It fails time and again, is called less and less, and heals with a backlog.
    "outage": {"code": 2, "count": 6},
}
_PAGES: Final = ("nothing", *_FAULTS, "file")


class DeathError(BaseException):
    """The process is gone: nothing of it goes on, and nothing catches this."""


class Fate:
    """Decides at which passing of a point the sender that lives now dies."""

    def __init__(self) -> None:
        self.died = False
        self._point = ""
        self._left = 0

    def plan(self, point: str, passing: int) -> None:
        """Begin a life that ends there."""
        self.died, self._point, self._left = False, point, passing

    def passed(self, point: str) -> None:
        """Note that a point was passed; where all is over, nobody passes anything."""
        if self.died:
            raise DeathError
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                self.died = True
                raise DeathError


class MortalDatabase(Database):
    """The database as one process reaches it, as long as it lives."""

    def __init__(self, inner: Database, fate: Fate) -> None:
        super().__init__(inner.engine, clock=inner.clock, keyring=inner.keyring, wake=inner._wake)
        self._fate = fate

    def unit_of_work(self) -> Any:
        if self._fate.died:
            raise DeathError
        return super().unit_of_work()


class Meta(httpx.AsyncBaseTransport):
    """The sandbox; it goes on with what it was asked, whatever becomes of who asked."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await asyncio.shield(
            asyncio.ensure_future(self._transport.handle_async_request(request))
        )


@dataclass
class Lives:
    """An account with a Page for each thing that may befall a send, and who sends for it."""

    outbox: Outbox
    inbound: Inbound
    client: httpx.AsyncClient
    desk: MediaDesk
    store: MediaStore
    fate: Fate
    webhooks: list[bytes]
    ledger: Ledger = field(default_factory=Ledger)
    pages: dict[str, str] = field(default_factory=dict)
    _epochs: Any = field(default_factory=lambda: itertools.count(1))
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def prepare(self) -> Self:
        """Connect the Pages."""
        outbox = self.outbox
        await outbox.execute(
            "INSERT INTO meta_apps (app_id, name, app_secrets, verify_token, graph_version,"
            " created_at, updated_at) VALUES (:app, 'App', :secrets, '', 'v26.0', :at, :at)",
            app=APP,
            secrets=[outbox.keyring.encrypt(APP_SECRET, row=f"meta_apps/{APP}/app_secrets")],
            at=outbox.clock.now(),
        )
        for befalls in _PAGES:
            channel = await outbox.page(meta_app_id=APP, send_deadline_seconds=86_400)
            self.pages[befalls] = channel
            page_id = await self._page_id(channel)
            token = PAGE_TOKEN + page_id
            await outbox.execute(
                "UPDATE channels SET page_access_token = :token WHERE id = :id",
                id=channel,
                token=outbox.keyring.encrypt(token, row=f"channels/{channel}/page_access_token"),
            )
            fields = ["messages", "message_echoes", "message_deliveries"]
            body = {"page_id": page_id, "access_token": token, "subscribed_fields": fields}
            (await self.client.post("/control/pages", json=body)).raise_for_status()
        self.ledger.note("account", account=outbox.account)
        return self

    async def die(self, befalls: str, point: str, *, passing: int) -> None:
        """Let something befall what is sent, and a sender die where it is told to."""
        await self._recover()
        await self._befall(befalls)
        self.fate.plan(point, passing)
        await self._until_death(befalls)
        assert self.fate.died, f"{befalls}: nobody passed {point}"
        rows = await self.outbox.rows(
            "SELECT message_id, attempt FROM deliveries WHERE status = 'sending'"
        )
        in_flight = [[row["message_id"], row["attempt"]] for row in rows]
        self.ledger.note("blow", blow="kill", role="sender", pid=0, in_flight=in_flight)

    async def require_clean(self, name: str) -> dict[str, Any]:
        """Let a last sender finish, and compare what was accepted with what "Meta" has seen."""
        # Once more, and nobody dies of it.
        for befalls in _PAGES:
            await self._befall(befalls)
        await self._finish()
        journal = Journal([])
        await journal.read(self.client)
        dsn = self.outbox.database_url.replace("postgresql+asyncpg://", "postgresql://")
        connection = await asyncpg.connect(dsn)
        try:
            tables = await take_tables(connection, [self.outbox.account])
        finally:
            await connection.close()
        evidence = Evidence(journal=journal, inbound=[], published=[], tables=tables)
        report = Report()
        for blow in self.ledger.of("blow"):
            report.count(f"{blow['blow']}s.{blow['role']}")
        report.count("messages.outbound", len(tables["messages"]))
        report.count("uploads", len(await self._attachments()))
        for row in await self._outcomes():
            report.count(f"settled.{row['outcome']}", row["count"])
        befell = {channel: name for name, channel in self.pages.items()}
        channels = {row["id"]: row["channel_id"] for row in tables["messages"]}
        for send in journal.sends():
            if send.fault is not None:
                report.count(f"befell.{befell[channels[send.message]]}")
        check_sends(self.ledger, evidence, report)
        check_states(evidence, report)
        verdict = Verdict(report.totals(), report.findings)
        add_run(name, verdict.totals)
        if verdict.wrongs:
            evidence.keep(KEPT / f"{name}.evidence.json")
        verdict.require_clean()
        return verdict.totals

    async def _befall(self, befalls: str) -> None:
        await self._say(befalls)
        if befalls in _FAULTS:
            fault = {"call": "messages", "mode": "error", **_FAULTS[befalls]}
            fault["page_id"] = await self._page_id(self.pages[befalls])
            (await self.client.post("/control/faults", json=fault)).raise_for_status()

    async def _say(self, befalls: str) -> None:
        """Accept messages to two people whom nothing was said to before."""
        page_id = await self._page_id(self.pages[befalls])
        for _ in range(2):
            conversation = await self.outbox.conversation(self.pages[befalls])
            psid = await self.outbox.value(
                "SELECT source_contact_id FROM contacts c JOIN conversations v"
                " ON v.contact_id = c.id WHERE v.id = :id",
                id=conversation,
            )
            visitor = f"/control/pages/{page_id}/visitors/{psid}/messages"
            (await self.client.post(visitor, json={"text": "hello"})).raise_for_status()
            for _ in range(_MESSAGES):
                await self._accept(conversation, befalls)

    async def _accept(self, conversation: str, befalls: str) -> None:
        number = next(self._numbers)
        content = {"type": "text", "text": f"out {number}"}
        if befalls == "file":
            content = {"type": "image", "media_id": await self._upload(number)}
        key = f"reply-{number}"
        message_id = await self.outbox.send(conversation, "", content=content, client_reference=key)
        self.ledger.note("replied", key=key, attempt=1, status=202, message=message_id)

    async def _upload(self, number: int) -> str:
        """Take in a file that nobody has seen before."""
        content = b"\x89PNG\r\n\x1a\n" + number.to_bytes(100, "big")
        media_id = ids.new_id(ids.MEDIA)
        async with self.outbox.database.unit_of_work() as work:
            media = Media(
                account_id=self.outbox.account,
                id=media_id,
                mime_type="image/png",
                name="menu",
                size=len(content),
                sha256=f"{number:064x}",
                path=await self.store.put(self.outbox.account, media_id, io.BytesIO(content)),
                created_at=work.now,
            )
            await insert_media(work.connection, media)
        return media_id

    async def _live(self) -> None:
        """Run a sender until it dies, or as long as it is let."""
        epoch = next(self._epochs)
        await self.outbox.own_shards(epoch=epoch, owner=f"life {epoch}")
        leases = Leases(epoch)
        graph = GraphClient(self.client, base_url=_SANDBOX)
        sender = Sender(
            MortalDatabase(self.outbox.database, self.fate),
            leases,
            {TargetKind.PAGE: GraphTransport(graph, keyring=self.outbox.keyring)},
            graph,
            plan=SenderPlan(
                slots=_SLOTS,
                concurrency=dict.fromkeys(TargetKind, _SLOTS),
                budgets=Budgets(first=_CALL, later=_CALL),
                endpoint_schedule=SCHEDULE,
                patience=timedelta(),
            ),
            desk=self.desk,
        )
        self.outbox.senders.append(sender)
        leases.gain()
        try:
            await sender.run()
        except BaseException:
            if not self.fate.died:
                raise
        finally:
            self.outbox.senders.remove(sender)

    async def _until_death(self, befalls: str) -> None:
        life = asyncio.ensure_future(self._live())
        try:
            async with asyncio.timeout(_LIFE_SECONDS):
                while not (await asyncio.wait([life], timeout=_PATIENCE_SECONDS))[0]:
                    # All that could leave has left, and the rest waits for its time.
                    await self._recover()
                    await self._say(befalls)
        except TimeoutError:
            life.cancel()
        await life

    async def _finish(self) -> None:
        self.fate.plan("", 0)
        life = asyncio.ensure_future(self._live())
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                while await self._under_way():
                    await self._recover()
                    await asyncio.sleep(_LOOK_SECONDS)
        finally:
            life.cancel()
            await asyncio.wait([life])

    async def _under_way(self) -> int:
        count: int = await self.outbox.value(
            "SELECT count(*) FROM deliveries"
            " WHERE status IN ('pending', 'sending') OR (status = 'uncertain' AND holds_lane)"
        )
        return count + len(self.webhooks)

    async def _recover(self) -> None:
        """Let a minute pass: what "Meta" posted takes effect, and who was shut out is let in."""
        await self._hear()
        self.outbox.advance(_MINUTE)
        await self.outbox.execute(
            "UPDATE partition_owners SET caught_up_at = :now", now=self.outbox.clock.now()
        )
        for channel in await self.outbox.rows("SELECT id FROM channels WHERE status <> 'active'"):
            await self._reactivate(channel["id"])

    async def _reactivate(self, channel_id: str) -> None:
        async with self.outbox.database.unit_of_work() as work:
            channel = await get_channel(work.connection, self.outbox.account, channel_id, lock=True)
            assert channel is not None
            await write_status(work, channel, status=ChannelStatus.ACTIVE, status_reason=None)

    async def _hear(self) -> None:
        posted, self.webhooks[:] = list(self.webhooks), []
        for body in posted:
            events = normalise(body, meta_app_id=APP, received_at=self.outbox.clock.now()).events
            # What people said before is nothing that this is about.
            about = [each for each in events if each.type != "gateway.message.received.v1"]
            if about:
                await self.inbound.handle(about)

    async def _page_id(self, channel: str) -> str:
        found: str = await self.outbox.value(
            "SELECT page_id FROM channels WHERE id = :id", id=channel
        )
        return found

    async def _attachments(self) -> list[dict[str, Any]]:
        return await self.outbox.rows("SELECT 1 FROM page_attachments")

    async def _outcomes(self) -> list[dict[str, Any]]:
        return await self.outbox.rows(
            "SELECT outcome, count(*) AS count FROM delivery_attempts GROUP BY outcome"
        )


def _plant(fate: Fate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant the points of a sender in this process, to be taken out again with the test."""
    for owner, name in (
        (Sender, "__init__"),
        (Sender, "drain"),
        (Settlement, "settle"),
        (Board, "settled"),
        (MediaDesk, "prepare"),
        (AttachmentUploads, "upload"),
        (ShardLeases, "release_all"),
        (ShardLeases, "_execute"),
    ):
        # What stands there now comes back.
        monkeypatch.setattr(owner, name, getattr(owner, name))
    for plant in plants("sender"):
        plant(fate.passed)


@asynccontextmanager
async def lives(
    database_url: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Lives]:
    """Open an account whose sender can be made to die, with its own "Meta"."""
    fate, webhooks = Fate(), list[bytes]()
    _plant(fate, monkeypatch)

    def post(request: httpx.Request) -> httpx.Response:
        webhooks.append(request.content)
        return httpx.Response(200)

    egress = Egress(EgressPolicy(ports=frozenset({443})), resolver=SystemResolver(threads=1))
    store = MediaStore.at("", data_dir=str(directory))
    async with Outbox.open(database_url) as outbox, _meta(outbox, post) as client:
        handler = InboundHandler(outbox.database, topic=TOPIC, rules=RULES)
        await handler.assigned(0)
        inbound = Inbound(
            outbox.engine, outbox.clock, outbox.database, handler, account=outbox.account
        )
        desk = MediaDesk(
            MortalDatabase(outbox.database, fate),
            store,
            Fetching(egress, store),
            AttachmentUploads(client, base_url=_SANDBOX),
            seconds=4,
        )
        opened = Lives(outbox, inbound, client, desk, store, fate, webhooks)
        yield await opened.prepare()
    await egress.aclose()


@asynccontextmanager
async def _meta(
    outbox: Outbox, post: Callable[[httpx.Request], httpx.Response]
) -> AsyncIterator[httpx.AsyncClient]:
    """Open a sandbox that lives by the product's clock, and a client of it."""
    sandbox = create_sandbox(
        SandboxSettings(
            app_id=APP,
            app_secret=SecretStr(APP_SECRET),
            webhook_url="http://gateway.test/webhooks/meta/{app_id}",
        ),
        clock=outbox.clock,
        transport=httpx.MockTransport(post),
    )
    async with (
        sandbox.router.lifespan_context(sandbox),
        httpx.AsyncClient(
            transport=Meta(httpx.ASGITransport(sandbox)), base_url=_SANDBOX, timeout=30
        ) as client,
    ):
        yield client
