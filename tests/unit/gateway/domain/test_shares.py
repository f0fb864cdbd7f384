"""Nobody is given less so that somebody may have more than they."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.shares import fair_shares, newcomers_share


def test_who_wants_little_gets_it_whole_and_a_flood_gets_the_rest():
    assert fair_shares(10, {"flood": 5000, "quiet": 1, "calm": 2}) == pytest.approx(
        {"flood": 7, "quiet": 1, "calm": 2}
    )


def test_who_want_more_than_there_is_share_evenly():
    assert fair_shares(9, {"a": 100, "b": 50, "c": 10}) == pytest.approx({"a": 3, "b": 3, "c": 3})


def test_what_nobody_asked_for_lets_each_grow():
    assert fair_shares(10, {"a": 1, "b": 3}) == pytest.approx({"a": 4, "b": 6})
    assert fair_shares(10, {}) == {}


def test_somebody_new_has_as_much_as_if_all_wanted_more():
    assert newcomers_share(10, 0) == 10
    assert newcomers_share(10, 4) == 2


@given(
    st.floats(0, 1000),
    st.dictionaries(st.text(max_size=3), st.floats(0, 1000), min_size=1, max_size=8),
)
def test_shares_are_fair(total, demands):
    shares = fair_shares(total, demands)
    assert sum(shares.values()) == pytest.approx(total, abs=1e-6)
    for each, share in shares.items():
        # Nobody has more than another who wanted more than they got.
        assert share >= min(demands[each], total / len(demands)) - 1e-6
        if share < demands[each] - 1e-6:
            assert all(other <= share + 1e-6 for other in shares.values())
