"""What a rule-based bot says to what a contact said: the first rule that matches answers.

Keywords are whole words, or phrases of them, in any language: case, accents and width do not count,
and where words end is Unicode's to say, so that scripts without spaces work too. Customers write no
regular expressions.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import regex

# Accents of alphabets that write them apart from their letters; the vowel signs and viramas of
# other scripts are marks as well, but tell one word from another.
_ACCENTS: Final = regex.compile(r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]+")
_SPACE: Final = regex.compile(r"\s+")


class When(StrEnum):
    """What makes a rule answer."""

    KEYWORD = "keyword"
    PAYLOAD = "payload"
    FIRST_MESSAGE = "first_message"
    FALLBACK = "fallback"


class Then(StrEnum):
    """What a bot does after it has spoken."""

    HAND_OVER = "hand_over"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class BotRule:
    """One rule of a bot.

    Attributes:
        values: Keywords, or payloads of buttons; none for other kinds.
        messages: The contents that it sends, in order; may be none.
    """

    when: When
    values: tuple[str, ...]
    messages: tuple[Mapping[str, Any], ...]
    then: Then | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a contact said.

    Attributes:
        text: The words, if there were any.
        payload: What stood behind the button or quick reply that was pressed.
        first: It is the first message of its enquiry.
    """

    text: str | None
    payload: str | None
    first: bool


def rules_of(stored: Sequence[Mapping[str, Any]]) -> tuple[BotRule, ...]:
    """Return the rules of a bot as its resource has them."""
    return tuple(
        BotRule(
            when=When(rule["when"]["kind"]),
            values=tuple(rule["when"].get("values") or ()),
            messages=tuple(rule["messages"]),
            then=None if rule.get("then") is None else Then(rule["then"]),
        )
        for rule in stored
    )


def answer(rules: Sequence[BotRule], said: Said) -> BotRule | None:
    """Return the first rule that matches; None, where the bot has nothing to say."""
    folded = None if said.text is None else fold(said.text)
    return next((rule for rule in rules if _matches(rule, said, folded)), None)


def fold(words: str) -> str:
    """Return words without case, accents, width and surplus space, to be compared."""
    apart = _ACCENTS.sub("", unicodedata.normalize("NFKD", words))
    together = unicodedata.normalize("NFKC", apart.casefold())
    return _SPACE.sub(" ", together).strip()


def _matches(rule: BotRule, said: Said, folded: str | None) -> bool:
    match rule.when:
        case When.KEYWORD:
            return folded is not None and _pattern(rule.values).search(folded) is not None
        case When.PAYLOAD:
            return said.payload is not None and said.payload in rule.values
        case When.FIRST_MESSAGE:
            return said.first
        case When.FALLBACK:
            return True


@lru_cache(maxsize=1024)
def _pattern(keywords: tuple[str, ...]) -> "regex.Pattern[str]":
    # Boundaries of words as Unicode's annex 29 has them, which `re` does not know.
    folded = (regex.escape(fold(keyword)) for keyword in keywords)
    return regex.compile(rf"\b(?:{'|'.join(folded)})\b", regex.WORD)
