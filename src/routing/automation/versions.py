"""The rules of bots, by version: what never changes once it is written is read once."""

from collections import OrderedDict
from typing import Final, TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.bots import get_bot_version
from routing.bots import BotRule, rules_of

# An account, a bot of it, and a version.
_Version: TypeAlias = tuple[str, str, int]

_KEPT: Final = 500
_read: Final[OrderedDict[_Version, tuple[BotRule, ...]]] = OrderedDict()


async def rules_of_version(
    connection: AsyncConnection, account_id: str, bot_id: str, version: int
) -> tuple[BotRule, ...]:
    """Return the rules that a bot had in a version; none, where there was no such version."""
    wanted = (account_id, bot_id, version)
    if wanted in _read:
        _read.move_to_end(wanted)
        return _read[wanted]
    stored = await get_bot_version(connection, account_id, bot_id, version)
    if stored is None:
        return ()
    _read[wanted] = rules_of(stored)
    if len(_read) > _KEPT:
        _read.popitem(last=False)
    return _read[wanted]
