"""What a channel says by itself: the words it begins with, and how its own are made into a text."""

import re
from typing import Final

from gateway.domain.splitting import UnsplittableError, split_text
from gateway.domain.text_limit import TextLimit

DEFAULT_WELCOME: Final = (
    "Hello, and thank you for writing to us. One moment, please: somebody will be with you shortly."
)
DEFAULT_AWAY: Final = (
    "Thank you for your message. Nobody is available at the moment; we will get back to you as "
    "soon as we can."
)

_PLACEHOLDER: Final = re.compile(r"\{(contact_name|channel_name)\}")
# Without a name, the space before it goes as well, and a comma before that where the sentence or
# the clause ends behind it: "Hello {contact_name}!" and "Hello, {contact_name}!" become "Hello!".
_NAMELESS: Final = re.compile(
    r"(?:[^\S\n]*[,\u060c\u3001\uff0c])?[^\S\n]*\{contact_name\}(?=[^\w\s{]|[^\S\n]*$)"
    r"|[^\S\n]*\{contact_name\}",
    re.MULTILINE,
)
# Where a line begins with it, so does what parts it from the rest: "{contact_name}, welcome".
_NAMELESS_FIRST: Final = re.compile(r"^[^\S\n]*\{contact_name\}[^\w\n{]*(.?)", re.MULTILINE)
_CUT: Final = "…"


def compose(template: str, *, contact_name: str | None, channel_name: str, limit: TextLimit) -> str:
    """Return a channel's own words with its placeholders filled in, within the text limit.

    Other words in braces stay as they are. Where nobody knows the contact's name, the text reads as
    if it had none; what is left may be blank. A text that is too long ends with an ellipsis.
    """
    name = " ".join((contact_name or "").split())
    text = template
    if not name:
        text = _NAMELESS_FIRST.sub(lambda found: found[1].upper(), text)
        text = _NAMELESS.sub("", text)
    names = {"contact_name": name, "channel_name": channel_name}
    text = _PLACEHOLDER.sub(lambda found: names[found[1]], text)
    return text if limit.holds(text) else _shortened(text, limit)


def _shortened(text: str, limit: TextLimit) -> str:
    for end in (_CUT, ""):
        try:
            return split_text(text, limit.beside(end))[0] + end
        except (UnsplittableError, IndexError):
            continue
    return ""
