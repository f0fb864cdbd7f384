"""Which reactions a Page can put on a message.

Meta names seven ("message_reactions" of the Messenger Platform) and takes an emoji besides.
"""

from typing import Final

import regex

NAMED: Final = frozenset({"smile", "angry", "sad", "wow", "love", "like", "dislike"})
# One user-perceived character that is drawn as a picture, flags and keycaps too.
_EMOJI: Final = regex.compile(
    r"(?=\X\Z)(?:\p{Extended_Pictographic}|\p{Regional_Indicator}{2}|[0-9#*]\ufe0f?\u20e3).*",
    regex.DOTALL,
)


def is_reaction(value: str) -> bool:
    """Say whether a value is one of Meta's names, or one emoji."""
    return value in NAMED or _EMOJI.fullmatch(value) is not None
