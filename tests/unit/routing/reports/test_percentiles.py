"""Percentiles of packed durations."""

import statistics
import struct
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.reports.percentiles import Summary, summaries

NEVER = -1
durations = st.integers(0, 10**12)


def packed(rows: list[tuple[int, ...]]) -> bytes:
    numbers = list(chain.from_iterable(rows))
    return struct.pack(f">{len(numbers)}q", *numbers)


def worked_out(values: list[int]) -> Summary | None:
    there = [value for value in values if value != NEVER]
    if len(there) < 2:
        return (there[0], there[0]) if there else None
    return statistics.median(there), statistics.quantiles(there, n=20, method="inclusive")[18]


@given(st.lists(st.tuples(durations | st.just(NEVER), durations), min_size=1, max_size=200))
def test_they_are_those_of_the_statistics_module(rows: list[tuple[int, int]]) -> None:
    found = summaries(packed(rows), 2)
    for summary, column in zip(found, zip(*rows, strict=True), strict=True):
        expected = worked_out(list(column))
        assert summary == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("nothing", [None, b""])
def test_nothing_has_none(nothing: bytes | None) -> None:
    assert summaries(nothing, 3) == [None, None, None]
