"""Which events an endpoint wants."""

from collections.abc import Collection


def wants(
    event_type: str,
    channel_id: str | None,
    *,
    event_types: Collection[str],
    channel_ids: Collection[str],
) -> bool:
    """Say whether an endpoint is subscribed to an event.

    `event_types` holds whole type names, prefixes that end in `*`, or `*` alone; an empty
    `channel_ids` means every channel. Events of no channel go to endpoints of every channel only.
    """
    if channel_ids and channel_id not in channel_ids:
        return False
    return any(
        event_type == pattern or (pattern.endswith("*") and event_type.startswith(pattern[:-1]))
        for pattern in event_types
    )
