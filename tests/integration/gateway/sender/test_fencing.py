"""Who may start a call, and whose word counts afterwards."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from tests.support.sending import Outbox

from gateway.db.unit_of_work import Database
from gateway.domain.delivery import Accepted, Retry, SendError, Unknown
from gateway.sender import sweeps

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

BUSY = SendError("meta-2", "Busy.", "Wait.", retryable=True)
LOST = SendError("upstream-failed", "No answer.", "Look.", retryable=True)


async def test_a_lease_that_is_lost_before_the_claim_claims_nothing(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    outbox.gate.close("before_claim")
    async with outbox.sender(epoch=1):
        message_id = await outbox.send(conversation, "hello")
        await outbox.gate.reached("before_claim")
        await outbox.own_shards(epoch=2, owner="another")
        outbox.gate.open("before_claim")
        # The look after the failed claim finds it again, and again it may not be had.
        await asyncio.sleep(0.1)
        assert (await outbox.message(message_id)).status == "accepted"
        assert outbox.graph.idle
        # It was not even claimed and given back.
        assert await outbox.value("SELECT epoch FROM deliveries") is None


async def test_a_lease_with_less_than_two_seconds_left_claims_nothing(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    await outbox.own_shards(epoch=1, seconds=1.9)
    async with outbox.sender(epoch=1, takes_over=False):
        message_id = await outbox.send(conversation, "hello")
        await asyncio.sleep(0.2)
        assert (await outbox.message(message_id)).status == "accepted"
        await outbox.own_shards(epoch=1, seconds=60)
        outbox.wake()
        assert (await outbox.graph.call()).text == "hello"


async def test_a_process_that_stalls_between_claim_and_call_calls_nothing(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    outbox.gate.close("before_call")
    async with outbox.sender(epoch=1) as (_, leases):
        message_id = await outbox.send(conversation, "hello")
        await outbox.gate.reached("before_call")
        assert (await outbox.message(message_id)).status == "sending"
        leases.safe_now = False
        outbox.gate.open("before_call")
        # It stands where it stood: no attempt was made.
        await outbox.until(message_id, "accepted")
    assert outbox.graph.calls == []
    (row,) = await outbox.rows("SELECT * FROM deliveries")
    assert (row["status"], row["attempt"], row["first_attempt_at"]) == ("pending", 0, None)
    assert await outbox.rows("SELECT * FROM delivery_attempts") == []


async def test_the_next_owner_waits_until_the_call_of_the_stalled_one_must_have_ended(
    outbox: Outbox,
):
    """The stale process is held at the critical point and let go on after the takeover."""
    page = await outbox.page()
    conversation, other = await outbox.conversation(page), await outbox.conversation(page)
    async with outbox.sender(epoch=1) as (_, leases):
        first = await outbox.send(conversation, "first")
        second = await outbox.send(conversation, "second")
        call = await outbox.graph.call()
        leases.epochs = {}
        async with outbox.sender(epoch=2, owner="another"):
            third = await outbox.send(other, "third")
            (await outbox.graph.call()).answer(Accepted("m_3"))
            await outbox.until(third, "sent")
            # The lane is busy, whoever owns the shard.
            assert (await outbox.message(first)).status == "sending"
            assert (await outbox.message(second)).status == "accepted"
            # The answer that the first owner got still counts.
            call.answer(Accepted("m_1"))
            await outbox.until(first, "sent")
            (await outbox.graph.call()).answer(Accepted("m_2"))
            await outbox.until(second, "sent")
    assert [call.text for call in outbox.graph.calls] == ["first", "third", "second"]


@pytest.mark.parametrize("patience", [timedelta(), timedelta(seconds=2)])
async def test_calls_of_a_dead_process_become_uncertain_and_are_not_repeated(
    outbox: Outbox, patience
):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender(epoch=1, budgets=timedelta(seconds=0.6)):
        first = await outbox.send(conversation, "first")
        second = await outbox.send(conversation, "second")
        await outbox.graph.call()
    # The process is gone; its call is not settled. `call_ends_by` is at most 1.6 s away.
    async with outbox.sender(epoch=2, owner="another", patience=patience):
        message = await outbox.until(first, "uncertain")
        assert message.error["code"] == "upstream-failed"
        # Its lane waits for the echo.
        assert (await outbox.message(second)).status == "accepted"
    assert [call.text for call in outbox.graph.calls] == ["first"]


async def test_webhooks_of_a_dead_process_are_sent_again_under_the_same_id(outbox: Outbox):
    await outbox.endpoint()
    conversation = await outbox.conversation(await outbox.third_party_channel())
    async with outbox.sender(epoch=1, budgets=timedelta(seconds=0.6)):
        event_id = await outbox.announce()
        message_id = await outbox.send(conversation, "hello")
        await outbox.endpoints.call()
        first = await outbox.third_party.call()
    async with outbox.sender(epoch=2, owner="another"):
        await outbox.until(message_id, "accepted")
        await outbox.until_delivery("pending", event_id=event_id)
        outbox.advance(timedelta(seconds=6))
        again = await outbox.endpoints.call()
        assert (again.attempt.event.id, again.attempt.delivery.attempt) == (event_id, 2)
        again = await outbox.third_party.call()
        assert again.attempt.delivery.id == first.attempt.delivery.id
        again.answer(Accepted())
        await outbox.until(message_id, "sent")


async def test_an_answer_after_the_takeover_ends_the_doubt(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender(epoch=1, budgets=timedelta(seconds=0.6)) as (_, leases):
        message_id = await outbox.send(conversation, "hello")
        call = await outbox.graph.call()
        leases.epochs = {}
        async with outbox.sender(epoch=2, owner="another"):
            await outbox.until(message_id, "uncertain")
            call.answer(Accepted("m_1"))
            message = await outbox.until(message_id, "sent")
    assert message.error is None
    (resolved,) = await outbox.events("gateway.message.resolved.v1")
    assert resolved["data"]["message"]["status"] == "sent"


async def test_who_could_not_settle_for_an_outage_is_waited_for(outbox: Outbox, monkeypatch):
    swept = asyncio.Queue()
    released = sweeps.release_stranded

    async def noted(database, shards):
        await released(database, shards)
        swept.put_nowait(shards)

    monkeypatch.setattr(sweeps, "release_stranded", noted)
    conversation = await outbox.conversation(await outbox.page())
    budgets = timedelta(seconds=0.6)
    unable = unable_to_settle(outbox, conversation, epoch=1, budgets=budgets)
    async with unable as (message_id, away, leases):
        leases.epochs = {}
        overdue = "SELECT count(*) FROM deliveries WHERE call_ends_by < clock_timestamp()"
        await outbox.eventually(overdue, 1)
        async with outbox.sender(epoch=2, owner="another", patience=timedelta(hours=1)):
            async with asyncio.timeout(10):
                await swept.get()
            away.away = False
            await outbox.until(message_id, "sent")
    assert await outbox.events("gateway.message.uncertain.v1") == []


async def test_an_answer_of_an_earlier_attempt_changes_nothing(outbox: Outbox):
    """A late refusal of attempt 1 must not undo attempt 2, while that runs or afterwards."""
    conversation = await outbox.conversation(await outbox.third_party_channel())
    async with outbox.sender(epoch=1, budgets=timedelta(seconds=0.6)) as (_, leases):
        message_id = await outbox.send(conversation, "hello")
        stale = await outbox.third_party.call()
        leases.epochs = {}
        async with outbox.sender(epoch=2, owner="another"):
            await outbox.until(message_id, "accepted")
            outbox.advance(timedelta(seconds=6))
            call = await outbox.third_party.call()
            await outbox.execute("DELETE FROM delivery_attempts")
            stale.answer(Retry(BUSY), status=503)
            await outbox.eventually("SELECT count(*) FROM delivery_attempts", 1)
            assert (await outbox.message(message_id)).status == "sending"
            call.answer(Accepted("theirs"))
            await outbox.until(message_id, "sent")
    await outbox.until_delivery("delivered", message_id=message_id)


async def test_a_call_of_the_former_owner_counts_for_the_targets_limit(outbox: Outbox):
    await outbox.endpoint(ordering="none", max_concurrency=1)
    async with outbox.sender(epoch=1) as (_, leases):
        await outbox.announce()
        call = await outbox.endpoints.call()
        leases.epochs = {}
        await outbox.announce()
        async with outbox.sender(epoch=2, owner="another"):
            await asyncio.sleep(0.2)
            assert outbox.endpoints.idle
            call.answer(Accepted())
            # Seen as settled by the next sweep.
            (await outbox.endpoints.call()).answer(Accepted())
            await outbox.eventually("SELECT count(*) FROM deliveries WHERE status = 'delivered'", 2)


async def test_a_claim_whose_commit_got_no_answer_is_undone(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    original = outbox.database
    broken = BreaksAfterCommit(original)
    outbox.database = broken
    async with outbox.sender():
        outbox.database = original
        broken.breaks = True
        message_id = await outbox.send(conversation, "hello")
        call = await outbox.graph.call()
        # The number of the attempt that never was is used again.
        assert call.attempt.delivery.attempt == 1
        call.answer(Accepted("m_1"))
        await outbox.until(message_id, "sent")
    assert broken.broke == 1
    assert len(outbox.graph.calls) == 1


class BreaksAfterCommit(Database):
    """Loses the connection once, after the first claim was committed and before it is known."""

    def __init__(self, inner: Database) -> None:
        super().__init__(inner.engine, clock=inner.clock, keyring=inner.keyring, wake=inner._wake)
        self.breaks = False
        self.broke = 0

    def unit_of_work(self):
        return _Breaking(self, super().unit_of_work())


class _Breaking:
    def __init__(self, owner: BreaksAfterCommit, inner) -> None:
        self._owner = owner
        self._inner = inner

    async def __aenter__(self):
        self._work = await self._inner.__aenter__()
        return self._work

    async def __aexit__(self, *error):
        await self._inner.__aexit__(*error)
        if self._owner.breaks and self._work.conversations:
            self._owner.breaks = False
            self._owner.broke += 1
            raise ConnectionResetError("lost")


async def test_draining_starts_nothing_and_waits_for_what_runs(outbox: Outbox):
    page = await outbox.page()
    one, two = await outbox.conversation(page), await outbox.conversation(page)
    async with outbox.sender() as (sender, _):
        first = await outbox.send(one, "first")
        call = await outbox.graph.call()
        async with asyncio.TaskGroup() as group:
            drained = group.create_task(sender.drain(seconds=5))
            await asyncio.sleep(0)
            second = await outbox.send(two, "second")
            assert not drained.done()
            call.answer(Accepted("m_1"))
        assert drained.result()
        assert (await outbox.message(first)).status == "sent"
        assert (await outbox.message(second)).status == "accepted"
    assert len(outbox.graph.calls) == 1


async def test_draining_leaves_a_call_that_hangs_to_its_end(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender() as (sender, _):
        message_id = await outbox.send(conversation, "first")
        await outbox.graph.call()
        assert not await sender.drain(seconds=0.1)
    assert (await outbox.message(message_id)).status == "sending"


async def test_giving_shards_back_waits_for_their_calls(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender() as (_, leases):
        first = await outbox.send(conversation, "first")
        second = await outbox.send(conversation, "second")
        call = await outbox.graph.call()
        async with asyncio.TaskGroup() as group:
            lost = group.create_task(leases.lose())
            await asyncio.sleep(0)
            assert not lost.done()
            call.answer(Accepted("m_1"))
        await outbox.until(first, "sent")
        assert (await outbox.message(second)).status == "accepted"
        assert outbox.graph.idle


async def test_settlement_outlives_a_database_that_is_away(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with unable_to_settle(outbox, conversation) as (message_id, away, _):
        away.away = False
        await outbox.until(message_id, "sent")
    assert len(outbox.graph.calls) == 1


@asynccontextmanager
async def unable_to_settle(outbox: Outbox, conversation, **sender):
    """Run a sender whose call was answered after its database had gone away."""
    original = outbox.database
    outbox.database = away = IsAway(original)
    async with outbox.sender(**sender) as (_, leases):
        outbox.database = original
        message_id = await outbox.send(conversation, "hello")
        call = await outbox.graph.call()
        away.away = True
        call.answer(Accepted("m_1"))
        async with asyncio.timeout(5):
            await away.refused.wait()
        yield message_id, away, leases


class IsAway(Database):
    def __init__(self, inner: Database) -> None:
        super().__init__(inner.engine, clock=inner.clock, keyring=inner.keyring, wake=inner._wake)
        self.away = False
        self.refused = asyncio.Event()

    def unit_of_work(self):
        if self.away:
            self.refused.set()
            raise ConnectionRefusedError("away")
        return super().unit_of_work()


@pytest.mark.parametrize(
    "point", ["before_claim", "after_claim", "before_call", "after_call", "before_settle"]
)
async def test_a_death_anywhere_loses_nothing_and_doubles_nothing(outbox: Outbox, point):
    """The first process ends at a named point; the next one finishes the work or says it cannot."""
    conversation = await outbox.conversation(await outbox.page())
    outbox.gate.close(point)
    outbox.graph.always(Accepted("m_1"))
    async with outbox.sender(epoch=1, budgets=timedelta(seconds=2)):
        message_id = await outbox.send(conversation, "hello")
        await outbox.gate.reached(point)
    outbox.gate.open(point)
    before = len(outbox.graph.calls)
    async with outbox.sender(epoch=2, owner="another"):
        claimed = point != "before_claim"
        message = await outbox.until(message_id, "uncertain" if claimed else "sent")
    assert len(outbox.graph.calls) == (before if claimed else 1)
    assert before == (1 if point in ("after_call", "before_settle") else 0)
    assert message.possibly_duplicate is False


async def test_an_unknown_outcome_is_not_simply_tried_again(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        message_id = await outbox.send(conversation, "hello")
        (await outbox.graph.call()).answer(Unknown(LOST), status=None, slow=True)
        await outbox.until(message_id, "uncertain")
        outbox.advance(timedelta(hours=2))
        await asyncio.sleep(0.1)
        assert outbox.graph.idle
    assert len(outbox.graph.calls) == 1
