"""Named points of a process's work, at which a test can stop it where that hurts most."""

from collections.abc import Awaitable, Callable

Point = Callable[[str], Awaitable[None]]


async def go_on(_point: str) -> None:
    """Stop nowhere."""
