"""The relay: order, positions without gaps, and deaths between publishing and marking."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.broker import InMemoryBroker
from tests.support.clock import FakeClock

from gateway.db.dead_letter_views import put_back
from gateway.db.dead_letters import SetAside, set_aside
from gateway.db.engine import create_engine
from gateway.db.outbox import NewEvent
from gateway.db.secrets import KeyRing, generate_key
from gateway.db.unit_of_work import Database
from gateway.domain import ids
from gateway.domain.shards import DEAD_LETTER_SHARD, shard_of
from gateway.errors import NotDurableError
from gateway.relay import Relay

CONVERSATIONS = "gateway.conversations.v1"


class Killed(BaseException):
    """The process died here."""


class Leases:
    """All shards, for as long as nobody takes them away."""

    def __init__(self) -> None:
        self.lost = False

    @property
    def mine(self) -> Mapping[int, int]:
        return {} if self.lost else dict.fromkeys(range(256), 1)

    def safe(self, shard: int) -> bool:
        return not self.lost

    def on_gained(self, callback: Callable[[Iterable[int]], None]) -> None:
        callback(self.mine)


class Stage:
    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.clock = FakeClock()
        self.database = Database(
            engine, clock=self.clock, keyring=KeyRing.from_text(generate_key("k"))
        )
        self.broker = InMemoryBroker()
        self.leases = Leases()
        self.accounts = [ids.new_id(ids.ACCOUNT) for _ in range(2)]

    def relay(self, **options: Any) -> Relay:
        return Relay(self.database, self.broker.producer(), self.leases, **options)

    async def announce(self, account: str, *names: str, key: str | None = None) -> None:
        async with self.database.unit_of_work() as work:
            for name in names:
                work.announce(
                    NewEvent(
                        type=f"gateway.{name}.v1",
                        account_id=account,
                        conversation_id=key,
                        sequence=None if key is None else int(name[1:]),
                        occurred_at=work.now,
                        data={"name": name},
                    )
                )

    async def feed(self, account: str) -> list[tuple[int, str]]:
        async with self.engine.connect() as connection:
            rows = await connection.execute(
                text(
                    "SELECT position, type FROM events WHERE account_id = :a AND position"
                    " IS NOT NULL ORDER BY position"
                ),
                {"a": account},
            )
            return [(row.position, row.type.split(".")[1]) for row in rows]

    def published(self) -> list[str]:
        """Return the types on the topic, in the order of each partition."""
        return [
            dict(record.headers)["ce_type"].decode().split(".")[1]
            for record in self.broker.records(CONVERSATIONS)
        ]


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    engine = create_engine(database_url, pool_size=5, max_overflow=5, application_name="tests")
    stage = Stage(engine)
    async with engine.begin() as connection:
        for account in stage.accounts:
            await connection.execute(
                text(
                    "INSERT INTO accounts (id, name, created_at, updated_at)"
                    " VALUES (:a, 'A', now(), now())"
                ),
                {"a": account},
            )
    yield stage
    await engine.dispose()


async def test_events_of_a_key_are_published_in_order_and_get_positions_without_gaps(
    stage: Stage,
) -> None:
    one, two = stage.accounts
    await stage.announce(one, "a1", "a2")
    await stage.announce(two, "b1")
    await stage.announce(one, "a3")
    assert await stage.relay().publish() == 4
    assert await stage.feed(one) == [(1, "a1"), (2, "a2"), (3, "a3")]
    assert await stage.feed(two) == [(1, "b1")]
    assert [name for name in stage.published() if name[0] == "a"] == ["a1", "a2", "a3"]
    assert await stage.relay().publish() == 0


async def test_numbers_decide_the_order_whatever_the_times_say(stage: Stage) -> None:
    account = stage.accounts[0]
    await stage.announce(account, "c1", key="cnv_x")
    stage.clock.advance(timedelta(seconds=-5))
    await stage.announce(account, "c2", key="cnv_x")
    await stage.relay().publish()
    assert [name for _, name in await stage.feed(account)] == ["c1", "c2"]


async def test_a_death_between_publishing_and_marking_publishes_again_with_the_same_id(
    stage: Stage,
) -> None:
    async def die(point: str) -> None:
        if point == "before_mark":
            raise Killed

    account = stage.accounts[0]
    await stage.announce(account, "a1", "a2")
    with pytest.raises(Killed):
        await stage.relay(at=die).publish()
    assert await stage.feed(account) == []
    await stage.relay().publish()
    assert await stage.feed(account) == [(1, "a1"), (2, "a2")]
    records = stage.broker.records(CONVERSATIONS)
    seen = [dict(record.headers)["ce_id"] for record in records]
    assert len(seen) == 4
    assert seen[:2] == seen[2:]


async def test_a_stale_relay_leaves_no_gap(stage: Stage) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def stall(point: str) -> None:
        if point == "before_mark":
            reached.set()
            await go_on.wait()

    account = stage.accounts[0]
    await stage.announce(account, "a1", "a2")
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.relay(at=stall).publish())
        await reached.wait()
        await stage.relay().publish()
        go_on.set()
    await stage.announce(account, "a3")
    await stage.relay().publish()
    assert await stage.feed(account) == [(1, "a1"), (2, "a2"), (3, "a3")]


async def test_nothing_is_marked_while_kafka_is_away(stage: Stage) -> None:
    account = stage.accounts[0]
    await stage.announce(account, "a1")
    stage.broker.away = True
    with pytest.raises(NotDurableError):
        await stage.relay().publish()
    assert await stage.feed(account) == []
    stage.broker.away = False
    await stage.relay().publish()
    assert await stage.feed(account) == [(1, "a1")]


async def test_nothing_is_published_without_a_lease(stage: Stage) -> None:
    await stage.announce(stage.accounts[0], "a1")
    stage.leases.lost = True
    assert await stage.relay().publish([0]) == 0
    assert stage.published() == []


async def test_a_dead_letter_is_copied_once_with_its_reason(stage: Stage) -> None:
    async with stage.database.unit_of_work() as work:
        letter = SetAside(
            reason="poison",
            stage="routing",
            attempts=5,
            key=b"key",
            headers=[("ce_id", b"evt_1"), ("odd", b"\xff")],
            value=b"{}",
        )
        await set_aside(work, [letter])
    relay = stage.relay()
    await relay.publish([DEAD_LETTER_SHARD + 1])
    assert stage.broker.records("gateway.dead-letters.v1") == []
    await relay.publish([DEAD_LETTER_SHARD])
    await relay.publish()
    (record,) = stage.broker.records("gateway.dead-letters.v1")
    headers = dict(record.headers)
    assert (record.key, record.value) == (b"key", b"{}")
    assert (headers["reason"], headers["stage"], headers["attempts"]) == (
        b"poison",
        b"routing",
        b"5",
    )
    assert headers["odd"] == b"\xff"


async def test_records_that_are_asked_back_are_put_back_in_order_and_once_more_after_a_death(
    stage: Stage,
) -> None:
    letters = [
        SetAside(
            reason="poison",
            stage="routing",
            topic="gateway.inbound.v1",
            partition=0,
            key=b"key",
            headers=[("ce_id", b"evt_1"), ("odd", b"\xff")],
            value=str(n).encode(),
        )
        for n in range(60)
    ]
    async with stage.database.unit_of_work() as work:
        await set_aside(work, letters)
        await put_back(work.connection, [letter.id for letter in letters], now=work.now)

    async def dies(point: str) -> None:
        if point == "before_mark_returned":
            raise Killed

    with pytest.raises(Killed):
        await stage.relay(at=dies).publish()
    await stage.relay().publish()
    await stage.relay().publish()
    records = stage.broker.records("gateway.inbound.v1")
    values = [int(record.value) for record in records]
    assert values == [*range(50), *range(60)]
    assert records[0].key == b"key"
    assert dict(records[0].headers) == {"ce_id": b"evt_1", "odd": b"\xff"}
    async with stage.engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT count(*) FROM dead_letters WHERE redelivered_at IS NOT NULL")
        )
        assert rows.scalar_one() == 60


async def test_what_no_wake_up_named_is_found_however_busy_other_shards_are(
    stage: Stage,
) -> None:
    marked = asyncio.Event()

    async def at(point: str) -> None:
        if point == "before_mark":
            marked.set()

    relay = stage.relay(at=at)
    account = stage.accounts[0]
    elsewhere = (shard_of("cnv_quiet") + 1) % 256
    await stage.announce(account, "n1", key="cnv_quiet")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(relay.run())
        # The first look, at everything, is over then.
        await marked.wait()
        marked.clear()
        await stage.announce(account, "n2", key="cnv_quiet")
        async with asyncio.timeout(5):
            while not marked.is_set():
                relay._look_at({elsewhere})
                await asyncio.sleep(0.005)
        running.cancel()
    assert stage.published() == ["n1", "n2"]
