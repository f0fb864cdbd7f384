"""How much of a limit a platform says is used up, and what that asks of whoever calls it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

# From here on calls are slowed, so that the limit is not met.
PRESSED_PERCENT: Final = 80
SPENT_PERCENT: Final = 100
# Where the platform does not say when it will listen again.
SPENT_WAIT: Final = timedelta(seconds=60)
# Platforms count over an hour at most; what was told before says nothing any more.
TOLD_FOR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Usage:
    """The fullest of a caller's limits.

    Attributes:
        percent: How much of it is used up; it may be more than 100.
        regain_after: When calls are let through again, where calls are refused for now.
    """

    percent: int
    regain_after: timedelta | None = None

    @property
    def pressed(self) -> bool:
        """Whether calls are to slow down."""
        return self.percent >= PRESSED_PERCENT

    @property
    def spent(self) -> bool:
        """Whether further calls would be refused, and make the block longer."""
        return self.percent >= SPENT_PERCENT or self.regain_after is not None

    @property
    def rest(self) -> timedelta | None:
        """How long nothing is to be called; None: calls may go on."""
        return (self.regain_after or SPENT_WAIT) if self.spent else None


def fullest(*usages: Usage | None) -> Usage | None:
    """Return the most of what several limits say; None where none says anything."""
    told = [each for each in usages if each is not None]
    if not told:
        return None
    regains = [each.regain_after for each in told if each.regain_after is not None]
    return Usage(max(each.percent for each in told), max(regains, default=None))
