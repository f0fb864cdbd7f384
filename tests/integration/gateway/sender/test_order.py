"""The messages of a conversation leave in their order, whoever owns the shard meanwhile."""

from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from tests.support.sending import Call, Gate, Outbox

from gateway.domain.delivery import Accepted, Retry, SendError

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

BUSY = SendError("meta-2", "Busy.", "Wait.", retryable=True)
WORDS = ["first", "second", "third", "fourth"]
ELSEWHERE = "elsewhere"


def accepted(call: Call) -> Accepted:
    return Accepted(f"m_{call.attempt.delivery.id}")


def left(outbox: Outbox) -> list[str | None]:
    return [call.text for call in outbox.graph.calls if call.text != ELSEWHERE]


async def test_owners_that_lose_their_leases_while_they_call(outbox: Outbox) -> None:
    """Each owner makes one call, and loses the shard while it runs; one of them has to retry."""
    page = await outbox.page()
    conversation, other = await outbox.conversation(page), await outbox.conversation(page)
    messages = [await outbox.send(conversation, words) for words in WORDS]
    async with AsyncExitStack() as owners:
        _, leases = await owners.enter_async_context(outbox.sender(epoch=1))
        for n, message_id in enumerate(messages):
            call = await outbox.graph.call()
            assert call.text == WORDS[n]
            leases.epochs = {}
            _, leases = await owners.enter_async_context(
                outbox.sender(epoch=n + 2, owner=f"owner {n + 2}")
            )
            # The next owner is at work, and leaves the lane to the call that still runs.
            beside = await outbox.send(other, ELSEWHERE)
            (await outbox.graph.call()).answer(Accepted(f"m_beside_{n}"))
            await outbox.until(beside, "sent")
            assert outbox.graph.idle
            if n == 1:
                call.answer(Retry(BUSY), status=503)
                await outbox.until(message_id, "accepted")
                # It waits for its time, and so does what comes behind it.
                assert outbox.graph.idle
                outbox.advance(timedelta(minutes=1))
                call = await outbox.graph.call()
                assert call.text == WORDS[n]
            call.answer(accepted(call))
            await outbox.until(message_id, "sent")
        assert left(outbox) == ["first", "second", "second", "third", "fourth"]


@pytest.mark.parametrize(
    "point", ["before_claim", "after_claim", "before_call", "after_call", "before_settle"]
)
async def test_a_former_owner_that_stalls_anywhere(outbox: Outbox, point: str) -> None:
    """It goes on beside the next owner, with a lease that it has no more."""
    page = await outbox.page()
    conversation, other = await outbox.conversation(page), await outbox.conversation(page)
    outbox.graph.always(accepted)
    stalling = Gate()
    stalling.close(point)
    async with outbox.sender(epoch=1, at=stalling.at) as (_, leases):
        messages = [await outbox.send(conversation, words) for words in WORDS[:2]]
        await stalling.reached(point)
        leases.epochs = {}
        async with outbox.sender(epoch=2, owner="another"):
            await outbox.until(await outbox.send(other, ELSEWHERE), "sent")
            if point != "before_claim":
                assert (await outbox.message(messages[1])).status == "accepted"
            stalling.open(point)
            for message_id in messages:
                await outbox.until(message_id, "sent")
    assert left(outbox) == WORDS[:2]
