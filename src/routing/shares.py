"""Shares enquiries out by per cents, evenly at every moment: smooth weighted round robin.

Each destination has a balance. At every turn each one that can be asked gains its share, the one
with the most is asked and pays what all of them gained. So in any hundred turns with all of them
there each gets exactly its share, never in a row when that can be helped; and the share of one that
is away goes to the others in proportion, because it neither gains nor pays.
"""

from collections.abc import Mapping, Sequence

from routing.entries import Entry


def take_turn(
    entries: Sequence[Entry], balances: Mapping[str, int]
) -> tuple[Entry, dict[str, int]]:
    """Return whose turn it is and the balances afterwards.

    Args:
        entries: Those that can be asked, at least one, in the rule's order.
        balances: By destination; one that is missing has none yet.
    """
    gained = {
        entry.destination_id: balances.get(entry.destination_id, 0) + entry.share
        for entry in entries
    }
    # The first of the richest: `max` keeps the rule's order among equals.
    chosen = max(entries, key=lambda entry: gained[entry.destination_id])
    gained[chosen.destination_id] -= sum(entry.share for entry in entries)
    return chosen, {**balances, **gained}


def next_best(entries: Sequence[Entry], balances: Mapping[str, int]) -> Entry:
    """Return who is asked when the one whose turn it was did not take it; no balance changes."""
    return max(entries, key=lambda entry: balances.get(entry.destination_id, 0) + entry.share)
