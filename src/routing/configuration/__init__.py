"""Checks a routing that somebody sent, and fills in its defaults."""

from routing.configuration.routings import validate_routing

__all__ = ["validate_routing"]
