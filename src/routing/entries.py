"""A destination's place in one of a routing's lists."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

DEFAULT_TIMEOUT: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Entry:
    """A destination's place in a list.

    Attributes:
        destination_id: An agent, a team, a bot or an endpoint.
        timeout: How long an offer to it stands.
        share: Of the rule `percentage`, in per cent; 0 elsewhere.
    """

    destination_id: str
    timeout: timedelta
    share: int = 0
