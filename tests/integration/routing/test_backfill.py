"""What no webhook told is fetched from Meta's conversations and applied once."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.support.inbound import PAGE, RULES, TOPIC, VISITOR, Inbound, inbound

from gateway.contracts.moments import rfc3339
from gateway.db.errands import Errand
from gateway.domain import ids
from gateway.meta.graph import GraphClient
from gateway.sender.backfill import Backfill
from gateway.sender.duties import Again, Done, GoOn, Impossible, Result
from routing.inbound.draining import Drain

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]


@dataclass
class Meta:
    """A Page's threads as Graph lists them, two a page; and what was asked."""

    threads: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    asked: list[httpx.URL] = field(default_factory=list)
    status: int = 200

    def says(
        self, mid: str, text: str, at: datetime, *, visitor: str = VISITOR, by: str | None = None
    ) -> None:
        """Put a message at the top of a visitor's thread; `by` the Page where it says so."""
        self.threads.setdefault(visitor, []).insert(
            0,
            {
                "id": mid,
                "message": text,
                "from": {"id": by or visitor},
                "created_time": _time(at),
            },
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        start = int(request.url.params.get("after", "0"))
        listed = [
            {
                "id": f"t_{visitor}",
                "updated_time": said[0]["created_time"],
                "participants": {"data": [{"id": visitor}, {"id": PAGE}]},
                "messages": {"data": said},
            }
            for visitor, said in self.threads.items()
        ][start : start + 2]
        cursors = {"before": str(start), "after": str(start + 2)}
        document = {"data": listed, **({"paging": {"cursors": cursors}} if listed else {})}
        body = httpx.ByteStream(json.dumps(document).encode())
        return httpx.Response(self.status, stream=body)


@dataclass
class Box:
    """A router beside a Page whose threads Meta keeps."""

    stage: Inbound
    meta: Meta
    channel: str

    def ago(self, seconds: float) -> datetime:
        return self.stage.clock.now() - timedelta(seconds=seconds)

    async def step(self, data: dict[str, Any]) -> Result:
        """Do one step of a back-fill, and commit what it found."""
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.meta.answer))
        graph = GraphClient(client, base_url="https://graph.example")
        errand = Errand(
            account_id=self.stage.account,
            id="ern_1",
            shard=0,
            kind="backfill",
            conversation_id=None,
            subject_id=self.channel,
            due_at=self.stage.clock.now(),
            version=1,
            run=1,
            attempt=1,
            data=data,
        )
        result = await Backfill(self.stage.database, graph).run(errand)
        if isinstance(result, Done | GoOn):
            async with self.stage.database.unit_of_work() as work:
                await result.effect(work)
        return result

    async def fill(self, since: datetime) -> None:
        """Do a whole back-fill, and let routing take up what was found."""
        result: Result = GoOn(due_at=since, data={"since": rfc3339(since)})
        while isinstance(result, GoOn):
            result = await self.step(dict(result.data))
        assert isinstance(result, Done)
        await Drain(self.stage.database, topic=TOPIC, rules=RULES).sweep()

    async def messages(self) -> list[tuple[str, str, bool]]:
        rows = await self.stage.all(
            "SELECT content ->> 'text' AS words, author_kind, late FROM messages ORDER BY sequence"
        )
        return [(row.words, row.author_kind, row.late) for row in rows]

    async def enquiries(self) -> list[str]:
        rows = await self.stage.all("SELECT status, handled_by FROM enquiries ORDER BY id")
        return [row.handled_by or row.status for row in rows]


@pytest.fixture
async def box(database_url: str) -> AsyncIterator[Box]:
    async with inbound(database_url) as stage:
        channel = await stage.channel()
        token = stage.database.keyring.encrypt("EAA", row=f"channels/{channel}/page_access_token")
        secret = stage.database.keyring.encrypt("s", row="meta_apps/310000000000001/app_secrets")
        await stage.execute("UPDATE channels SET page_access_token = :token", token=token)
        await stage.execute("UPDATE meta_apps SET app_secrets = :secrets", secrets=[secret])
        await stage.execute("INSERT INTO topics VALUES (:topic, 1, now())", topic=TOPIC)
        yield Box(stage, Meta(), channel)


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S+0000")


async def test_what_was_missed_is_applied_once_and_in_order(box: Box) -> None:
    known = box.stage.message("known", mid="m_1", at=box.ago(60))
    await box.stage.feed(known)
    box.meta.says("m_0", "long ago", box.ago(9000))
    box.meta.says("m_1", "known", box.ago(60))
    box.meta.says("m_2", "missed", box.ago(40))
    box.meta.says("m_3", "missed too", box.ago(20))
    for _ in range(2):
        await box.fill(box.ago(3600))
    missed = [("missed", "contact", True), ("missed too", "contact", True)]
    assert await box.messages() == [("known", "contact", False), *missed]
    # A webhook that comes after all is a repeat.
    await box.stage.feed(box.stage.message("missed", mid="m_2", at=box.ago(40)))
    assert len(await box.messages()) == 3
    assert await box.enquiries() == ["open"]
    assert "EAA" not in str(box.meta.asked[0])


async def test_one_whom_nobody_answered_gets_an_enquiry_and_no_welcome(box: Box) -> None:
    box.meta.says("m_1", "anybody there?", box.ago(20))
    await box.fill(box.ago(3600))
    assert await box.enquiries() == ["open"]
    assert await box.messages() == [("anybody there?", "contact", True)]
    assert await box.stage.value("SELECT late FROM enquiries")


async def test_one_who_was_answered_meanwhile_gets_none(box: Box) -> None:
    box.meta.says("m_1", "anybody there?", box.ago(30))
    box.meta.says("m_2", "yes", box.ago(20), by=PAGE)
    await box.fill(box.ago(3600))
    assert await box.enquiries() == []
    assert await box.messages() == [("anybody there?", "contact", True), ("yes", "page", True)]


async def test_an_older_message_moves_no_enquiry(box: Box) -> None:
    await box.stage.feed(box.stage.message("newer", mid="m_2", at=box.ago(10)))
    await box.stage.execute("UPDATE enquiries SET status = 'closed', closed_at = now()")
    box.meta.says("m_1", "older", box.ago(30))
    box.meta.says("m_2", "newer", box.ago(10))
    await box.fill(box.ago(3600))
    assert await box.enquiries() == ["closed"]
    assert [late for _, _, late in await box.messages()] == [False, True]


async def test_all_pages_are_read_until_one_is_old_enough(box: Box) -> None:
    for number in range(5):
        box.meta.says(f"m_{number}", "hello", box.ago(10 + number), visitor=f"9{number}")
    for number in range(5, 9):
        box.meta.says(f"m_{number}", "long ago", box.ago(9000), visitor=f"9{number}")
    first = await box.step({"since": rfc3339(box.ago(3600))})
    assert isinstance(first, GoOn)
    assert first.due_at == box.stage.clock.now() + timedelta(seconds=1)
    # The process died there: the next one goes on with what was committed.
    await box.fill(box.ago(3600))
    assert [url.params.get("after") for url in box.meta.asked] == [None, None, "2", "4"]
    assert len(await box.messages()) == 5


@pytest.mark.parametrize("status", ["sending", "uncertain", "failed"])
async def test_a_message_of_ours_whose_echo_was_lost_is_settled(box: Box, status: str) -> None:
    await box.stage.feed(box.stage.message(mid="m_1", at=box.ago(60)))
    for words in ("our answer", "another"):
        message = ids.new_id(ids.MESSAGE)
        await box.stage.execute(
            "INSERT INTO messages (account_id, id, channel_id, conversation_id, sequence,"
            " direction, author_kind, content, status, occurred_at, accepted_at)"
            " SELECT account_id, :id, channel_id, id, 90, 'outbound', 'agent',"
            " jsonb_build_object('type', 'text', 'text', CAST(:words AS text)), :status, :at, :at"
            " FROM conversations",
            id=message,
            words=words,
            status=status,
            at=box.ago(50),
        )
        await box.stage.execute(
            "INSERT INTO deliveries (id, account_id, shard, target_kind, target_id, lane, kind,"
            " message_id, ready, attempt, created_at) VALUES (:d, :a, 0, 'page', 'chn', 'l',"
            " 'message', :m, true, 1, now())",
            d=ids.new_id(ids.DELIVERY),
            a=box.stage.account,
            m=message,
        )
    box.meta.says("m_1", "hello", box.ago(60))
    box.meta.says("m_2", "our answer", box.ago(40), by=PAGE)
    # It may be ours, and nobody can tell: left to its echo.
    box.meta.says("m_3", "", box.ago(30), by=PAGE)
    await box.fill(box.ago(3600))
    sent = await box.stage.all(
        "SELECT content ->> 'text' AS words, source_message_id AS mid, status FROM messages"
        " WHERE direction = 'outbound' ORDER BY id"
    )
    assert [tuple(row) for row in sent] == [
        ("our answer", "m_2", "sent"),
        ("another", None, status),
    ]


async def test_meta_away_is_asked_again_and_a_channel_that_closed_is_left(box: Box) -> None:
    box.meta.status = 500
    assert isinstance(await box.step({"since": rfc3339(box.ago(60))}), Again)
    await box.stage.execute("UPDATE channels SET status = 'suspended'")
    assert isinstance(await box.step({"since": rfc3339(box.ago(60))}), Impossible)
