"""Percentiles of packed numbers."""

import statistics
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.reports.percentiles import percentiles


def packed(values: list[int]) -> bytes:
    return struct.pack(f">{len(values)}q", *values)


@given(st.lists(st.integers(0, 10**12), min_size=2, max_size=200))
def test_they_are_those_of_the_statistics_module(values: list[int]) -> None:
    found = percentiles(packed(values), 0.5, 0.95)
    assert found is not None
    median, p95 = found
    assert median == pytest.approx(statistics.median(values))
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    assert p95 == pytest.approx(cuts[18])


def test_one_value_is_all_of_them() -> None:
    assert percentiles(packed([7]), 0, 0.5, 0.95, 1) == [7, 7, 7, 7]


@pytest.mark.parametrize("nothing", [None, b""])
def test_nothing_has_none(nothing: bytes | None) -> None:
    assert percentiles(nothing, 0.5) is None
