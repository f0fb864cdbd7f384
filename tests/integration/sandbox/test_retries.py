"""What happens to webhooks that are not answered 200, by the sandbox's own clock."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from tests.support.sandbox import APP_ID, PAGE, PSID, Box, Hook, settings

from gateway.sandbox.courier import RETRY_DELAYS
from gateway.sandbox.settings import SandboxSettings

pytestmark = pytest.mark.integration


async def pass_time(box: Box, hook: Hook, span: timedelta) -> None:
    """Let a span pass in the steps of the schedule, each attempt made before the next step."""
    for delay in RETRY_DELAYS[1:]:
        if span <= timedelta():
            return
        before = len(hook.requests)
        await box.advance(seconds=delay.total_seconds())
        span -= delay
        await hook.wait_for(before + 1)


async def state_of(box: Box):
    return (await box.control("GET", "/pages"))["data"][0]


async def test_a_refused_webhook_is_posted_again_at_once(harbour: Box, hook: Hook):
    hook.then(503)
    answer = await harbour.says("hello")
    assert answer["status"] == 503
    await hook.wait_for(2)

    first, second = hook.requests
    assert first.content == second.content
    assert first.headers["x-hub-signature-256"] == second.headers["x-hub-signature-256"]
    entries = await harbour.journal()
    assert [(each["status"], each["attempt"]) for each in entries] == [(503, 1), (200, 2)]
    assert (await harbour.thread())["messages"][0]["tick"] == "delivered"


@pytest.mark.parametrize("status", [201, 202, 204, 302, 400, 401, 500])
async def test_nothing_but_200_will_do(harbour: Box, hook: Hook, status: int):
    hook.then(status)
    await harbour.says("hello")
    await hook.wait_for(2)


async def test_retries_become_rarer(harbour: Box, hook: Hook):
    hook.usual = 503
    await harbour.says("hello")
    await hook.wait_for(2)
    for number, delay in enumerate(RETRY_DELAYS[1:8], start=3):
        await harbour.advance(seconds=delay.total_seconds() * 0.8 - 0.5)
        assert len(hook.requests) == number - 1
        await harbour.advance(seconds=delay.total_seconds() * 0.2 + 0.5)
        await hook.wait_for(number)


async def test_a_refused_connection_is_a_failure_like_any_other(harbour: Box, hook: Hook):
    async def refuse(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    hook.then(refuse)
    answer = await harbour.says("hello")
    assert answer["status"] is None
    await hook.wait_for(2)
    first, second = await harbour.journal()
    assert (first["status"], first["failure"]) == (None, "ConnectError")
    assert second["status"] == 200


class TestImpatience:
    @pytest.fixture
    def sandbox_settings(self) -> SandboxSettings:
        return settings(webhook_timeout_seconds=0.05)

    async def test_a_webhook_that_hangs_is_given_up(self, harbour: Box, hook: Hook):
        async def hang(_request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError

        hook.then(hang)
        answer = await harbour.says("hello")
        assert answer["status"] is None
        await hook.wait_for(2)
        assert (await harbour.journal())[0]["failure"] == "TimeoutError"


async def test_newer_webhooks_overtake_one_that_failed(harbour: Box, hook: Hook):
    hook.usual = 503
    await harbour.says("first")
    await hook.wait_for(2)
    hook.usual = 200
    await harbour.says("second")
    await harbour.advance(seconds=1)
    await hook.wait_for(4)
    texts = [item["message"]["text"] for item in hook.items()]
    assert texts == ["first", "first", "second", "first"]


async def test_while_it_fails_nobody_waits_in_line(harbour: Box, hook: Hook):
    hook.usual = 503
    await harbour.says("first")
    await hook.wait_for(2)

    async def hang(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    hook.usual = hang
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(harbour.says(str(number))) for number in range(3)]
        await hook.wait_for(5)
        for task in tasks:
            task.cancel()


async def test_after_a_quarter_of_an_hour_the_developer_is_alerted(harbour: Box, hook: Hook):
    hook.usual = 503
    await harbour.says("hello")
    await hook.wait_for(2)
    await pass_time(harbour, hook, timedelta(minutes=17))
    state = await state_of(harbour)
    assert state["alerts"] == [f"Webhooks of app {APP_ID} are failing"]
    assert state["subscribed_fields"] != []


async def test_after_an_hour_the_page_is_unsubscribed_and_what_waited_is_dropped(
    harbour: Box, hook: Hook
):
    hook.usual = 503
    await harbour.says("hello")
    await hook.wait_for(2)
    await harbour.advance(hours=1, seconds=1)
    await hook.wait_for(3)
    state = await state_of(harbour)
    assert state["subscriptions"] == {}
    assert state["alerts"][-1] == f"Webhooks Disabled for app {APP_ID}"

    count = len(hook.requests)
    hook.usual = 200
    await harbour.advance(days=2)
    assert (await harbour.says("anybody?"))["status"] is None
    await harbour.graph("POST", f"{PAGE}/subscribed_apps", data={"subscribed_fields": "messages"})
    assert (await harbour.says("now?"))["status"] == 200
    assert len(hook.requests) == count + 1


async def test_an_hour_of_failure_is_counted_from_the_last_success(harbour: Box, hook: Hook):
    hook.usual = 503
    await harbour.says("hello")
    await hook.wait_for(2)
    await harbour.advance(minutes=50)
    await hook.wait_for(3)
    hook.then(200)
    await harbour.says("through")
    await harbour.advance(minutes=50)
    await hook.wait_for(5)
    assert (await state_of(harbour))["subscribed_fields"] != []


async def test_retries_outlive_a_receiver_that_is_away(harbour: Box, hook: Hook):
    async def refuse(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("down")

    hook.usual = refuse
    for number in range(5):
        await harbour.says(str(number), psid=PSID)
    await pass_time(harbour, hook, timedelta(seconds=30))
    hook.usual = 200
    hook.clear()
    await harbour.advance(minutes=2)
    await hook.wait_for(5)
    assert {item["message"]["text"] for item in hook.items()} == set("01234")
