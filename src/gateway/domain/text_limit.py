"""How long a text may be on one channel, counted as the platform counts.

Meta says of Messenger that a text "must be UTF-8 and has a 2000 character limit" (Send API
reference, `message.text`), and of Instagram that it "must be UTF-8 and be a 1000 bytes or less"
beside "less than 1000 characters" (Instagram Messaging, "Send a message", updated 24 June 2026).
So characters are code points, as everywhere in Graph's complaints about lengths; on Instagram the
bytes count besides, and are the stricter of the two.
"""

from dataclasses import dataclass, replace
from typing import Final

from gateway.domain.channel import ChannelKind
from gateway.errors import FieldFault, TextTooLongError

_INSTAGRAM_BYTES: Final = 1000


@dataclass(frozen=True, slots=True)
class TextLimit:
    """The most code points, and the most bytes of UTF-8 where the platform counts those as well."""

    characters: int
    octets: int | None = None

    def holds(self, text: str) -> bool:
        """Say whether a text is within the limit."""
        within = len(text) <= self.characters
        return within and (self.octets is None or octets_of(text) <= self.octets)

    def beside(self, other: str) -> "TextLimit":
        """Return what another text, which goes in the same message, leaves of the limit."""
        octets = None if self.octets is None else self.octets - octets_of(other)
        return replace(self, characters=self.characters - len(other), octets=octets)


def text_limit_of(kind: ChannelKind, characters: int) -> TextLimit:
    """Return the limit on a channel of a kind whose own `text_limit` is so many characters."""
    octets = _INSTAGRAM_BYTES if kind is ChannelKind.INSTAGRAM else None
    return TextLimit(characters, octets)


def check_text(text: str, *, limit: TextLimit, pointer: str, before: str = "") -> None:
    """Pass where a text, behind the name that stands before it, is within a channel's limit.

    Raises:
        TextTooLongError: It is longer.
    """
    if limit.holds(before + text):
        return
    if len(before) + len(text) > limit.characters:
        detail = f"The text has {len(text)} characters; this channel takes {limit.characters}"
        taken = f", {len(before)} of them for the name before it" if before else ""
    else:
        detail = f"The text has {octets_of(text)} bytes in UTF-8; this channel takes {limit.octets}"
        taken = f", {octets_of(before)} of them for the name before it" if before else ""
    raise too_long(f"{detail}{taken}.", pointer)


def too_long(detail: str, pointer: str) -> TextTooLongError:
    """Return the refusal of a text, with why."""
    return TextTooLongError(detail, faults=[FieldFault(pointer, "text-too-long", detail)])


def octets_of(text: str) -> int:
    """Return how many bytes a text has in UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))
