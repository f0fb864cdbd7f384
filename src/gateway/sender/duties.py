"""Duties: what errands of a kind do, how often they are tried, and what an attempt may come to."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from gateway.contracts.moments import rfc3339
from gateway.db.dead_letters import SetAside, set_aside
from gateway.db.errands import Errand
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.backoff import RetrySchedule

_DEAD_LETTER: Final = "errand-failed"

Effect = Callable[[UnitOfWork], Awaitable[None]]


async def no_effect(_work: UnitOfWork) -> None:
    """Write nothing."""


@dataclass(frozen=True, slots=True)
class Done:
    """The errand is done; `effect` is committed with that.

    An effect locks what it changes in the order of all locks; the errand's row is the last.
    """

    effect: Effect = no_effect


@dataclass(frozen=True, slots=True, kw_only=True)
class GoOn:
    """A step is done, and another follows at a moment (the product's time), tried from the start.

    Attributes:
        due_at: When.
        data: What the next step needs; it replaces the errand's.
        effect: What this step writes.
    """

    due_at: datetime
    data: Mapping[str, Any]
    effect: Effect = no_effect


@dataclass(frozen=True, slots=True)
class Again:
    """It did not work this time.

    Attributes:
        reason: In a word, for logs and for who is told in the end; nothing of anybody's content.
        after: Not before so long; without, as the duty's schedule says.
        counts: False: not as one of the duty's tries, for example while somebody is throttled.
    """

    reason: str
    after: timedelta | None = None
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Impossible:
    """It never will work; `reason` in a word."""

    reason: str


Result: TypeAlias = Done | GoOn | Again | Impossible


async def _set_aside(work: UnitOfWork, errand: Errand, reason: str) -> None:
    record = {
        "kind": errand.kind,
        "subject_id": errand.subject_id,
        "conversation_id": errand.conversation_id,
        "due_at": rfc3339(errand.due_at),
        "data": errand.data,
        "reason": reason,
    }
    letter = SetAside(
        reason=_DEAD_LETTER,
        stage="sender",
        account_id=errand.account_id,
        attempts=errand.attempt,
        key=(errand.conversation_id or errand.subject_id).encode(),
        value=json.dumps(record).encode(),
    )
    await set_aside(work, [letter])


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What errands of a kind do.

    Attributes:
        run: Makes one attempt; no transaction may be open while it calls out. What it raises counts
            as an attempt that did not work, except for the database's passing failures.
        seconds: How long an attempt may take in all; it is cancelled then.
        schedule: The waits between attempts; after the last one it is given up.
        at_once: How many of the kind one process runs at a time.
        given_up: Written when it is given up, with the last reason; without, a dead letter.
    """

    run: Callable[[Errand], Awaitable[Result]]
    seconds: float
    schedule: RetrySchedule
    at_once: int = 8
    given_up: Callable[[UnitOfWork, Errand, str], Awaitable[None]] = _set_aside
