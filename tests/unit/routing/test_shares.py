"""Shares by per cents: exact over every hundred turns, and in proportion while somebody is away."""

import random
from collections import Counter
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from routing.entries import Entry
from routing.shares import next_best, take_turn


def entries(*shares: int) -> list[Entry]:
    return [Entry(str(n), timedelta(seconds=60), share) for n, share in enumerate(shares)]


def turns(there: list[Entry], number: int, balances: dict[str, int]) -> list[str]:
    taken = []
    for _ in range(number):
        chosen, after = take_turn(there, balances)
        balances.clear()
        balances.update(after)
        taken.append(chosen.destination_id)
    return taken


SHARES = st.lists(st.integers(1, 99), min_size=1, max_size=9, unique=True).map(
    lambda cuts: [b - a for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), 100], strict=True)]
)


@given(SHARES)
def test_any_hundred_turns_have_each_share_exactly(shares: list[int]) -> None:
    taken = turns(entries(*shares), 400, {})
    for begin in range(300):
        counted = Counter(taken[begin : begin + 100])
        assert counted == {str(n): share for n, share in enumerate(shares)}


@given(SHARES)
def test_at_every_moment_nobody_is_far_from_what_is_due(shares: list[int]) -> None:
    counted: Counter[str] = Counter()
    for n, destination_id in enumerate(turns(entries(*shares), 100, {}), start=1):
        counted[destination_id] += 1
        for place, share in enumerate(shares):
            assert abs(counted[str(place)] - n * share / 100) < len(shares) / 2 + 1


def test_turns_are_spread_and_not_in_blocks() -> None:
    assert "".join(turns(entries(50, 30, 20), 10, {})) == "0120010210"


def test_the_share_of_one_that_is_away_goes_to_the_others_in_proportion() -> None:
    everybody = entries(50, 30, 20)
    counted = Counter(turns(everybody[1:], 1000, {}))
    assert counted == {"1": 600, "2": 400}


def test_the_others_keep_their_shares_while_one_comes_and_goes() -> None:
    everybody = entries(50, 30, 20)
    rng = random.Random(7)
    balances: dict[str, int] = {}
    counted: Counter[str] = Counter()
    for _ in range(100):
        there = everybody if rng.random() < 0.5 else everybody[1:]
        counted.update(turns(there, 100, balances))
    others = counted["1"] + counted["2"]
    assert abs(counted["1"] / others - 0.6) < 0.01
    assert abs(counted["2"] / others - 0.4) < 0.01


def test_the_next_best_is_who_is_due_most_and_nothing_is_paid() -> None:
    everybody = entries(50, 30, 20)
    chosen, balances = take_turn(everybody, {})
    assert chosen.destination_id == "0"
    assert next_best(everybody[1:], balances).destination_id == "1"
    assert next_best(everybody[2:], balances).destination_id == "2"
    assert take_turn(everybody, balances)[0].destination_id == "1"
