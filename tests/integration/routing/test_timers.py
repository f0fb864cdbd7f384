"""Due timers fire once, whoever reads them, and one that fails holds nobody up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy.exc
from sqlalchemy import text
from tests.support.desk import AllShards, Desk, desk

from gateway.db.timers import Timer, clear_timer, put_off, set_timer, take_timer
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.db.wakeups import Wakeups
from gateway.domain import ids
from gateway.domain.shards import shard_of
from routing.changes import RoutingChanges
from routing.due import HANDLERS, ForLatest, Handler
from routing.enquiries import EnquiryStatus
from routing.held import HeldEnquiry
from routing.timers import TimerWorker


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[Desk]:
    async with desk(database_url) as opened:
        yield opened


class Gate:
    """Holds a worker at a point until it is let go."""

    def __init__(self, point: str) -> None:
        self._point = point
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, point: str, _timer: Timer) -> None:
        if point == self._point:
            self.reached.set()
            await self.open.wait()


async def somebody_waits_for_a_lock(at: Desk) -> None:
    waiting = 0
    async with asyncio.timeout(10):
        while not waiting:
            waiting = await at.value(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )


async def offered(at: Desk) -> str:
    """Return an enquiry whose only offer has just run out."""
    enquiry_id = await at.say(await at.channel(await at.agent())) or ""
    at.clock.advance(timedelta(seconds=60))
    return enquiry_id


class TestOnce:
    async def test_two_workers_side_by_side(self, at: Desk) -> None:
        ada, ben = await at.agent(capacity=50), await at.agent(capacity=50)
        channel = await at.channel(ada, ben)
        enquiries = [await at.say(channel, f"v{n}") for n in range(20)]
        at.clock.advance(timedelta(seconds=60))
        tried = await asyncio.gather(*(at.worker().run_due() for _ in range(2)))
        assert sum(tried) >= len(enquiries)
        for enquiry_id in enquiries:
            assert await at.told(enquiry_id) == [
                *("opened", "offered", "offer_withdrawn", "offered"),
            ]

    async def test_a_worker_held_before_the_lock_finds_nothing_left(self, at: Desk) -> None:
        enquiry_id = await offered(at)
        gate = Gate("read")
        async with asyncio.TaskGroup() as group:
            stale = group.create_task(at.worker(at=gate).run_due())
            await gate.reached.wait()
            await at.timers()
            told = await at.told(enquiry_id)
            assert told[-1] == "missed"
            gate.open.set()
            await stale
        assert await at.told(enquiry_id) == told

    async def test_a_worker_that_dies_before_its_commit_leaves_it_to_others(self, at: Desk) -> None:
        enquiry_id = await offered(at)
        gate = Gate("before_commit")
        dying = asyncio.get_running_loop().create_task(at.worker(at=gate).run_due())
        await gate.reached.wait()
        # The other one waits for the conversation until the first is gone.
        other = asyncio.get_running_loop().create_task(at.timers())
        dying.cancel()
        await asyncio.wait([dying, other])
        assert (await at.told(enquiry_id)).count("missed") == 1

    async def test_a_timer_that_was_moved_meanwhile_does_not_fire(self, at: Desk) -> None:
        ada = await at.agent()
        channel = await at.channel(ada)
        enquiry_id = await at.say(channel) or ""
        at.clock.advance(timedelta(seconds=60))
        gate = Gate("read")
        async with asyncio.TaskGroup() as group:
            stale = group.create_task(at.worker(at=gate).run_due())
            await gate.reached.wait()
            # A new offer to the same agent runs longer.
            await at.transfer(enquiry_id, ada)
            gate.open.set()
            await stale
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.OFFERED

    async def test_a_timer_that_was_taken_back_meanwhile_does_not_fire(self, at: Desk) -> None:
        ada = await at.agent()
        enquiry_id = await at.say(await at.channel(ada)) or ""
        at.clock.advance(timedelta(seconds=60))
        gate = Gate("read")
        async with asyncio.TaskGroup() as group:
            stale = group.create_task(at.worker(at=gate).run_due())
            await gate.reached.wait()
            await at.accept(enquiry_id, ada)
            gate.open.set()
            await stale
        assert await at.told(enquiry_id) == ["opened", "offered", "accepted"]

    async def test_no_row_no_effect(self, at: Desk) -> None:
        """The row alone is the fence: this effect would show if it came twice."""
        effects: list[str] = []

        async def act(_held: HeldEnquiry, timer: Timer) -> None:
            effects.append(timer.subject_id)

        handlers = {"probe": ForLatest(act)}
        conversation_id = (await at.enquiry(await at.say(await at.channel()))).conversation_id
        for change in (at.worker(handlers=handlers).run_due, lambda: set_probe(at, "x", due_in=9)):
            await set_probe(at, "x", conversation_id=conversation_id)
            gate = Gate("read")
            async with asyncio.TaskGroup() as group:
                stale = group.create_task(at.worker(at=gate, handlers=handlers).run_due())
                await gate.reached.wait()
                await change()
                gate.open.set()
                await stale
            assert effects == ["x"]

    async def test_a_heartbeat_and_its_expiry_do_not_lock_each_other_out(self, at: Desk) -> None:
        failures: list[Exception] = []

        async def watched(work: UnitOfWork, timer: Timer) -> None:
            try:
                await HANDLERS["presence"](work, timer)
            except Exception as error:
                failures.append(error)
                raise

        ada = await at.agent()
        await at.presence(ada, "active", expires_in=timedelta(seconds=5))
        at.clock.advance(timedelta(seconds=5))
        worker = at.worker(handlers={"presence": watched})
        async with asyncio.TaskGroup() as group:
            async with at.database.unit_of_work() as work:
                await work.connection.execute(
                    text("UPDATE agents SET presence_expires_at = :at WHERE id = :id"),
                    {"at": at.clock.now() + timedelta(seconds=5), "id": ada},
                )
                expiry = group.create_task(worker.run_due())
                await somebody_waits_for_a_lock(at)
                await RoutingChanges().presence_changed(work, at.account, ada)
            await expiry
        assert failures == []
        assert await at.value("SELECT presence FROM agents WHERE id = :id", id=ada) == "active"
        assert await at.timer_kinds() == ["presence"]

    async def test_only_shards_that_are_mine(self, at: Desk) -> None:
        enquiry_id = await offered(at)
        conversation_id = (await at.enquiry(enquiry_id)).conversation_id

        others = AllShards()
        others.mine = [n for n in range(256) if n != shard_of(conversation_id)]
        worker = TimerWorker(at.database, others, Wakeups(at.database_url))
        assert await worker.run_due() == 0

    async def test_nothing_starts_on_a_lease_that_ran_out(self, at: Desk) -> None:
        enquiry_id = await offered(at)

        asked = asyncio.Event()

        class Lapsed(AllShards):
            def safe(self, shard: int) -> bool:
                asked.set()
                return False

        worker = TimerWorker(at.database, Lapsed(), Wakeups(at.database_url))
        async with running(worker), asyncio.timeout(10):
            await asked.wait()
        assert (await at.enquiry(enquiry_id)).status is EnquiryStatus.OFFERED


@asynccontextmanager
async def running(*works: Any) -> AsyncIterator[None]:
    """Run workers beside the block."""
    tasks = [asyncio.get_running_loop().create_task(work.run()) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


class Probe:
    """A kind of timer of the test's own."""

    def __init__(self, act: Callable[[UnitOfWork, Timer], Awaitable[None]] | None = None) -> None:
        self.fired: list[str] = []
        self.more = asyncio.Event()
        self._act = act

    async def __call__(self, work: UnitOfWork, timer: Timer) -> None:
        if self._act is not None:
            await self._act(work, timer)
        if await take_timer(work, timer):
            self.fired.append(timer.subject_id)
            self.more.set()

    @property
    def handlers(self) -> dict[str, Handler]:
        return {"probe": self}


async def set_probe(
    at: Desk,
    subject: str,
    *,
    due_in: float = 0,
    database: Any = None,
    conversation_id: str | None = None,
) -> None:
    async with (database or at.database).unit_of_work() as work:
        await set_timer(
            work,
            account_id=at.account,
            kind="probe",
            subject_id=subject,
            conversation_id=conversation_id,
            due_at=at.clock.now() + timedelta(seconds=due_in),
        )


class TestTogether:
    async def test_offers_that_run_out_at_once_see_what_those_before_them_took(
        self, at: Desk
    ) -> None:
        ada, ben = await at.agent(capacity=5), await at.agent(capacity=2)
        channel = await at.channel(ada, ben)
        enquiries = [await at.say(channel, f"v{n}") for n in range(5)]
        at.clock.advance(timedelta(seconds=60))
        points: list[str] = []

        async def note(point: str, _timer: Timer) -> None:
            points.append(point)

        await at.worker(at=note).run_due()
        assert points[:10] == ["read"] * 5 + ["before_commit"] * 5
        rows = [await at.enquiry(each) for each in enquiries]
        asked = [row for row in rows if row.status is EnquiryStatus.OFFERED]
        assert {row.destination["id"] for row in asked} == {ben}
        assert len(asked) == 2
        assert sum(row.status is EnquiryStatus.OPEN for row in rows) == 3
        assert await at.timer_kinds() == ["offer"] * 2 + ["waiting"] * 5

    async def test_one_that_fails_holds_the_others_up_no_longer_than_its_batch(
        self, at: Desk
    ) -> None:
        ada, ben = await at.agent(capacity=9), await at.agent(capacity=9)
        good, broken = await at.channel(ada, ben), await at.channel(ada, ben)
        enquiries = [await at.say(good, f"v{n}") for n in range(3)]
        poison = await at.say(broken, "x")
        await at.execute("UPDATE channels SET routing = '{}' WHERE id = :id", id=broken)
        at.clock.advance(timedelta(seconds=60))
        await at.worker().run_due()
        for enquiry_id in enquiries:
            assert (await at.enquiry(enquiry_id)).destination["id"] == ben
        assert (await at.enquiry(poison)).destination["id"] == ada
        data = await at.value(
            "SELECT data FROM timers WHERE subject_id = :id AND kind = 'offer'", id=poison
        )
        assert data == {"failures": 1}

    async def test_those_of_several_accounts_do_and_none_sees_the_others_agents(
        self, at: Desk
    ) -> None:
        other = replace(at, account=ids.new_id(ids.ACCOUNT))
        await at.execute(
            "INSERT INTO accounts (id, name, created_at, updated_at) VALUES (:id, 'B', :now, :now)",
            id=other.account,
            now=at.clock.now(),
        )
        asked: list[tuple[Desk, str | None, str]] = []
        for each in (at, other):
            ada, ben = await each.agent(), await each.agent(capacity=1)
            channel = await each.channel(ada, ben)
            for visitor in ("v1", "v2"):
                asked.append((each, await each.say(channel, visitor), ben))
                at.clock.advance(timedelta(milliseconds=1))
        at.clock.advance(timedelta(seconds=60))
        points: list[str] = []

        async def note(point: str, _timer: Timer) -> None:
            points.append(point)

        await at.worker(at=note).run_due()
        assert points[:8] == ["read"] * 4 + ["before_commit"] * 4
        assert [
            [offer.agent_id for offer in (await each.enquiry(enquiry_id)).pending_offers]
            for each, enquiry_id, _ in asked
        ] == [[asked[0][2]], [], [asked[2][2]], []]

    async def test_places_that_came_free_together_are_filled_together(self, at: Desk) -> None:
        await at.execute("UPDATE accounts SET concurrent_contacts_limit = 2")
        channel = await at.channel(await at.agent(capacity=9))
        enquiries = [await at.say(channel, f"v{n}") for n in range(5)]
        for enquiry_id in enquiries[:2]:
            await at.close(enquiry_id or "")
        await at.timers()
        rows = [await at.enquiry(each) for each in enquiries]
        assert [row.queued_at is None for row in rows] == [True] * 4 + [False]

    async def test_as_many_are_let_in_at_once_as_there_are_places(self, at: Desk) -> None:
        await at.execute("UPDATE accounts SET concurrent_contacts_limit = 2")
        channel = await at.channel(await at.agent(capacity=9))
        enquiries = []
        for n in range(7):
            enquiries.append(await at.say(channel, f"v{n}"))
            at.clock.advance(timedelta(milliseconds=1))
        await at.execute("UPDATE accounts SET concurrent_contacts_limit = 5")
        async with at.database.unit_of_work() as work:
            await RoutingChanges().contacts_limit_changed(work, at.account)
        told = await at.all(
            "SELECT conversation_id FROM timers WHERE kind = 'admit' ORDER BY due_at"
        )
        assert [row.conversation_id for row in told] == [
            (await at.enquiry(each)).conversation_id for each in enquiries[2:5]
        ]
        await at.timers()
        rows = [await at.enquiry(each) for each in enquiries]
        assert [row.queued_at is None for row in rows] == [True] * 5 + [False] * 2


class TestRunning:
    async def test_a_notification_wakes_it(self, at: Desk) -> None:
        wakeups = Wakeups(at.database_url)
        probe = Probe()
        worker = TimerWorker(at.database, AllShards(), wakeups, handlers=probe.handlers)
        waking = Database(at.engine, clock=at.clock, keyring=at.database.keyring, wake=wakeups.wake)
        async with running(worker, wakeups):
            async with asyncio.timeout(10):
                await set_probe(at, "one", database=waking)
                await probe.more.wait()
        assert probe.fired == ["one"]

    async def test_a_sweep_finds_what_no_notification_told_of(self, at: Desk) -> None:
        probe = Probe()
        worker = TimerWorker(
            at.database, AllShards(), Wakeups(at.database_url), handlers=probe.handlers
        )
        async with running(worker):
            await set_probe(at, "soon", due_in=0)
            async with asyncio.timeout(10):
                await probe.more.wait()
        assert probe.fired == ["soon"]

    async def test_more_than_it_reads_at_once(self, at: Desk) -> None:
        probe = Probe()
        await at.execute(
            "INSERT INTO timers (account_id, id, shard, kind, subject_id, due_at)"
            " SELECT :account, 'tmr_' || n, n % 256, 'probe', n, :now"
            " FROM generate_series(1, 700) AS n",
            account=at.account,
            now=at.clock.now(),
        )
        worker = TimerWorker(
            at.database, AllShards(), Wakeups(at.database_url), handlers=probe.handlers
        )
        async with running(worker), asyncio.timeout(30):
            while len(probe.fired) < 700:
                probe.more.clear()
                await probe.more.wait()
        assert len(set(probe.fired)) == 700

    async def test_it_waits_for_a_database_that_is_away(self, at: Desk) -> None:
        probe = Probe()
        refusals = iter([sqlalchemy.exc.TimeoutError("no connection")])

        class Away(Database):
            @asynccontextmanager
            async def unit_of_work(self) -> AsyncIterator[UnitOfWork]:
                for refusal in refusals:
                    raise refusal
                async with super().unit_of_work() as work:
                    yield work

        away = Away(at.engine, clock=at.clock, keyring=at.database.keyring)
        await set_probe(at, "one")
        worker = TimerWorker(away, AllShards(), Wakeups(at.database_url), handlers=probe.handlers)
        async with running(worker), asyncio.timeout(10):
            await probe.more.wait()
        assert probe.fired == ["one"]


class TestFailing:
    async def test_one_that_fails_holds_nobody_up_and_is_set_aside_at_last(self, at: Desk) -> None:
        tries = 0

        async def act(_work: UnitOfWork, timer: Timer) -> None:
            nonlocal tries
            if timer.subject_id == "bad":
                tries += 1
                raise ValueError("what one timer does")

        probe = Probe(act)
        worker = at.worker(handlers=probe.handlers)
        await set_probe(at, "bad")
        await set_probe(at, "good")
        for expected in range(1, 6):
            await worker.run_due()
            assert tries == expected
            assert await worker.run_due() == 0, "it waits before it is tried again"
            at.clock.advance(timedelta(seconds=16))
        assert probe.fired == ["good"]
        [letter] = await at.all("SELECT * FROM dead_letters")
        assert (letter.reason, letter.attempts) == ("timer-failed", 5)
        assert letter.account_id == at.account
        assert await at.timer_kinds() == []

    async def test_what_passes_by_itself_is_tried_for_ever(self, at: Desk) -> None:
        tries = 0

        async def act(_work: UnitOfWork, _timer: Timer) -> None:
            nonlocal tries
            tries += 1
            if tries <= 10:
                raise TimeoutError

        probe = Probe(act)
        worker = at.worker(handlers=probe.handlers)
        await set_probe(at, "slow")
        for _ in range(11):
            await worker.run_due()
            at.clock.advance(timedelta(seconds=1))
        assert probe.fired == ["slow"]
        assert await at.all("SELECT 1 FROM dead_letters") == []

    async def test_its_effects_are_rolled_back(self, at: Desk) -> None:
        async def act(work: UnitOfWork, _timer: Timer) -> None:
            await clear_timer(work, account_id=at.account, kind="probe", subject_id="other")
            raise ValueError("too late")

        await set_probe(at, "one")
        await set_probe(at, "other", due_in=100)
        await at.worker(handlers=Probe(act).handlers).run_due()
        assert await at.timer_kinds() == ["probe", "probe"]


class TestRows:
    async def test_setting_it_again_moves_it(self, at: Desk) -> None:
        await set_probe(at, "one", due_in=10)
        await set_probe(at, "one", due_in=20)
        [row] = await at.all("SELECT due_at, version FROM timers")
        assert row.due_at == at.clock.now() + timedelta(seconds=20)
        assert row.version == 2

    async def test_putting_off_one_that_is_gone_does_nothing(self, at: Desk) -> None:
        await set_probe(at, "one")
        [row] = await at.all("SELECT * FROM timers")
        timer = Timer(**row._mapping)
        async with at.database.unit_of_work() as work:
            assert await take_timer(work, timer)
            assert not await take_timer(work, timer)
            await put_off(work, timer, until=at.clock.now(), data={})
        assert await at.timer_kinds() == []
