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


rows_of_group = st.lists(st.tuples(durations | st.just(NEVER), durations), max_size=50)


@given(st.lists(rows_of_group, max_size=6))
def test_they_are_those_of_the_statistics_module(groups: list[list[tuple[int, int]]]) -> None:
    found = summaries([packed(rows) for rows in groups], 2)
    assert len(found) == len(groups)
    for of_group, rows in zip(found, groups, strict=True):
        columns = zip(*rows, strict=True) if rows else ((), ())
        for summary, column in zip(of_group, columns, strict=True):
            expected = worked_out(list(column))
            assert summary == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("nothing", [None, b""])
def test_nothing_has_none(nothing: bytes | None) -> None:
    assert summaries([nothing], 3) == [[None, None, None]]
    assert summaries([], 3) == []


def test_as_many_groups_as_a_report_has_are_told_apart() -> None:
    found = summaries([packed([(n, 10**12 + n)]) for n in range(10_000)], 2)
    assert found == [[(n, n), (10**12 + n, 10**12 + n)] for n in range(10_000)]
