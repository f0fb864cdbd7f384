"""Fair shares of something that several want and that does not suffice for all."""

from collections.abc import Mapping


def fair_shares(total: float, demands: Mapping[str, float]) -> dict[str, float]:
    """Return who gets how much: nobody is given less so that somebody may have more than they.

    Max-min fairness: who wants little gets it whole, and what they leave is shared evenly by those
    who want more. What nobody asked for is shared evenly by all, so that each may grow.
    """
    shares: dict[str, float] = {}
    left = total
    waiting = sorted(demands, key=lambda each: (demands[each], each))
    for place, each in enumerate(waiting):
        shares[each] = min(max(demands[each], 0.0), left / (len(waiting) - place))
        left -= shares[each]
    return {each: share + left / len(shares) for each, share in shares.items()}


def newcomers_share(total: float, others: int) -> float:
    """Return what somebody gets of whom it is not known yet how much they want."""
    return total / (others + 1)
