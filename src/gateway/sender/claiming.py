"""Claims: which deliveries leave now, decided and committed before any of their calls starts."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from gateway.db.channels import Channel
from gateway.db.conversations import Conversation, lock_conversations
from gateway.db.deliveries import Delivery, Due, claim, find_last_errors
from gateway.db.endpoints import Endpoint
from gateway.db.lanes import demote
from gateway.db.messages import Message, find_messages_by_id
from gateway.db.meta_apps import MetaApp
from gateway.db.sending import (
    find_channels_and_apps,
    find_endpoints,
    find_events,
    find_mids,
    find_recipients,
)
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import has_window
from gateway.domain.conversation import ThreadOwner, window_at
from gateway.domain.delivery import DeliveryKind, SendError
from gateway.domain.message import EMPTIED_TYPES, AuthorKind, MessageStatus
from gateway.domain.verdict import (
    ACTION_LIFE,
    TOO_LATE,
    Cancelled,
    Disposal,
    Failed,
    Sendable,
    TargetHeld,
    judge_message,
)
from gateway.messaging.thread_ownership import owner_at
from gateway.messaging.transitions import Move, move_messages
from gateway.sender.attempts import Attempt, Stopped

# `call_ends_by` is so much later than the call's own budget.
MARGIN: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """How long a delivery's first call may last, and a later one."""

    first: timedelta
    later: timedelta


@dataclass(slots=True)
class Claims:
    """What became of a batch.

    Attributes:
        attempts: Their calls start now.
        stopped: They must not leave now; settlement writes down why.
        locked: Somebody else has their conversations for a moment; to be claimed again soon.
        left: Somebody else has them, or their turn has not come. The next look tells.
    """

    attempts: list[Attempt] = field(default_factory=list)
    stopped: list[Stopped] = field(default_factory=list)
    locked: list[Due] = field(default_factory=list)
    left: list[Due] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is known about a batch before anything is claimed."""

    conversations: Mapping[str, Conversation]
    messages: Mapping[str, Message]
    channels: Mapping[str, Channel]
    apps: Mapping[str, MetaApp]
    endpoints: Mapping[str, Endpoint]


async def claim_batch(
    work: UnitOfWork, batch: Sequence[Due], *, epochs: Mapping[int, int], budgets: Budgets
) -> Claims:
    """Claim what may leave now of a batch, in one transaction.

    Conversations that somebody else has locked are left for the next batch, so that one busy
    conversation delays no other.
    """
    started = time.monotonic()
    scene = await _look(work, batch)
    claims = Claims()
    wanted: list[Due] = []
    for due in batch:
        if due.message_id is not None and due.conversation_id not in scene.conversations:
            claims.locked.append(due)
        elif (verdict := _judge(due, scene, work.now)) is not None:
            claims.stopped.append(Stopped(due, verdict))
        else:
            wanted.append(due)
    await _name_last_errors(work, claims.stopped)
    claimed = await claim(
        work.connection,
        [due.id for due in wanted],
        epochs=epochs,
        now=work.now,
        first_budget=budgets.first + MARGIN,
        budget=budgets.later + MARGIN,
    )
    got = {delivery.id for delivery in claimed}
    claims.left = [due for due in wanted if due.id not in got]
    if claims.left:
        await demote(work.connection, [due.id for due in claims.left])
    await _start_messages(work, claimed, scene)
    claims.attempts = await _prepare(work, claimed, scene, budgets, started)
    return claims


async def _look(work: UnitOfWork, batch: Sequence[Due]) -> _Scene:
    conversation_ids = {due.conversation_id for due in batch if due.message_id is not None}
    channel_ids = {due.target_id for due in batch if due.kind is not DeliveryKind.EVENT}
    endpoint_ids = {due.target_id for due in batch if due.kind is DeliveryKind.EVENT}
    message_ids = {due.message_id for due in batch if due.message_id is not None}
    connection = work.connection
    # First: what stands in messages may change until their conversations are locked.
    conversations = (
        await lock_conversations(
            work, {each for each in conversation_ids if each}, account_id=None, skip_locked=True
        )
        if conversation_ids
        else {}
    )
    channels, apps = (
        await find_channels_and_apps(connection, channel_ids) if channel_ids else ({}, {})
    )
    return _Scene(
        conversations=conversations,
        messages=await find_messages_by_id(connection, message_ids) if message_ids else {},
        channels=channels,
        apps=apps,
        endpoints=await find_endpoints(connection, endpoint_ids) if endpoint_ids else {},
    )


def _judge(due: Due, scene: _Scene, now: datetime) -> Disposal | None:
    match due.kind:
        case DeliveryKind.EVENT:
            return _judge_event(scene.endpoints.get(due.target_id))
        case DeliveryKind.ACTION:
            channel = scene.channels.get(due.target_id)
            stale = now > due.created_at + ACTION_LIFE
            return Cancelled() if channel is None or channel.hold or stale else None
        case DeliveryKind.MESSAGE:
            return _judge_message(due, scene, now)


def _judge_event(endpoint: Endpoint | None) -> Disposal | None:
    if endpoint is None or endpoint.deleted_at is not None:
        return Cancelled()
    return None if endpoint.status == "active" else TargetHeld()


def _judge_message(due: Due, scene: _Scene, now: datetime) -> Disposal | None:
    message = scene.messages.get(due.message_id or "")
    channel = scene.channels.get(due.target_id)
    if message is None or channel is None:
        return Cancelled()
    conversation = scene.conversations[message.conversation_id]
    window = None
    if has_window(channel.kind):
        window = window_at(
            now,
            kind=channel.kind,
            last_action_at=conversation.last_action_at,
            human_agent=channel.human_agent,
        )
    return judge_message(
        Sendable(
            status=message.status,
            tag=message.tag,
            to_comment=message.comment_id is not None,
            deadline_at=due.deadline_at,
            emptied=message.content.get("type") in EMPTIED_TYPES,
        ),
        status=channel.status,
        hold=channel.hold,
        window=window,
        now=now,
    )


async def _name_last_errors(work: UnitOfWork, stopped: list[Stopped]) -> None:
    """Say of those that were tried and are too late now why the last attempt failed."""
    late = {
        each.due.id: n
        for n, each in enumerate(stopped)
        if each.verdict == Failed(TOO_LATE) and each.due.attempt
    }
    if not late:
        return
    for delivery_id, error in (await find_last_errors(work.connection, list(late))).items():
        place = late[delivery_id]
        due = stopped[place].due
        stopped[place] = Stopped(due, Failed(SendError(**error).given_up(due.attempt)))


async def _start_messages(work: UnitOfWork, claimed: Collection[Delivery], scene: _Scene) -> None:
    moves = [
        Move(
            conversation=scene.conversations[scene.messages[each.message_id].conversation_id],
            message=scene.messages[each.message_id],
            target=MessageStatus.SENDING,
        )
        for each in claimed
        if each.message_id is not None
    ]
    if moves:
        await move_messages(work, moves)


async def _prepare(
    work: UnitOfWork,
    claimed: Sequence[Delivery],
    scene: _Scene,
    budgets: Budgets,
    started: float,
) -> list[Attempt]:
    connection = work.connection
    to_people = [each for each in claimed if each.kind is not DeliveryKind.EVENT]
    recipients = (
        await find_recipients(
            connection, {each.conversation_id for each in to_people if each.conversation_id}
        )
        if to_people
        else {}
    )
    messages = {each.id: scene.messages.get(each.message_id or "") for each in claimed}
    mids = await find_mids(
        connection, {each.reply_to for each in messages.values() if each and each.reply_to}
    )
    events = (
        await find_events(
            connection,
            [
                (each.event_id, each.event_created_at)
                for each in claimed
                if each.event_id is not None and each.event_created_at is not None
            ],
        )
        if len(to_people) < len(claimed)
        else {}
    )
    attempts = []
    for delivery in claimed:
        message = messages[delivery.id]
        channel = scene.channels.get(delivery.target_id)
        budget = budgets.first if delivery.attempt == 1 else budgets.later
        attempts.append(
            Attempt(
                delivery=delivery,
                called_at=work.now,
                ends_by=started + budget.total_seconds(),
                channel=channel,
                app=scene.apps.get(channel.meta_app_id or "") if channel else None,
                recipient=recipients.get(delivery.conversation_id or ""),
                message=message,
                reply_to_mid=mids.get(message.reply_to or "") if message else None,
                takes_thread=message is not None and _takes_thread(message, scene, work.now),
                endpoint=scene.endpoints.get(delivery.target_id),
                event=events.get(delivery.event_id or ""),
            )
        )
    return attempts


def _takes_thread(message: Message, scene: _Scene, now: datetime) -> bool:
    """Say whether a message takes the thread: told to, or an agent's when the inbox has it."""
    if message.take_thread:
        return True
    owner = owner_at(scene.conversations[message.conversation_id], now)
    return message.author_kind is AuthorKind.AGENT and owner is ThreadOwner.PAGE_INBOX
