"""What a text may be on one channel, and how a longer one is cut."""

from gateway.errors import FieldFault, TextTooLongError


def check_text(text: str, *, limit: int, pointer: str, taken: int = 0) -> None:
    """Pass where a text is within a channel's limit, in characters.

    `taken` is how many of them the name that stands before the text has.

    Raises:
        TextTooLongError: It is longer.
    """
    if taken + len(text) > limit:
        detail = f"The text has {len(text)} characters; this channel takes {limit}."
        if taken:
            detail = f"{detail[:-1]}, {taken} of them for the name before it."
        raise TextTooLongError(detail, faults=[FieldFault(pointer, "text-too-long", detail)])


def split_text(text: str, *, limit: int) -> list[str]:
    """Return a text in parts within the limit, cut at white space where there is any.

    White space at a cut is dropped, everything else is kept in its order.
    """
    parts = []
    rest = text.strip()
    while len(rest) > limit:
        cut = _last_space(rest, limit)
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*parts, rest] if rest else parts


def _last_space(text: str, limit: int) -> int:
    # A space right behind the limit lets the whole part stand.
    for place in range(limit, 0, -1):
        if text[place].isspace():
            return place
    return limit
