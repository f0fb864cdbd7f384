"""What the code really announces is what the published contracts say."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from scripts.published import cast as people
from scripts.published.examples import webhook_example
from tests.support.bodies import ARRIVAL, INSTAGRAM, PAGE, payload, payload_names, read
from tests.support.desk import AllShards, Desk, desk
from tests.support.inbound import APP, RULES, Inbound, inbound
from tests.support.published import check_webhook, checked_types

from gateway.contracts import third_party
from gateway.contracts.events import PUBLIC_TYPES, told_by
from gateway.contracts.inbound import InboundEvent
from gateway.contracts.inbound_types import INBOUND_TYPES
from gateway.contracts.webhooks import MESSAGE_SEND
from gateway.db.channels import Channel, get_channel
from gateway.db.conversations import Conversation, lock_conversations
from gateway.db.endpoints import get_endpoint
from gateway.db.messages import Message, find_messages
from gateway.db.sending import Recipient
from gateway.db.unit_of_work import UnitOfWork
from gateway.db.wakeups import Wakeups
from gateway.domain.channel import ChannelStatus, StatusReason
from gateway.domain.delivery import SendError
from gateway.domain.ids import event_id
from gateway.domain.message import MessageStatus
from gateway.messaging.channel_health import mark_channel
from gateway.messaging.endpoint_events import announce_endpoint, announce_failing
from gateway.messaging.settlement import resend_message
from gateway.messaging.transitions import mark_message, move_message
from gateway.sender.attempts import Attempt
from gateway.sender.webhook import message_body
from routing.inbound.effects.passing import pass_on
from routing.inbound.effects.table import effect_of
from routing.timers import TimerWorker

# Their source is no channel's, so they are nobody's.
OF_NO_CHANNEL = {"gateway.permission.changed.v1"}
OF_THE_CATALOGUE = {
    "gateway.account.linked.v1",
    "gateway.account.unlinked.v1",
    "gateway.app_roles.changed.v1",
    "gateway.appointment.received.v1",
    "gateway.comment.received.v1",
    "gateway.contact.created.v1",
    "gateway.contact.updated.v1",
    "gateway.conversation.thread_changed.v1",
    "gateway.enquiry.accepted.v1",
    "gateway.enquiry.opened.v1",
    "gateway.feedback.received.v1",
    "gateway.item.unrecognised.v1",
    "gateway.label.changed.v1",
    "gateway.message.delivered.v1",
    "gateway.message.edited.v1",
    "gateway.message.reacted.v1",
    "gateway.message.read.v1",
    "gateway.message.received.v1",
    "gateway.message.sent.v1",
    "gateway.message.unsent.v1",
    "gateway.optin.received.v1",
    "gateway.optout.received.v1",
    "gateway.order.received.v1",
    "gateway.page.changed.v1",
    "gateway.policy.enforced.v1",
    "gateway.postback.received.v1",
    "gateway.referral.received.v1",
    "gateway.thread_control.passed.v1",
    "gateway.thread_control.requested.v1",
    "gateway.thread_control.taken.v1",
    "gateway.typing.changed.v1",
}
OF_ENQUIRIES = {type_ for type_ in PUBLIC_TYPES if type_.startswith("gateway.enquiry.")}
OF_SENDING = {
    "gateway.message.accepted.v1",
    "gateway.message.sent.v1",
    "gateway.message.delivered.v1",
    "gateway.message.read.v1",
    "gateway.message.failed.v1",
    "gateway.message.uncertain.v1",
    "gateway.message.resolved.v1",
}
OF_TARGETS = {
    "gateway.channel.degraded.v1",
    "gateway.channel.disconnected.v1",
    "gateway.endpoint.disabled.v1",
    "gateway.endpoint.failing.v1",
}
# Tested where the REST API is.
OF_SETTINGS = {
    "gateway.channel.created.v1",
    "gateway.channel.updated.v1",
    "gateway.channel.activated.v1",
    "gateway.channel.suspended.v1",
    "gateway.channel.deleted.v1",
    "gateway.contact.blocked.v1",
    "gateway.contact.unblocked.v1",
    "gateway.endpoint.tested.v1",
    "gateway.endpoint.paused.v1",
    "gateway.endpoint.resumed.v1",
}
OF_WINDOWS = {"gateway.message.received.v1", "gateway.conversation.window_closing.v1"}
# Tested where files are fetched.
OF_MEDIA = {"gateway.message.media_ready.v1"}
# Promised, and not announced by anything yet.
TO_COME = {
    "gateway.channel.token_expiring.v1",
    "gateway.contact.erased.v1",
    "gateway.conversation.automation_paused.v1",
}


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Inbound]:
    async with inbound(database_url) as stage:
        stage.clock.advance(ARRIVAL - stage.clock.now())
        yield stage


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[Desk]:
    async with desk(database_url, limit=1) as opened:
        yield opened


class TestWhatIsAnnounced:
    async def test_whatever_the_catalogue_leads_to(self, stage: Inbound) -> None:
        await stage.channel(source=PAGE)
        await stage.channel(source=INSTAGRAM, kind="instagram")
        third = await stage.channel(kind="third_party")
        for event in _catalogue():
            await stage.handle([event])
        readers = {
            "contact": third_party.contact_event,
            "typing": third_party.typing_event,
            "status_read": third_party.status_event,
            "status_failed": third_party.status_event,
        }
        for name in sorted(payload_names("third_party")):
            reads = readers.get(name, third_party.message_event)
            item = json.loads(payload(f"third_party/{name}"))
            await stage.handle([reads(third, item, stage.clock.now())])
        assert await stage.dead_letters() == []
        assert await checked_types(stage.engine) == OF_THE_CATALOGUE

    async def test_every_move_of_an_enquiry(self, at: Desk) -> None:
        ada, ben = await at.agent(), await at.agent(name="Ben")
        channel = await at.channel(ada, ben)
        first = await at.say(channel)
        second = await at.say(channel, "bob")
        assert first is not None
        assert second is not None
        await at.reject(first, ada)
        await at.accept(first, ben)
        await at.transfer(first, await at.endpoint())
        await at.close(first)
        # Now there is a place for the second; nobody answers its offers.
        await at.timers()
        await at.advance(minutes=10)
        await at.follow_up(second, ada)
        await at.say(channel, "bob")
        await at.close(second)
        await at.reopen(second)
        await at.answer_in_page_inbox(channel, "bob")
        assert await checked_types(at.engine) >= OF_ENQUIRIES

    async def test_every_state_of_a_message(self, at: Desk) -> None:
        ada = await at.agent()
        channel_id = await at.channel(ada)
        await at.say(channel_id)
        for _ in range(2):
            await at.send(channel_id, agent=ada, sent=False)
        refused = {"code": "meta-551", "detail": "No.", "retryable": False, "remedy": "Wait."}
        async with at.database.unit_of_work() as work:
            conversation, [one, other] = await _sending(work, at)
            for message in (one, other):
                await move_message(work, conversation, message, MessageStatus.SENDING)
            unsure = refused | {"retryable": True, "remedy": None}
            await move_message(work, conversation, one, MessageStatus.UNCERTAIN, error=unsure)
            await move_message(work, conversation, one, MessageStatus.SENT, sent_at=work.now)
            for kind in ("delivered", "read"):
                await mark_message(work, conversation, one, kind, at=work.now)
            await move_message(work, conversation, other, MessageStatus.FAILED, error=refused)
        async with at.database.unit_of_work() as work:
            conversation, [_, other] = await _sending(work, at)
            await resend_message(work, conversation, await _channel(work, at, channel_id), other)
        assert await checked_types(at.engine) >= OF_SENDING

    async def test_what_fails_about_channels_and_endpoints(self, at: Desk) -> None:
        channel_id = await at.channel(
            source_name="Example app",
            outgoing_webhook_url="https://chat.example/gateway",
            link=people.CHANNEL.link,
            messages=people.CHANNEL.messages,
            custom_info=people.CHANNEL.custom_info,
        )
        endpoint_id = await at.endpoint()
        async with at.database.unit_of_work() as work:
            channel = await _channel(work, at, channel_id)
            for status, reason in (
                (ChannelStatus.DEGRADED, StatusReason.PAGE_UNPUBLISHED),
                (ChannelStatus.DISCONNECTED, StatusReason.TOKEN_EXPIRED),
            ):
                await mark_channel(work, channel, status, reason)
            endpoint = await get_endpoint(work.connection, at.account, endpoint_id)
            assert endpoint is not None
            announce_failing(
                work,
                endpoint,
                since=people.at(-90_000),
                error=SendError("upstream-failed", "It answered 500.", "See to it."),
            )
            announce_endpoint(work, endpoint, "disabled")
        assert await checked_types(at.engine) == OF_TARGETS

    async def test_a_window_that_closes(self, database_url: str) -> None:
        rules = replace(RULES, window_notice=timedelta(hours=1))
        async with inbound(database_url, rules) as stage:
            await stage.channel()
            await stage.feed(stage.message())
            stage.clock.advance(timedelta(hours=23))
            await TimerWorker(stage.database, AllShards(), Wakeups(database_url)).run_due()
            assert await checked_types(stage.engine) >= OF_WINDOWS

    def test_no_type_is_left_out(self) -> None:
        announced = (
            OF_THE_CATALOGUE
            | OF_ENQUIRIES
            | OF_SENDING
            | OF_TARGETS
            | OF_SETTINGS
            | OF_WINDOWS
            | OF_MEDIA
        )
        assert announced | TO_COME == set(PUBLIC_TYPES)
        assert not announced & TO_COME


class TestWhatIsPassedOn:
    def test_what_has_no_effect_of_its_own_is_published_as_it_came(self) -> None:
        passed_on = {type_ for type_ in INBOUND_TYPES if effect_of(type_) is pass_on}
        for type_ in passed_on - OF_NO_CHANNEL:
            known = INBOUND_TYPES[type_]
            fields = told_by(type_).model_fields
            assert {name: field.annotation for name, field in fields.items()} == {
                known.name: known.described()
            }


def test_a_message_to_a_third_party_is_the_one_of_the_example() -> None:
    attempt = Attempt(
        delivery=cast("Any", None),
        called_at=people.at(40),
        ends_by=0,
        message=people.SENDING,
        recipient=Recipient(
            contact_id=people.CONTACT_ID,
            source_contact_id=people.VISITOR_ID,
            name="Ann Example",
        ),
    )
    body = json.loads(message_body(attempt, link=lambda _account, media: media))
    check_webhook(MESSAGE_SEND, body)
    assert body == webhook_example(MESSAGE_SEND)


def _catalogue() -> Iterator[InboundEvent]:
    """Yield the events of all payloads, as if no two were of the same message."""
    # First what others speak of, so that there are edits and marks of messages that are known.
    first = ["messenger/text", "messenger/echo_page_inbox", "instagram/text", "instagram/echo"]
    names = [
        f"{folder}/{name}"
        for folder in ("messenger", "instagram")
        for name in sorted(payload_names(folder))
    ]
    for name in first + [name for name in names if name not in first]:
        for number, event in enumerate(read(payload(name), app=APP).events):
            data = event.data
            if name not in first and isinstance(data.get("id"), str):
                data = data | {"id": f"{name}:{number}"}
            yield replace(event, id=event_id([name, str(number)]), data=data)


async def _sending(work: UnitOfWork, at: Desk) -> tuple[Conversation, list[Message]]:
    rows = await at.all("SELECT id, conversation_id FROM messages WHERE direction = 'outbound'")
    [conversation_id] = {row.conversation_id for row in rows}
    locked = await lock_conversations(work, [conversation_id], account_id=at.account)
    found = await find_messages(work.connection, at.account, [row.id for row in rows])
    return locked[conversation_id], sorted(found.values(), key=lambda each: each.id)


async def _channel(work: UnitOfWork, at: Desk, channel_id: str) -> Channel:
    channel = await get_channel(work.connection, at.account, channel_id)
    assert channel is not None
    return channel
