"""Medians and 95th percentiles of durations as the database gathers them."""

from functools import lru_cache
from typing import Final

# As PostgreSQL's `int8send` writes it; what never happened is less than nothing.
_NUMBER: Final = ">i8"
_FRACTIONS: Final = (0.5, 0.95)

Summary = tuple[float, float]


def summaries(packed: bytes | None, kinds: int) -> list[Summary | None]:
    """Return the median and the 95th percentile of each kind of duration, None where it has none.

    Between two values they are in proportion, as those of PostgreSQL's `percentile_cont` and of
    `statistics.quantiles` with `inclusive`.

    Args:
        packed: Of each enquiry a number of each kind, one after another.
        kinds: How many kinds there are.
    """
    import numpy as np  # noqa: PLC0415 - 25 MiB that only reports need

    if not packed:
        return [None] * kinds
    table = np.frombuffer(packed, dtype=_NUMBER).astype(np.int64).reshape(-1, kinds)
    found: list[Summary | None] = []
    for kind in range(kinds):
        column = table[:, kind]
        values = column[column >= 0]
        if not values.size:
            found.append(None)
            continue
        ranks, ((low, low_next, low_part), (high, high_next, high_part)) = _places(values.size)
        values.partition(ranks)
        median, after_median = int(values[low]), int(values[low_next])
        p95, after_p95 = int(values[high]), int(values[high_next])
        found.append(
            (median + (after_median - median) * low_part, p95 + (after_p95 - p95) * high_part)
        )
    return found


@lru_cache(maxsize=10_000)
def _places(count: int) -> tuple[list[int], list[tuple[int, int, float]]]:
    """Return the ranks that matter among so many values, and what lies between which of them."""
    last = count - 1
    places = []
    for fraction in _FRACTIONS:
        place = fraction * last
        below = int(place)
        places.append((below, min(below + 1, last), place - below))
    return sorted({rank for below, above, _ in places for rank in (below, above)}), places
