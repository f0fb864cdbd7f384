"""Percentiles of whole numbers as the database sends them: eight bytes each, one after another."""

from typing import Final

_WIDTH: Final = 8


def percentiles(packed: bytes | None, *fractions: float) -> list[float] | None:
    """Return percentiles, between two values in proportion; None where there are no values.

    They are PostgreSQL's `percentile_cont`, and `statistics.quantiles` with `inclusive`.

    Args:
        packed: The values, as `int8send` writes them.
        fractions: From 0 to 1: the median is 0.5.
    """
    import numpy as np  # noqa: PLC0415 - 25 MiB that only reports need

    if not packed:
        return None
    last = len(packed) // _WIDTH - 1
    places = [fraction * last for fraction in fractions]
    needed = sorted({at for place in places for at in (int(place), min(int(place) + 1, last))})
    values = np.frombuffer(packed, dtype=">i8").astype(np.int64)
    values.partition(needed)
    found = []
    for place in places:
        below = int(place)
        lower, upper = int(values[below]), int(values[min(below + 1, last)])
        found.append(lower + (upper - lower) * (place - below))
    return found
