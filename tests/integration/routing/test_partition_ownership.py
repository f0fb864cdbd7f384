"""One owner a partition: fences, poison, and what a killed process leaves behind."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.inbound import Inbound, inbound

from gateway.broker.records import Record
from gateway.domain.partition import PartitionLostError
from gateway.meta.normalise import normalise
from routing.inbound.worker import InboundHandler


class Killed(BaseException):
    """The process died here."""


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Inbound]:
    async with inbound(database_url) as stage:
        await stage.channel()
        yield stage


def _records(stage: Inbound, *texts: str) -> list[Record]:
    records = []
    for each in texts:
        item = stage.message(each, visitor=each)
        body = {"object": "page", "entry": [{"id": "1040001", "messaging": [item]}]}
        events = normalise(
            json.dumps(body).encode(), meta_app_id="310000000000001", received_at=stage.clock.now()
        ).events
        records += [stage.record(event) for event in events]
    return records


async def _texts(stage: Inbound) -> list[str]:
    rows = await stage.all("SELECT content FROM messages ORDER BY accepted_at, id")
    return [row.content["text"] for row in rows]


async def test_a_stalled_owner_can_do_nothing_once_another_took_over(stage: Inbound) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def stall(point: str) -> None:
        if point == "before_move":
            reached.set()
            await go_on.wait()

    stale = stage.another(at=stall)
    await stale.assigned(0)
    records = _records(stage, "a")
    async with asyncio.TaskGroup() as group:
        working = group.create_task(_lost(stale, records))
        await reached.wait()
        fresh = stage.another()
        assert await fresh.assigned(0) is None
        go_on.set()
        assert await working
    assert await _texts(stage) == []
    await fresh.handle(0, records)
    assert await _texts(stage) == ["a"]
    with pytest.raises(PartitionLostError):
        await stale.caught_up(0, stage.clock.now())


async def _lost(handler: InboundHandler, records: list[Record]) -> bool:
    try:
        await handler.handle(0, records)
    except PartitionLostError:
        return True
    return False


async def test_effects_and_offset_move_together(stage: Inbound) -> None:
    async def die(point: str) -> None:
        if point == "before_commit":
            raise Killed

    dying = stage.another(at=die)
    await dying.assigned(0)
    records = _records(stage, "a")
    with pytest.raises(Killed):
        await dying.handle(0, records)
    assert await _texts(stage) == []
    successor = stage.another()
    assert await successor.assigned(0) is None
    await successor.handle(0, records)
    assert await _texts(stage) == ["a"]
    after = stage.another()
    assert await after.assigned(0) == records[-1].offset + 1


async def test_a_process_killed_after_the_commit_repeats_nothing(stage: Inbound) -> None:
    async def die(point: str) -> None:
        if point == "after_commit":
            raise Killed

    dying = stage.another(at=die)
    await dying.assigned(0)
    records = _records(stage, "a")
    with pytest.raises(Killed):
        await dying.handle(0, records)
    successor = stage.another()
    assert await successor.assigned(0) == records[0].offset + 1
    await successor.handle(0, records)
    assert await _texts(stage) == ["a"]


async def test_a_record_that_fails_five_times_is_set_aside_and_the_rest_goes_on(
    stage: Inbound,
) -> None:
    tried_at: list[int | None] = []

    async def fail(point: str) -> None:
        if point == "before_move":
            tried_at.append(await stage.value("SELECT next_offset FROM partition_owners"))
            # All together at first, and then the second of them.
            if len(tried_at) == 1 or tried_at[-1] == 1:
                raise ValueError(point)

    handler = stage.another(at=fail)
    await handler.assigned(0)
    records = _records(stage, "a", "b", "c")
    await handler.handle(0, records)
    assert await _texts(stage) == ["a", "c"]
    letter = await stage.one("SELECT * FROM dead_letters")
    assert (letter.reason, letter.attempts, letter.record_offset) == ("poison", 5, 1)
    assert letter.account_id == stage.account
    assert tried_at == [None, None, 1, 1, 1, 1, 1, 2]


async def test_a_record_on_which_processes_die_is_set_aside_after_two_deaths_on_trial(
    stage: Inbound,
) -> None:
    async def die(point: str) -> None:
        if point == "before_move":
            raise Killed

    records = _records(stage, "a", "b")
    # The first two make it a suspect: one of a batch, and then by itself.
    for _ in range(4):
        dying = stage.another(at=die, calm_seconds=0)
        await dying.assigned(0)
        with pytest.raises(Killed):
            await dying.handle(0, records)
    survivor = stage.another(calm_seconds=0)
    await survivor.assigned(0)
    await survivor.handle(0, records)
    assert await _texts(stage) == ["b"]
    letter = await stage.one("SELECT * FROM dead_letters")
    assert (letter.reason, letter.attempts) == ("poison", 3)


@pytest.mark.parametrize(
    ("deaths", "transactions"),
    [
        pytest.param(0, [3], id="the last batch of the one who died"),
        pytest.param(1, [1, 1, 1], id="a batch of which another died"),
        pytest.param(2, [1, 2], id="one record of which a third died"),
    ],
)
async def test_no_more_is_done_one_by_one_than_several_died_of(
    stage: Inbound, deaths: int, transactions: list[int]
) -> None:
    done: list[int] = []

    async def die(point: str) -> None:
        if point == "before_move":
            raise Killed

    async def note(point: str) -> None:
        if point == "after_commit":
            done.append(await stage.value("SELECT next_offset FROM partition_owners") - sum(done))

    records = _records(stage, "a", "b", "c")
    await stage.another().assigned(0)
    for _ in range(deaths):
        dying = stage.another(at=die, calm_seconds=0)
        await dying.assigned(0)
        with pytest.raises(Killed):
            await dying.handle(0, records)
    survivor = stage.another(at=note, calm_seconds=0)
    await survivor.assigned(0)
    await survivor.handle(0, records)
    assert done == transactions
    assert sorted(await _texts(stage)) == ["a", "b", "c"]


async def test_what_another_record_kills_is_not_blamed_on_those_under_way(stage: Inbound) -> None:
    async def at(point: str) -> None:
        if point == "before_move" and asyncio.current_task().get_name() == "killer":
            raise Killed
        # Slower than the killer, so that every death finds it under way.
        await asyncio.sleep(0.5)

    killer, innocent = _records(stage, "killer", "innocent")
    innocent = replace(innocent, partition=1, offset=0)
    # Whoever comes next finds both partitions left behind by a process that died.
    await stage.another().assigned(1)

    async def live() -> None:
        handler = stage.another(at=at, calm_seconds=0)
        places = {0: ("killer", killer), 1: ("innocent", innocent)}
        tasks = []
        for partition, (name, record) in places.items():
            going_on_at = await handler.assigned(partition) or 0
            records = [record][going_on_at:]
            tasks.append(asyncio.ensure_future(handler.handle(partition, records)))
            tasks[-1].set_name(name)
        _done, under_way = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    while not await stage.dead_letters():
        await live()
    assert await _texts(stage) == ["innocent"]
    assert await stage.dead_letters() == ["poison"]


async def test_what_dies_at_once_convicts_no_suspect(stage: Inbound) -> None:
    records = _records(stage, "a")

    async def die(point: str) -> None:
        if point == "before_move":
            raise Killed

    suspecting = stage.another(at=die)
    await suspecting.assigned(0)
    with pytest.raises(Killed):
        await suspecting.handle(0, records)
    for _ in range(4):
        short_lived = stage.another(at=die)
        await short_lived.assigned(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await short_lived.handle(0, records)
    assert await stage.value("SELECT tries FROM partition_owners") == 0
    assert await stage.dead_letters() == []


async def test_a_clean_handover_blames_no_record(stage: Inbound) -> None:
    records = _records(stage, "a")
    await stage.handler.handle(0, records)
    await stage.handler.revoked(0)
    row = await stage.one("SELECT * FROM partition_owners")
    assert (row.owned, row.suspect_offset, row.tries) == (False, None, 0)


async def test_a_log_that_lost_its_tail_is_read_from_its_start(stage: Inbound) -> None:
    records = _records(stage, "a")
    await stage.handler.handle(0, records)
    assert await stage.handler.out_of_range(0, 1, 0) == 0
    await stage.handler.handle(0, [replace(records[0], offset=0)])
    assert await _texts(stage) == ["a"]
    assert await stage.dead_letters() == ["offset-out-of-range"]


async def test_being_caught_up_only_moves_forward(stage: Inbound) -> None:
    now = stage.clock.now()
    await stage.handler.caught_up(0, now)
    await stage.handler.caught_up(0, now - timedelta(seconds=5))
    assert await stage.value("SELECT caught_up_at FROM partition_owners") == now
