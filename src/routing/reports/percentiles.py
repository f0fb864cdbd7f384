"""Medians and 95th percentiles of durations as the database gathers them."""

from collections.abc import Sequence
from typing import Final

# As PostgreSQL's `int8send` writes it; what never happened is less than nothing.
_NUMBER: Final = ">i8"
_NUMBER_BYTES: Final = 8
_FRACTIONS: Final = (0.5, 0.95)
# Milliseconds of nine thousand years; above them there is room for 32,768 groups.
_DURATION_BITS: Final = 48

Summary = tuple[float, float]


def summaries(packed: Sequence[bytes | None], kinds: int) -> list[list[Summary | None]]:
    """Return the median and the 95th percentile of each kind of duration in each group.

    Between two values they are in proportion, as those of PostgreSQL's `percentile_cont` and of
    `statistics.quantiles` with `inclusive`. None where it happened to none of a group.

    Args:
        packed: Of each group, for each enquiry a number of each kind, one after another.
        kinds: How many kinds there are.
    """
    import numpy as np  # noqa: PLC0415 - 25 MiB that only reports need

    groups = [each or b"" for each in packed]
    sizes = [len(each) // (_NUMBER_BYTES * kinds) for each in groups]
    table = np.frombuffer(b"".join(groups), dtype=_NUMBER).reshape(-1, kinds)
    # All groups are sorted together: one after the other costs most where they are many.
    of_group = np.repeat(np.arange(len(groups), dtype=np.int64) << _DURATION_BITS, sizes)
    borders = np.arange(len(groups) + 1, dtype=np.int64) << _DURATION_BITS
    found = []
    for kind in range(kinds):
        column = table[:, kind].astype(np.int64)
        values = (column + of_group)[column >= 0]
        values.sort()
        ends = np.searchsorted(values, borders)
        begins, last = ends[:-1], np.diff(ends) - 1
        there = last >= 0
        # A place that there always is, for groups without any.
        values = np.append(values & ((1 << _DURATION_BITS) - 1), 0)
        points = []
        for fraction in _FRACTIONS:
            place = fraction * last
            below = place.astype(np.int64)
            low = values[np.where(there, begins + below, -1)]
            high = values[np.where(there, begins + np.minimum(below + 1, last), -1)]
            points.append((low + (high - low) * (place - below)).tolist())
        pairs = zip(*points, there.tolist(), strict=True)
        found.append([(median, p95) if some else None for median, p95, some in pairs])
    return [list(each) for each in zip(*found, strict=True)]
