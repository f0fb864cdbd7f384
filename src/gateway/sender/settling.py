"""Settlement: what attempts came to is written down, and the next of each lane is let go.

One transaction settles a batch. Rows are locked in the order conversations, channels and endpoints,
deliveries. What is written for a delivery holds only if the row still stands as the attempt left
it: an echo, or the owner of the shard after us, may have settled it first.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from gateway.db.conversations import Conversation, lock_conversations
from gateway.db.dead_letters import SetAside, set_aside
from gateway.db.deliveries import (
    AttemptRow,
    Delivery,
    Due,
    lock_deliveries,
    save_deliveries,
)
from gateway.db.lanes import Lane, promote_lanes
from gateway.db.messages import Message, find_messages_by_id
from gateway.db.timers import NewTimer, write_timers
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.backoff import MESSAGE_SCHEDULE, RetrySchedule
from gateway.domain.conversation import window_at
from gateway.domain.delivery import (
    Accepted,
    DeliveryKind,
    DeliveryStatus,
    NotStarted,
    Outcome,
    SendError,
    Unknown,
)
from gateway.domain.message import may_move
from gateway.domain.ramp import CallEnd
from gateway.domain.verdict import (
    DeadLettered,
    Disposal,
    Patience,
    RetryDue,
    TargetGone,
    TargetHeld,
    Untried,
    Verdict,
    settle_action,
    settle_event,
    settle_message,
)
from gateway.messaging.inline_answers import answer_timer
from gateway.messaging.settlement import hold_target
from gateway.messaging.transitions import Move, move_messages
from gateway.sender.attempts import (
    Attempt,
    Ended,
    Result,
    Stopped,
    Told,
    Unclaimed,
    call_end,
    told_by,
)
from gateway.sender.consequences import apply_to_targets
from gateway.sender.endpoint_health import GONE
from gateway.sender.webhook import event_body
from gateway.sender.writing import Written, change_row, message_move

EXHAUSTED: Final = "delivery-exhausted"


@dataclass(slots=True)
class Settled:
    """What became of a batch.

    Attributes:
        done: Whose calls are over for good, and what each showed; None where there was no call.
        left: Their conversations were locked by somebody else; to be settled again.
        due: What may leave next: retries, and those that their predecessors let go.
        rests: Until when targets are sent nothing.
        app_rests: Until when nothing is sent through Meta apps.
        told: What the answers told of limits.
    """

    done: list[tuple[str, CallEnd | None]] = field(default_factory=list)
    left: list[Result] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)
    rests: dict[str, datetime] = field(default_factory=dict)
    app_rests: dict[str, datetime] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)


@dataclass(slots=True)
class _Sheet:
    """What a batch writes, collected before it is written."""

    rows: list[Delivery] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)
    lanes: set[Lane] = field(default_factory=set)
    letters: list[SetAside] = field(default_factory=list)
    answers: list[NewTimer] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Settlement:
    """Settles batches by one set of rules."""

    schedule: RetrySchedule
    chance: random.Random

    async def settle(
        self, work: UnitOfWork, results: Sequence[Result], *, skip_locked: bool
    ) -> Settled:
        """Settle a batch; `skip_locked` leaves conversations that somebody else holds for later."""
        settled = Settled()
        conversations = await _lock(work, results, skip_locked=skip_locked)
        todo: list[Result] = []
        for each in results:
            free = each.conversation_id is None or each.conversation_id in conversations
            (todo if free else settled.left).append(each)
        consequences = await apply_to_targets(work, todo)
        rows = await lock_deliveries(work.connection, {each.delivery_id for each in todo})
        message_ids = {row.message_id for row in rows.values() if row.message_id is not None}
        messages = await find_messages_by_id(work.connection, message_ids) if message_ids else {}
        sheet = _Sheet()
        for each in todo:
            row = rows.get(each.delivery_id)
            message = messages.get(row.message_id or "") if row is not None else None
            conversation = conversations.get(each.conversation_id or "")
            if isinstance(each, Ended):
                outcome = consequences.outcomes.get(each.delivery_id, each.answer.outcome)
                self._settle_ended(work, each, outcome, row, message, conversation, sheet)
            elif row is not None and (verdict := _verdict_without_call(row, each)) is not None:
                _apply(work, row, verdict, message, conversation, sheet, None)
            settled.done.append((each.delivery_id, call_end(each)))
        await _write(work, sheet)
        for target_id in sorted(consequences.disabled):
            await hold_target(work, target_id)
        promoted = await promote_lanes(work.connection, sheet.lanes)
        settled.due = [*sheet.due, *promoted]
        settled.rests, settled.app_rests = consequences.rests, consequences.app_rests
        ended = (each for each in todo if isinstance(each, Ended))
        settled.told = [told for each in ended if (told := told_by(each)) is not None]
        return settled

    def _settle_ended(
        self,
        work: UnitOfWork,
        ended: Ended,
        outcome: Outcome,
        row: Delivery | None,
        message: Message | None,
        conversation: Conversation | None,
        sheet: _Sheet,
    ) -> None:
        if row is None:
            return
        if not isinstance(outcome, NotStarted):
            sheet.attempts.append(_attempt_row(ended, outcome))
        if _stands(row, ended.attempt.delivery, outcome):
            verdict = self._judge(work.now, ended.attempt, outcome, row, conversation)
            _apply(work, row, verdict, message, conversation, sheet, ended.attempt)
            # Who hears of the past does not speak to people of it.
            if ended.answer.spoken and row.attempts_before is None:
                sheet.answers.append(answer_timer(row, ended.answer.spoken, at=work.now))

    def _judge(
        self,
        now: datetime,
        attempt: Attempt,
        outcome: Outcome,
        row: Delivery,
        conversation: Conversation | None,
    ) -> Verdict:
        match row.kind:
            case DeliveryKind.MESSAGE:
                return settle_message(
                    outcome,
                    attempt=row.attempt,
                    now=now,
                    patience=Patience(
                        deadline_at=row.deadline_at,
                        window_closes_at=_window_end(now, attempt, conversation),
                    ),
                    schedule=MESSAGE_SCHEDULE,
                    chance=self.chance,
                )
            case DeliveryKind.EVENT:
                return settle_event(
                    outcome,
                    # What was asked for again has the whole schedule again.
                    attempt=row.attempt - (row.attempts_before or 0),
                    now=now,
                    schedule=self.schedule,
                    chance=self.chance,
                )
            case DeliveryKind.ACTION:
                return settle_action(outcome)


async def _lock(
    work: UnitOfWork, results: Sequence[Result], *, skip_locked: bool
) -> Mapping[str, Conversation]:
    wanted = {each.conversation_id for each in results if each.conversation_id is not None}
    if not wanted:
        return {}
    return await lock_conversations(work, wanted, account_id=None, skip_locked=skip_locked)


async def _write(work: UnitOfWork, sheet: _Sheet) -> None:
    if sheet.moves:
        await move_messages(work, sheet.moves)
    await save_deliveries(work.connection, sheet.rows, attempts=sheet.attempts)
    await set_aside(work, sheet.letters)
    if sheet.answers:
        await write_timers(work, set_=sheet.answers)


def _verdict_without_call(row: Delivery, result: Stopped | Unclaimed) -> Disposal | Untried | None:
    """Return what becomes of a delivery that was not called; None: somebody else saw to it."""
    if isinstance(result, Stopped):
        pending = row.status is DeliveryStatus.PENDING and row.attempt == result.due.attempt
        # A hold that ended meanwhile has put the deadline off: it is judged by the new one.
        same = row.deadline_at == result.due.deadline_at
        return result.verdict if pending and same else None
    claimed = (row.attempt, row.epoch) == (result.due.attempt + 1, result.epoch)
    return Untried() if claimed and row.status is DeliveryStatus.SENDING else None


def _stands(row: Delivery, claimed: Delivery, outcome: Outcome) -> bool:
    """Say whether a row is still as the attempt left it, so that the outcome counts.

    Late certainty counts too: an answer beats the guess that was made when none had come.
    """
    if (row.attempt, row.epoch) != (claimed.attempt, claimed.epoch):
        return False
    match row.status:
        case DeliveryStatus.SENDING:
            return True
        case DeliveryStatus.UNCERTAIN:
            return not isinstance(outcome, Unknown | NotStarted)
        case DeliveryStatus.PENDING:
            return isinstance(outcome, Accepted)
        case _:
            return False


def _window_end(
    now: datetime, attempt: Attempt, conversation: Conversation | None
) -> datetime | None:
    message, channel = attempt.message, attempt.channel
    if message is None or channel is None or conversation is None or message.comment_id:
        return None
    window = window_at(
        now,
        kind=channel.kind,
        last_action_at=conversation.last_action_at,
        human_agent=channel.human_agent,
    )
    return window.human_agent_until if message.tag else window.open_until


def _apply(
    work: UnitOfWork,
    row: Delivery,
    verdict: Written | TargetHeld,
    message: Message | None,
    conversation: Conversation | None,
    sheet: _Sheet,
    attempt: Attempt | None,
) -> None:
    """Put on the sheet what a verdict does to a delivery, its message and its lane."""
    if isinstance(verdict, TargetHeld):
        # The whole target has been held already, this delivery with it.
        return
    sheet.rows.append(row)
    change_row(row, verdict, attempt, now=work.now)
    # Nothing follows in a lane of a delivery's own.
    if not row.holds_lane and row.lane != row.id:
        sheet.lanes.add((row.target_id, row.lane))
    if isinstance(verdict, RetryDue):
        sheet.due.append(_due_again(row, message))
    if isinstance(verdict, TargetGone | DeadLettered):
        sheet.letters.append(_dead_letter(row, verdict, attempt))
    move = message_move(verdict, attempt, now=work.now)
    if move is None or message is None or conversation is None:
        return
    target, changes = move
    if may_move(message.status, target):
        sheet.moves.append(
            Move(
                conversation=conversation,
                message=message,
                target=target,
                changes=changes,
                traceparent=row.traceparent,
            )
        )


def _dead_letter(
    row: Delivery, verdict: TargetGone | DeadLettered, attempt: Attempt | None
) -> SetAside:
    event = None if attempt is None else attempt.event
    return SetAside(
        reason=GONE if isinstance(verdict, TargetGone) else EXHAUSTED,
        stage="sender",
        account_id=row.account_id,
        attempts=row.attempt,
        delivery_id=row.id,
        event_created_at=row.event_created_at,
        key=None if event is None else event.key.encode(),
        value=None if attempt is None or event is None else event_body(attempt),
    )


def _attempt_row(ended: Ended, outcome: Outcome) -> AttemptRow:
    delivery, answer = ended.attempt.delivery, ended.answer
    error: SendError | None = getattr(outcome, "error", answer.note)
    return AttemptRow(
        delivery_id=delivery.id,
        attempt=delivery.attempt,
        account_id=delivery.account_id,
        at=ended.attempt.called_at,
        status=answer.status,
        milliseconds=answer.milliseconds,
        body=answer.body,
        outcome=outcome.name,
        error=None if error is None else error.as_document(),
    )


def _due_again(row: Delivery, message: Message | None) -> Due:
    assert row.due_at is not None
    return Due(
        id=row.id,
        account_id=row.account_id,
        shard=row.shard,
        target_kind=row.target_kind,
        target_id=row.target_id,
        lane=row.lane,
        ordinal=row.ordinal,
        kind=row.kind,
        conversation_id=row.conversation_id,
        message_id=row.message_id,
        attempt=row.attempt,
        due_at=row.due_at,
        deadline_at=row.deadline_at,
        created_at=row.created_at,
        content_type=None if message is None else message.content.get("type"),
    )
