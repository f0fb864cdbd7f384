"""Meta's limits, told by a sandbox that counts calls: slowed before them, shared, never stormed."""

import asyncio
from contextlib import contextmanager
from datetime import timedelta

import httpx
import pytest
from pydantic import SecretStr
from tests.support.sandbox import settings
from tests.support.sending import APP_SECRET, PAGE_TOKEN, Outbox

from gateway.clock import SystemClock
from gateway.db.paces import get_sending
from gateway.domain import ids
from gateway.domain.delivery import TargetKind
from gateway.domain.usage import SPENT_WAIT
from gateway.meta.graph import GraphClient
from gateway.sandbox.app import create_sandbox
from gateway.sender.page import GraphTransport

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

SANDBOX = "http://sandbox.test"
_PATIENT_STEPS = 30


class Meta:
    """A sandbox in this process, through which the outbox sends."""

    def __init__(self, outbox: Outbox, client: httpx.AsyncClient) -> None:
        self.outbox = outbox
        self.client = client

    async def app(self, **changes):
        body = {"app_id": "310000000000001", **changes}
        (await self.client.post("/control/apps", json=body)).raise_for_status()

    async def page(self, **changes):
        """Connect a Page of the outbox's account; return its channel."""
        channel = await self.outbox.page()
        (row,) = await self.outbox.rows("SELECT page_id FROM channels WHERE id = :id", id=channel)
        token = PAGE_TOKEN + row["page_id"]
        await self.outbox.execute(
            "UPDATE channels SET page_access_token = :token WHERE id = :id",
            id=channel,
            token=self.outbox.keyring.encrypt(token, row=f"channels/{channel}/page_access_token"),
        )
        body = {"page_id": row["page_id"], "access_token": token, **changes}
        (await self.client.post("/control/pages", json=body)).raise_for_status()
        return channel

    async def conversations(self, channel, count):
        """Let people write to a Page; return the conversations with them."""
        (row,) = await self.outbox.rows("SELECT page_id FROM channels WHERE id = :id", id=channel)
        conversations = []
        for _ in range(count):
            conversation = await self.outbox.conversation(channel)
            psid = await self.outbox.value(
                "SELECT source_contact_id FROM contacts c JOIN conversations v"
                " ON v.contact_id = c.id WHERE v.id = :id",
                id=conversation,
            )
            address = f"/control/pages/{row['page_id']}/visitors/{psid}/messages"
            (await self.client.post(address, json={"text": "hello"})).raise_for_status()
            conversations.append(conversation)
        return conversations

    async def use_up(self, channel, calls):
        """Make calls in the name of a Page, beside the gateway."""
        (row,) = await self.outbox.rows("SELECT page_id FROM channels WHERE id = :id", id=channel)
        headers = {"Authorization": f"Bearer {PAGE_TOKEN}{row['page_id']}"}
        for _ in range(calls):
            await self.client.get("/v26.0/me", headers=headers)

    async def refusals(self):
        return await self.outbox.value(
            "SELECT count(*) FROM delivery_attempts WHERE outcome = 'throttle'"
        )


@pytest.fixture
async def meta(outbox: Outbox):
    app = create_sandbox(
        settings(app_secret=SecretStr(APP_SECRET), webhook_url=""), clock=SystemClock()
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=SANDBOX) as client,
    ):
        graph = GraphClient(client, base_url=SANDBOX)
        outbox.transports[TargetKind.PAGE] = GraphTransport(graph, keyring=outbox.keyring)
        yield Meta(outbox, client)


@contextmanager
def acting_for(outbox: Outbox, account: str):
    """Let what is made and sent be another account's."""
    first, outbox.account = outbox.account, account
    try:
        yield
    finally:
        outbox.account = first


async def another_account(outbox: Outbox) -> str:
    account = ids.new_id(ids.ACCOUNT)
    await outbox.execute(
        "INSERT INTO accounts (id, name, created_at, updated_at) VALUES (:id, 'B', :at, :at)",
        id=account,
        at=outbox.clock.now(),
    )
    return account


class Steps:
    """How often a sender has told what it learnt and taken what is decided."""

    def __init__(self) -> None:
        self._taken = asyncio.Semaphore(0)

    async def at(self, point: str) -> None:
        if point == "in_step":
            self._taken.release()

    async def step(self, leases) -> None:
        """Renew the leases, and return once the sender is in step."""
        leases.renew()
        async with asyncio.timeout(10):
            await self._taken.acquire()


@pytest.fixture
def steps() -> Steps:
    return Steps()


async def sending(outbox: Outbox, channel: str):
    async with outbox.engine.connect() as connection:
        return await get_sending(connection, outbox.account, channel, now=outbox.clock.now())


async def test_an_account_that_floods_a_shared_app_leaves_the_others_their_share(
    outbox, meta, steps
):
    """One account has far more to send than the app may; the other has a little, and sends it."""
    other = await another_account(outbox)
    flooding = await meta.page()
    flood = await meta.conversations(flooding, 100)
    with acting_for(outbox, other):
        quiet = await meta.conversations(await meta.page(), 3)
    await meta.app(calls_per_hour=400)
    await meta.use_up(flooding, 300)
    async with outbox.sender(at=steps.at) as (_, leases):
        for conversation in flood:
            await outbox.send(conversation, "flood")
        await outbox.eventually(
            "SELECT count(*) >= 20 FROM messages WHERE status = 'sent'", wanted=True
        )
        await steps.step(leases)
        # Slowed from 80 per cent on.
        (limit,) = await outbox.rows("SELECT * FROM app_limits")
        assert limit["usage_percent"] >= 80
        assert limit["rate"] < 100
        with acting_for(outbox, other):
            messages = [await outbox.send(each, "quiet") for each in quiet]
            waiting = set(messages)
            for _ in range(_PATIENT_STEPS):
                outbox.advance(timedelta(seconds=1))
                await steps.step(leases)
                shown = {each: (await outbox.message(each)).status for each in waiting}
                waiting = {each for each, status in shown.items() if status != "sent"}
                if not waiting:
                    break
            assert not waiting
    # It has not sent all that it has, and the limit was not met.
    assert await outbox.value("SELECT count(*) FROM messages WHERE status = 'accepted'") > 0
    assert await meta.refusals() == 0


async def test_an_app_that_is_used_up_rests_for_all_and_whoever_comes_next_knows(outbox, meta):
    pages = [await meta.page(), await meta.page()]
    (one,), (two,) = [await meta.conversations(page, 1) for page in pages]
    await meta.app(calls_per_hour=10)
    await meta.use_up(pages[0], 9)
    async with outbox.sender():
        # The tenth call is answered, and says that there will be no eleventh.
        await outbox.until(await outbox.send(one, "first"), "sent")
        await outbox.eventually("SELECT rests_until IS NOT NULL FROM app_limits", wanted=True)
        second = await outbox.send(two, "second")
    assert (await sending(outbox, pages[1])).rests_until == outbox.clock.now() + SPENT_WAIT
    async with outbox.sender(epoch=2):
        outbox.advance(SPENT_WAIT - timedelta(seconds=1))
        await asyncio.sleep(0.1)
        assert (await outbox.message(second)).status == "accepted"
        assert await meta.refusals() == 0
        await meta.app(calls_per_hour=1000)
        outbox.advance(timedelta(seconds=2))
        await outbox.until(second, "sent")


async def test_a_refused_app_slows_down_all_and_rests_no_longer_than_it_must(outbox, meta, steps):
    page = await meta.page()
    first, second = await meta.conversations(page, 2)
    await meta.app(calls_per_hour=10)
    await meta.use_up(page, 10)
    async with outbox.sender(at=steps.at) as (_, leases):
        message = await outbox.send(first, "refused")
        await outbox.eventually("SELECT count(*) FROM delivery_attempts", 1)
        await steps.step(leases)
        (limit,) = await outbox.rows("SELECT * FROM app_limits")
        assert limit["usage_percent"] >= 100
        assert limit["rate"] is not None
        await outbox.send(second, "later")
        await meta.app(calls_per_hour=100_000)
        outbox.advance(SPENT_WAIT + timedelta(seconds=20))
        await outbox.eventually("SELECT count(*) FROM messages WHERE status = 'sent'", 1)
        # The other waits for its turn at the pace that is left.
        outbox.advance(timedelta(seconds=3))
        await outbox.until(message, "sent")
    assert await meta.refusals() == 1


async def test_a_page_slows_down_and_rests_alone_and_shows_it(outbox, meta, steps):
    page, other = await meta.page(calls_per_hour=100), await meta.page()
    talks = await meta.conversations(page, 3)
    (elsewhere,) = await meta.conversations(other, 1)
    assert await sending(outbox, page) is None
    await meta.use_up(page, 84)
    async with outbox.sender(at=steps.at) as (_, leases):
        await outbox.until(await outbox.send(talks[0], "first"), "sent")
        await steps.step(leases)
        shown = await sending(outbox, page)
        assert (shown.usage_percent, shown.rests_until) == (85, None)
        assert shown.pace_per_second < 1
        await meta.use_up(page, 15)
        # It leaves at the pace that is left, and meets the limit.
        late = await outbox.send(talks[1], "refused")
        outbox.advance(timedelta(seconds=10))
        await outbox.eventually("SELECT count(*) FROM delivery_attempts WHERE status = 400", 1)
        await outbox.until(await outbox.send(elsewhere, "elsewhere"), "sent")
        until = (await sending(outbox, page)).rests_until
        # Until the hour ends, as Meta said.
        assert timedelta() < until - outbox.clock.now() <= timedelta(hours=1)
        assert (await outbox.message(late)).status == "accepted"
