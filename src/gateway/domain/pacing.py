"""How fast to call where a limit was felt: down by a factor at once, up again little by little.

Additive increase and multiplicative decrease, as TCP does it (RFC 5681): callers that share a limit
and know nothing of one another come to even shares, and the limit is met seldom. A refusal halves
the pace; a usage that rises beyond 80 % takes three tenths off it, so that the refusal does not
come. What is slowed is what was really called, not what might have been.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from gateway.domain.usage import PRESSED_PERCENT

AFTER_REFUSAL: Final = 0.5
UNDER_PRESSURE: Final = 0.7
# One call in ten seconds: by its answer it is learnt when the pressure has gone.
LEAST_RATE: Final = 0.1
# What is told within less than this is told of the same thing.
EVERY: Final = timedelta(seconds=1)
# Without pressure, what was called when the limit was felt is reached again after this.
_REGAINED_IN: Final = timedelta(seconds=60)
# Nothing is slowed any more at so many times what was called when the limit was felt.
_FORGOTTEN_AT: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a target or an app is called for now.

    Attributes:
        rate: Calls a second.
        felt: Calls a second when its limit was felt first.
        percent: How much of the limit was used up when this was decided.
        decided_at: Since when it holds; later than now where it holds after a rest.
    """

    rate: float
    felt: float
    percent: int
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What calls told of a limit.

    Attributes:
        percent: How much of it is used up, as far as is known.
        refused: A call was refused because of it.
        calls: How many calls a second were made lately.
        called_at: When the call that tells began.
        resumes_at: When calls may be made again; now, where nothing rests.
    """

    percent: int = 0
    refused: bool = False
    calls: float
    called_at: datetime
    resumes_at: datetime


def decide_pace(pace: Pace | None, sign: Sign, *, ceiling: float | None = None) -> Pace | None:
    """Return how fast to call after a sign; None: as fast as `ceiling`, or as one likes.

    Calls that began before the pace was decided tell of the time before it, and change nothing.
    """
    if pace is not None and sign.called_at < pace.decided_at + EVERY:
        return pace
    if sign.refused:
        return _slower(pace, sign, AFTER_REFUSAL)
    if sign.percent >= PRESSED_PERCENT:
        if pace is None or sign.percent > pace.percent:
            return _slower(pace, sign, UNDER_PRESSURE)
        # It stands or falls: this pace is right until the pressure has gone.
        return replace(pace, percent=sign.percent, decided_at=sign.resumes_at)
    return None if pace is None else _faster(pace, sign, ceiling)


def _slower(pace: Pace | None, sign: Sign, factor: float) -> Pace:
    base = sign.calls if pace is None else min(pace.rate, sign.calls)
    return Pace(
        rate=max(LEAST_RATE, base * factor),
        felt=max(LEAST_RATE, base if pace is None else pace.felt),
        percent=sign.percent,
        decided_at=sign.resumes_at,
    )


def _faster(pace: Pace, sign: Sign, ceiling: float | None) -> Pace | None:
    gained = pace.felt * ((sign.resumes_at - pace.decided_at) / _REGAINED_IN)
    rate = pace.rate + gained
    if rate >= pace.felt * _FORGOTTEN_AT or (ceiling is not None and rate >= ceiling):
        return None
    return replace(pace, rate=rate, percent=sign.percent, decided_at=sign.resumes_at)
