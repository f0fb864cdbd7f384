"""Waits that end together, with one timer."""

import asyncio

import pytest

from gateway.broker.deadlines import Deadlines


async def test_what_is_not_done_in_time_fails():
    loop = asyncio.get_running_loop()
    deadlines, late, began = Deadlines(), loop.create_future(), loop.time()
    deadlines.watch(late, began + 0.02)
    with pytest.raises(TimeoutError):
        await late
    assert 0.02 <= loop.time() - began < 0.5


async def test_what_is_done_or_given_up_is_left_alone():
    loop = asyncio.get_running_loop()
    deadlines, began = Deadlines(), loop.time()
    done, given_up, last = loop.create_future(), loop.create_future(), loop.create_future()
    for future in (done, given_up, last):
        deadlines.watch(future, began)
    done.set_result("kept")
    given_up.cancel()
    with pytest.raises(TimeoutError):
        await last
    assert done.result() == "kept"
    assert given_up.cancelled()


async def test_a_deadline_that_has_passed_ends_the_wait_at_once():
    loop = asyncio.get_running_loop()
    deadlines, late = Deadlines(), loop.create_future()
    deadlines.watch(late, loop.time() - 5)
    async with asyncio.timeout(1):
        with pytest.raises(TimeoutError):
            await late
