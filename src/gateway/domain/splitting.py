"""Cuts a text that is too long for one message into parts that people can read.

Never inside a user-perceived character (a grapheme cluster of Unicode's annex 29), which is what
people take for one: a letter with its accents, a flag, a family. Where it can be, after a sentence;
else after a word; else after any character.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import regex

from gateway.domain.text_limit import TextLimit, octets_of

# The library does not yet keep Indic conjuncts together (rule GB9c): a letter goes with the one
# before it that ends with a virama.
_GRAPHEME: Final = regex.compile(
    r"\X(?:(?<=[\u094d\u09cd\u0acd\u0b4d\u0c4d\u0d4d]\u200d?)(?=\p{L})\X)*"
)
# A full stop with what closes quotes and brackets, before white space; what goes on with a small
# letter was an abbreviation. Chinese and Japanese sentences have no space behind them. A line's end
# ends a sentence, too.
_SENTENCE_END: Final = regex.compile(
    r"""
    (?: [\p{SB=ATerm}\p{SB=STerm}\u2026]+ \p{SB=Close}* (?= \s+ [^\s\p{Ll}] | \s*\Z )
      | [\u3002\uff01\uff0e\uff1f\uff61]+ \p{SB=Close}*
      | \S (?= [^\S\n]* \n )
    )
    """,
    regex.VERBOSE,
)
# Before white space; between the characters of scripts that part no words by spaces, anywhere but
# before what must not begin a line.
_WORD_END: Final = regex.compile(
    r"\S(?=\s)|[\p{Han}\p{Hiragana}\p{Katakana}](?![\p{P}\p{M}\p{Lm}])"
)


class UnsplittableError(Exception):
    """A single user-perceived character is longer than the limit."""


def split_text(text: str, limit: TextLimit) -> list[str]:
    """Return a text in parts within the limit; together they are the text.

    White space at the cuts is dropped, and so is what is around a text that is cut at all.

    Raises:
        UnsplittableError: Not even one character of it is within the limit.
    """
    return [text] if limit.holds(text) else _Cutter(text, limit).parts()


class _Cutter:
    """A text with its places: between which characters it may be cut, and where it is best."""

    def __init__(self, text: str, limit: TextLimit) -> None:
        self._text = text
        self._limit = limit
        self._graphemes: list[str] = _GRAPHEME.findall(text)
        # Of each place between graphemes: how many code points and bytes come before it.
        self._points = [0, *accumulate(map(len, self._graphemes))]
        self._octets = [0, *accumulate(map(octets_of, self._graphemes))]
        self._sentences = self._places(_SENTENCE_END)
        self._words = self._places(_WORD_END)

    def parts(self) -> list[str]:
        found = []
        start = self._past_space(0)
        last = len(self._graphemes)
        while last > start and self._graphemes[last - 1].isspace():
            last -= 1
        while start < last:
            end = self._cut(start, last)
            found.append(self._said(start, end))
            start = self._past_space(end)
        return found

    def _cut(self, start: int, last: int) -> int:
        """Return where the part that begins at a place ends."""
        reach = bisect_right(self._points, self._points[start] + self._limit.characters) - 1
        if self._limit.octets is not None:
            most = bisect_right(self._octets, self._octets[start] + self._limit.octets) - 1
            reach = min(reach, most)
        if reach >= last:
            return last
        if reach <= start:
            raise UnsplittableError
        for places in (self._sentences, self._words):
            best = places[bisect_right(places, reach) - 1] if places else 0
            if start < best <= reach:
                return best
        return reach

    def _said(self, start: int, end: int) -> str:
        while self._graphemes[end - 1].isspace():
            end -= 1
        return self._text[self._points[start] : self._points[end]]

    def _past_space(self, place: int) -> int:
        while place < len(self._graphemes) and self._graphemes[place].isspace():
            place += 1
        return place

    def _places(self, pattern: "regex.Pattern[str]") -> Sequence[int]:
        """Return the places behind a pattern's matches; ends inside a grapheme are none."""
        places = {point: place for place, point in enumerate(self._points)}
        ends = (match.end() for match in pattern.finditer(self._text))
        return [places[end] for end in ends if end in places]
