"""Errands are run once each, by one process at a time, until they are done or given up."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.sending import Gate, Leases, Outbox

from gateway.db.errands import Errand, NewErrand, clear_errand, offer_errands, set_errands
from gateway.db.outbox import NewEvent
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.backoff import RetrySchedule
from gateway.sender.duties import Again, Done, Duty, GoOn, Impossible, Result
from gateway.sender.errands import Errands

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

KIND = "look"


class Outside:
    """What a test answers to the attempts, in the order in which they come."""

    def __init__(self) -> None:
        self.attempts: list[Errand] = []
        self._arrived: asyncio.Queue[tuple[Errand, asyncio.Future[Result]]] = asyncio.Queue()
        self._always: Result | None = None

    def always(self, result: Result) -> None:
        self._always = result

    async def run(self, errand: Errand) -> Result:
        self.attempts.append(errand)
        if self._always is not None:
            return self._always
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._arrived.put_nowait((errand, answer))
        return await answer

    async def next(self) -> tuple[Errand, asyncio.Future[Result]]:
        async with asyncio.timeout(10):
            return await self._arrived.get()

    @property
    def idle(self) -> bool:
        return self._arrived.empty()


class Scene:
    """Errands that are run by as many processes as a test starts."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.outside = Outside()
        self.duty = Duty(
            run=self.outside.run,
            seconds=30,
            schedule=RetrySchedule((timedelta(seconds=5), timedelta(seconds=60))),
        )
        self.gate = Gate()
        self.running: list[Errands] = []

    async def set(self, subject_id: str = "subject", **fields: Any) -> None:
        errand = NewErrand(
            **{
                "account_id": self.outbox.account,
                "kind": KIND,
                "subject_id": subject_id,
                "due_at": self.outbox.clock.now(),
                **fields,
            }
        )
        async with self.outbox.database.unit_of_work() as work:
            await set_errands(work, [errand])
        self.wake()

    async def clear(self, subject_id: str = "subject") -> None:
        async with self.outbox.database.unit_of_work() as work:
            await clear_errand(
                work, account_id=self.outbox.account, kind=KIND, subject_id=subject_id
            )

    def wake(self) -> None:
        for each in self.running:
            each.wake([])

    def advance(self, seconds: float) -> None:
        self.outbox.clock.advance(timedelta(seconds=seconds))
        self.wake()

    @asynccontextmanager
    async def process(
        self, *, epoch: int = 1, takes_over: bool = True, **duties: Duty
    ) -> AsyncIterator[tuple[Errands, Leases]]:
        if takes_over:
            await self.outbox.own_shards(epoch=epoch)
        leases = Leases(epoch)
        errands = Errands(
            self.outbox.database,
            leases,
            {KIND: self.duty, **duties},
            chance=random.Random(1),
            at=self.gate.at,
        )
        self.running.append(errands)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(errands.run())
            yield errands, leases
            self.running.remove(errands)
            task.cancel()

    async def gone(self) -> None:
        """Return once no errand is left."""
        await self.outbox.eventually("SELECT count(*) FROM errands", 0)

    async def put_off(self, seconds_at_least: float) -> None:
        """Return once the only errand is due so much later, and free."""
        await self.outbox.eventually(
            "SELECT due_at >= :at AND runs_until IS NULL FROM errands",
            wanted=True,
            at=self.outbox.clock.now() + timedelta(seconds=seconds_at_least),
        )


@pytest.fixture
def scene(outbox: Outbox) -> Scene:
    return Scene(outbox)


async def rename(work: UnitOfWork) -> None:
    await work.connection.execute(text("UPDATE accounts SET name = name || '!'"))


async def name(scene: Scene) -> str:
    return str(await scene.outbox.value("SELECT name FROM accounts"))


async def test_an_errand_that_is_due_is_run_and_its_effect_is_written_once(scene: Scene) -> None:
    async with scene.process():
        await scene.set(data={"url": "https://cdn.example/1"})
        errand, answer = await scene.outside.next()
        assert (errand.subject_id, errand.attempt) == ("subject", 1)
        assert errand.data == {"url": "https://cdn.example/1"}
        # No transaction stays open meanwhile; another look for what is due may pass through.
        await scene.outbox.eventually(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state LIKE 'idle in transaction%'",
            0,
        )
        answer.set_result(Done(rename))
        await scene.gone()
    assert await name(scene) == "A!"


async def test_who_has_the_account_may_offer_an_errand_that_is_being_settled(scene: Scene) -> None:
    """As routing does while it decides for an account; the settlement waits for the account."""
    account_id = scene.outbox.account

    async def tell(work: UnitOfWork) -> None:
        work.announce(
            NewEvent(type="gateway.test.v1", account_id=account_id, occurred_at=work.now, data={})
        )

    async with scene.process():
        await scene.set()
        errand, answer = await scene.outside.next()
        async with scene.outbox.database.unit_of_work() as work:
            await work.connection.execute(text("SELECT 1 FROM accounts FOR UPDATE"))
            answer.set_result(Done(tell))
            await scene.outbox.eventually(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'",
                1,
            )
            again = NewErrand(
                account_id=account_id, kind=KIND, subject_id=errand.subject_id, due_at=work.now
            )
            # Sooner than the database looks for deadlocks.
            await work.connection.execute(text("SET LOCAL lock_timeout = '300ms'"))
            await offer_errands(work, [again])
        await scene.gone()
    assert scene.outside.attempts == [errand]
    assert await scene.outbox.value("SELECT count(*) FROM events") == 1


async def test_what_is_due_later_and_what_is_taken_back_is_not_run(scene: Scene) -> None:
    await scene.set("later", due_at=scene.outbox.clock.now() + timedelta(seconds=60))
    await scene.set("never")
    await scene.clear("never")
    await scene.set("now")
    async with scene.process():
        errand, answer = await scene.outside.next()
        assert errand.subject_id == "now"
        answer.set_result(Done())
        await scene.outbox.eventually("SELECT count(*) FROM errands", 1)
        assert scene.outside.idle
        scene.advance(60)
        errand, answer = await scene.outside.next()
        assert errand.subject_id == "later"
        answer.set_result(Done())
        await scene.gone()


async def test_it_is_tried_by_its_schedule_and_then_set_aside(scene: Scene) -> None:
    async with scene.process():
        await scene.set()
        for attempt, least in ((1, 4), (2, 48)):
            errand, answer = await scene.outside.next()
            assert errand.attempt == attempt
            answer.set_result(Again("upstream-failed"))
            await scene.put_off(least)
            scene.advance(72)
        _, answer = await scene.outside.next()
        answer.set_result(Again("upstream-failed"))
        await scene.gone()
    (letter,) = await scene.outbox.rows("SELECT * FROM dead_letters")
    assert (letter["reason"], letter["stage"], letter["attempts"]) == ("errand-failed", "sender", 3)
    assert letter["account_id"] == scene.outbox.account
    assert b'"subject_id": "subject"' in letter["record_value"]


async def test_what_is_throttled_waits_as_told_and_uses_up_no_try(scene: Scene) -> None:
    async with scene.process():
        await scene.set()
        for _ in range(5):
            errand, answer = await scene.outside.next()
            assert errand.attempt == 1
            answer.set_result(Again("throttled", after=timedelta(seconds=600), counts=False))
            await scene.put_off(600)
            scene.advance(600)
        _, answer = await scene.outside.next()
        answer.set_result(Done())
        await scene.gone()
    assert await scene.outbox.rows("SELECT * FROM dead_letters") == []


async def test_one_that_raises_or_hangs_is_tried_again(scene: Scene) -> None:
    async def raising(errand: Errand) -> Result:
        if errand.attempt == 1:
            raise ValueError
        return await scene.outside.run(errand)

    scene.duty = replace(scene.duty, run=raising)
    hanging = replace(scene.duty, run=scene.outside.run, seconds=0.05)
    async with scene.process(hang=hanging):
        await scene.set()
        await scene.put_off(4)
        scene.advance(5)
        _, answer = await scene.outside.next()
        answer.set_result(Done())
        await scene.gone()
        await scene.set(kind="hang")
        _, answer = await scene.outside.next()
        await scene.put_off(4)
        assert answer.cancelled()


async def test_what_is_impossible_is_given_up_at_once_as_its_duty_says(scene: Scene) -> None:
    told: list[str] = []

    async def given_up(work: UnitOfWork, errand: Errand, reason: str) -> None:
        told.append(f"{errand.subject_id}: {reason}")
        await rename(work)

    scene.outside.always(Impossible("too-large"))
    scene.duty = replace(scene.duty, given_up=given_up)
    async with scene.process():
        await scene.set()
        await scene.gone()
    assert told == ["subject: too-large"]
    assert await name(scene) == "A!"
    assert await scene.outbox.rows("SELECT * FROM dead_letters") == []


async def test_one_that_goes_step_by_step_begins_each_step_with_all_its_tries(
    scene: Scene,
) -> None:
    async with scene.process():
        await scene.set(data={"page": 1})
        _, answer = await scene.outside.next()
        answer.set_result(Again("upstream-failed"))
        await scene.put_off(4)
        scene.advance(5)
        _, answer = await scene.outside.next()
        answer.set_result(GoOn(due_at=scene.outbox.clock.now(), data={"page": 2}, effect=rename))
        await scene.outbox.eventually("SELECT data->>'page' FROM errands", "2")
        assert await name(scene) == "A!"
        scene.wake()
        errand, answer = await scene.outside.next()
        assert (errand.data, errand.attempt) == ({"page": 2}, 1)
        answer.set_result(Done())
        await scene.gone()


class TestOneAtATime:
    async def test_the_next_owner_waits_until_a_stalled_attempt_must_have_ended(
        self, scene: Scene
    ) -> None:
        async with scene.process(epoch=1) as (_, leases):
            await scene.set()
            _, stalled = await scene.outside.next()
            leases.epochs = {}
            async with scene.process(epoch=2):
                await scene.set("other")
                errand, answer = await scene.outside.next()
                assert errand.subject_id == "other"
                answer.set_result(Done())
                await scene.outbox.eventually("SELECT count(*) FROM errands", 1)
                scene.wake()
                assert scene.outside.idle
                # Its time is over, and it has not been settled: it is run anew.
                await scene.outbox.execute("UPDATE errands SET runs_until = clock_timestamp()")
                scene.wake()
                errand, answer = await scene.outside.next()
                assert (errand.subject_id, errand.attempt, errand.run) == ("subject", 2, 2)
                # The first one's word does not count any more, and frees nothing.
                stalled.set_result(Done(rename))
                await asyncio.sleep(0.1)
                assert await scene.outbox.value("SELECT runs_until IS NOT NULL FROM errands")
                assert await name(scene) == "A"
                answer.set_result(Done(rename))
                await scene.gone()
        assert await name(scene) == "A!"

    async def test_a_lease_that_is_lost_or_short_claims_nothing(self, scene: Scene) -> None:
        await scene.outbox.own_shards(epoch=1, seconds=1.9)
        async with scene.process(epoch=1, takes_over=False):
            await scene.set()
            await asyncio.sleep(0.1)
            assert await scene.outbox.value("SELECT run FROM errands") == 0
            await scene.outbox.own_shards(epoch=2, owner="another")
            scene.wake()
            await asyncio.sleep(0.1)
            assert await scene.outbox.value("SELECT run FROM errands") == 0

    async def test_a_process_that_stalls_after_its_claim_gives_it_back(self, scene: Scene) -> None:
        scene.gate.close("before_errand")
        async with scene.process() as (_, leases):
            await scene.set()
            await scene.gate.reached("before_errand")
            leases.safe_now = False
            scene.gate.open("before_errand")
            await scene.outbox.eventually("SELECT runs_until IS NULL FROM errands", wanted=True)
            assert scene.outside.attempts == []
            assert await scene.outbox.value("SELECT attempt FROM errands") == 0

    async def test_two_side_by_side_run_each_once(self, scene: Scene) -> None:
        scene.outside.always(Done(rename))
        for number in range(30):
            await scene.set(f"s{number}")
        async with scene.process(), scene.process():
            await scene.gone()
        assert len(scene.outside.attempts) == 30
        assert await name(scene) == "A" + 30 * "!"


async def test_an_errand_set_anew_while_it_runs_is_run_again(scene: Scene) -> None:
    async with scene.process():
        await scene.set(data={"page": 1})
        _, first = await scene.outside.next()
        await scene.set(data={"page": 9})
        assert scene.outside.idle
        first.set_result(Done(rename))
        errand, answer = await scene.outside.next()
        assert (errand.data, errand.attempt) == ({"page": 9}, 1)
        assert await name(scene) == "A"
        answer.set_result(Done())
        await scene.gone()


async def test_an_effect_that_cannot_be_written_is_tried_again(scene: Scene) -> None:
    async def broken(work: UnitOfWork) -> None:
        await rename(work)
        raise ValueError

    async with scene.process():
        await scene.set()
        _, answer = await scene.outside.next()
        answer.set_result(Done(broken))
        await scene.put_off(4)
        assert await name(scene) == "A"


async def test_no_kind_takes_more_than_its_share(scene: Scene) -> None:
    scene.duty = replace(scene.duty, at_once=2)
    for number in range(5):
        await scene.set(
            f"s{number}", due_at=scene.outbox.clock.now() + timedelta(microseconds=number)
        )
    scene.outbox.clock.advance(timedelta(seconds=1))
    other = Outside()
    async with scene.process(other=replace(scene.duty, run=other.run)):
        await scene.set(kind="other")
        _, answer = await other.next()
        answer.set_result(Done())
        order = []
        running = [await scene.outside.next() for _ in range(2)]
        while running:
            assert scene.outside.idle
            errand, answer = running.pop(0)
            order.append(errand.subject_id)
            answer.set_result(Done())
            if len(order) < 4:
                running.append(await scene.outside.next())
        assert sorted(order) == ["s0", "s1", "s2", "s3", "s4"]
        # The longest due first.
        assert set(order[:2]) == {"s0", "s1"}


async def test_a_process_that_ends_lets_errands_end_and_gives_back_the_rest(scene: Scene) -> None:
    async with scene.process() as (errands, _):
        await scene.set("quick")
        _, quick = await scene.outside.next()
        await scene.set("slow")
        _, slow = await scene.outside.next()
        drained = asyncio.get_running_loop().create_task(errands.drain(seconds=1.3))
        await asyncio.sleep(0)
        quick.set_result(Done())
        assert not await drained
        assert slow.cancelled()
        (left,) = await scene.outbox.rows("SELECT * FROM errands")
        assert (left["subject_id"], left["attempt"], left["runs_until"]) == ("slow", 0, None)
        await scene.set("new")
        assert scene.outside.idle
    scene.outside.always(Done())
    async with scene.process():
        await scene.gone()
