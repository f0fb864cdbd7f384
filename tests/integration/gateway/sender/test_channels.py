"""Channels that calls reveal as broken: marked, announced, held, and let go in order."""

from datetime import timedelta

import pytest
from tests.support.sending import Outbox

from gateway.db.channel_writes import change_channel
from gateway.domain.channel import ChannelStatus, StatusReason
from gateway.domain.delivery import Accepted, NotAttempted, Reauthenticate, SendError
from gateway.errors import NotSupportedByChannelError
from gateway.messaging.actions import request_action
from gateway.messaging.settlement import hold_target, release_target

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

EXPIRED = SendError("meta-190-463", "The Page's token has expired.", "Re-authenticate.")
DISCONNECTED = Reauthenticate(EXPIRED, ChannelStatus.DISCONNECTED, StatusReason.TOKEN_EXPIRED)
RESTRICTED = Reauthenticate(
    SendError("meta-10-1893063", "Restricted.", "Wait."),
    ChannelStatus.DEGRADED,
    StatusReason.PAGE_RESTRICTED,
)
NOT_ALLOWED = Reauthenticate(
    SendError("meta-200-2534041", "Not allowed.", "Allow."),
    ChannelStatus.DEGRADED,
    StatusReason.MESSAGES_NOT_ALLOWED,
)


async def reconnect(outbox: Outbox, conversation: str, token: str = "EAAnew") -> None:
    """Do what PATCH of a channel's token does."""
    async with outbox.held(conversation) as (work, _held, channel):
        await change_channel(
            work.connection,
            channel,
            now=work.now,
            status="active",
            status_reason=None,
            page_access_token=outbox.keyring.encrypt(
                token, row=channel.secret_row("page_access_token")
            ),
        )
        await release_target(work, channel)


async def test_a_refused_token_disconnects_and_what_waits_leaves_in_order(outbox: Outbox):
    page = await outbox.page()
    one, two = await outbox.conversation(page), await outbox.conversation(page)
    async with outbox.sender():
        first = await outbox.send(one, "first")
        second = await outbox.send(one, "second")
        third = await outbox.send(two, "third")
        calls = [await outbox.graph.call(), await outbox.graph.call()]
        for call in calls:
            call.answer(DISCONNECTED, status=400)
        await outbox.until(first, "accepted")
        await outbox.until(third, "accepted")
        await outbox.eventually("SELECT status FROM channels", "disconnected")
        fourth = await outbox.send(two, "fourth")
        assert (await outbox.rows("SELECT due_at FROM deliveries")) == [{"due_at": None}] * 4
        # Longer than the deadline: it stands still while the message is held.
        outbox.advance(timedelta(hours=2))
        await reconnect(outbox, one)
        outbox.graph.always(Accepted())
        for message_id in (first, second, third, fourth):
            await outbox.until(message_id, "sent")
    texts = [call.text for call in outbox.graph.calls[2:]]
    assert texts.index("first") < texts.index("second")
    assert texts.index("third") < texts.index("fourth")
    (event,) = await outbox.events("gateway.channel.disconnected.v1")
    assert event["key"] == outbox.account
    assert event["data"]["channel"]["status"] == "disconnected"
    assert event["data"]["reason"] == "token_expired"
    assert event["data"]["detail"] == "The Page's token has expired."
    assert event["data"]["remedy"] == "Re-authenticate."
    # A hold is not a failure, and the accepted event of what came later tells why it waits.
    assert await outbox.events("gateway.message.failed.v1") == []
    accepted = await outbox.events("gateway.message.accepted.v1")
    assert accepted[-1]["data"]["message"]["hold"] == {"reason": "token_expired"}


async def test_a_call_with_the_old_token_does_not_disconnect_the_new_one(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        message_id = await outbox.send(conversation, "hello")
        call = await outbox.graph.call()
        await reconnect(outbox, conversation)
        call.answer(DISCONNECTED, status=400)
        await outbox.until(message_id, "accepted")
        assert await outbox.value("SELECT status FROM channels") == "active"
        outbox.advance(timedelta(seconds=6))
        (await outbox.graph.call()).answer(Accepted("m_1"))
        await outbox.until(message_id, "sent")


async def test_a_restricted_page_holds_and_does_not_fail(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        message_id = await outbox.send(conversation, "hello")
        (await outbox.graph.call()).answer(RESTRICTED, status=403)
        await outbox.until(message_id, "accepted")
    (row,) = await outbox.rows("SELECT status, status_reason FROM channels")
    assert row == {"status": "degraded", "status_reason": "page_restricted"}
    await outbox.eventually("SELECT due_at FROM deliveries", None)


async def test_access_switched_off_degrades_and_fails_what_was_tried(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        message_id = await outbox.send(conversation, "hello")
        (await outbox.graph.call()).answer(NOT_ALLOWED, status=403)
        await outbox.until(message_id, "failed")
    assert await outbox.value("SELECT status_reason FROM channels") == "messages_not_allowed"


async def test_many_refusals_are_one_event(outbox: Outbox):
    page = await outbox.page()
    conversations = [await outbox.conversation(page) for _ in range(5)]
    async with outbox.sender():
        for conversation in conversations:
            await outbox.send(conversation, "hello")
        for call in [await outbox.graph.call() for _ in conversations]:
            call.answer(DISCONNECTED, status=400)
        await outbox.eventually(
            "SELECT count(*) FROM deliveries WHERE status = 'pending' AND due_at IS NULL", 5
        )
    assert len(await outbox.events("gateway.channel.disconnected.v1")) == 1


async def test_a_message_accepted_just_when_its_channel_broke_is_held(outbox: Outbox):
    """Its transaction saw the channel as active; the claim sees that it is not."""
    page = await outbox.page()
    conversation = await outbox.conversation(page)
    message_id = await outbox.send(conversation, "hello")
    await outbox.execute("UPDATE channels SET status = 'disconnected'")
    async with outbox.sender():
        await outbox.eventually("SELECT due_at FROM deliveries", None)
        assert (await outbox.message(message_id)).status == "accepted"
        assert outbox.graph.idle


async def test_a_message_held_just_when_its_channel_came_back_leaves(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page(status="disconnected"))
    await outbox.send(conversation, "hello")
    await outbox.execute("UPDATE channels SET status = 'active'")
    async with outbox.sender():
        assert (await outbox.graph.call()).text == "hello"


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"status": "suspended", "on_suspend": "discard"}, "channel-suspended"),
        ({"status": "deleted"}, "channel-deleted"),
    ],
)
async def test_what_may_never_leave_fails(outbox: Outbox, columns, code):
    page = await outbox.page(status="disconnected")
    conversation = await outbox.conversation(page)
    message_id = await outbox.send(conversation, "hello")
    values = ", ".join(f"{name} = :{name}" for name in columns)
    await outbox.execute(f"UPDATE channels SET {values}", **columns)
    async with outbox.sender():
        message = await outbox.until(message_id, "failed")
    assert message.error["code"] == code
    assert outbox.graph.calls == []


async def test_a_suspended_channel_keeps_its_messages(outbox: Outbox):
    page = await outbox.page()
    conversation = await outbox.conversation(page)
    async with outbox.held(conversation) as (work, _held, channel):
        await change_channel(work.connection, channel, now=work.now, status="suspended")
        await hold_target(work, channel.id)
    message_id = await outbox.send(conversation, "hello")
    async with outbox.sender():
        await reconnect(outbox, conversation)
        (await outbox.graph.call()).answer(Accepted("m_1"))
        await outbox.until(message_id, "sent")


async def _ask(outbox: Outbox, conversation: str, payload: dict[str, str]) -> None:
    async with outbox.held(conversation) as (work, held, channel):
        request_action(work, held, channel, payload, pointer="/action")


async def test_an_action_is_tried_once_and_passes_what_waits(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    async with outbox.sender():
        first = await outbox.send(conversation, "first")
        call = await outbox.graph.call()
        await _ask(outbox, conversation, {"action": "typing_on"})
        typing = await outbox.graph.call()
        assert typing.action == "typing_on"
        typing.answer(NotAttempted(SendError("upstream-failed", "Away.", "Wait.")), status=None)
        await outbox.until_delivery("failed", kind="action")
        call.answer(Accepted("m_1"))
        await outbox.until(first, "sent")
    assert len(outbox.graph.calls) == 2


async def test_an_action_that_is_too_old_is_dropped(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page())
    await _ask(outbox, conversation, {"action": "typing_on"})
    outbox.clock.advance(timedelta(seconds=11))
    async with outbox.sender():
        await outbox.until_delivery("cancelled", kind="action")
    assert outbox.graph.calls == []


async def test_nothing_is_shown_on_a_channel_that_is_held(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.page(status="disconnected"))
    await _ask(outbox, conversation, {"action": "typing_on"})
    assert await outbox.rows("SELECT * FROM deliveries") == []


async def test_a_third_party_takes_no_actions(outbox: Outbox):
    conversation = await outbox.conversation(await outbox.third_party_channel())
    with pytest.raises(NotSupportedByChannelError):
        await _ask(outbox, conversation, {"action": "typing_on"})
