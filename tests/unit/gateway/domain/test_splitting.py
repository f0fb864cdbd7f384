import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.splitting import UnsplittableError, split_text
from gateway.domain.text_limit import TextLimit

# What is hard to cut: joiners, accents, flags, conjuncts, Hangul, white space of all kinds.
HARD = "ab.!? \n\t\r\u00a0\u2028é\u0301\u200d\ufe0f👨👩🇩🇪क्षि각ᄀ。漢字かな"
TEXTS = st.text(st.sampled_from(HARD) | st.characters(exclude_categories=["Cs"]), max_size=120)
LIMITS = st.builds(TextLimit, st.integers(1, 40), st.none() | st.integers(1, 60))


def graphemes(text: str) -> list[str]:
    return regex.findall(r"\X", text)


def letters(text: str) -> list[str]:
    """Return user-perceived characters, conjuncts whole."""
    found: list[str] = []
    for each in graphemes(text):
        if found and found[-1].rstrip("\u200d").endswith("\u094d") and each[0].isalpha():
            found[-1] += each
        else:
            found.append(each)
    return found


def seen(texts: list[str]) -> list[str]:
    return [each for text in texts for each in graphemes(text) if not each.isspace()]


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [
        ("one two", 7, ["one two"]),
        ("one two", 6, ["one", "two"]),
        ("one two", 3, ["one", "two"]),
        ("onetwo", 3, ["one", "two"]),
        ("a  b", 3, ["a", "b"]),
        ("a\n\nb", 2, ["a", "b"]),
        ("  a  ", 1, ["a"]),
        ("     ", 1, []),
        # After a sentence rather than after a word, be it never so short.
        ("Yes. That is so long", 16, ["Yes.", "That is so long"]),
        ("It is. Is it? It is! So", 20, ["It is. Is it? It is!", "So"]),
        ("It is. Is it? It is! So", 19, ["It is. Is it?", "It is! So"]),
        ("He said “no.” She left", 15, ["He said “no.”", "She left"]),
        ("A line\nand another one", 12, ["A line", "and another", "one"]),
        # Neither a number nor an abbreviation ends one.
        ("It costs 3.50 now ok", 16, ["It costs 3.50", "now ok"]),
        ("Bring e.g. an apple or two", 21, ["Bring e.g. an apple", "or two"]),
        ("See a.example/b.html?c=1", 12, ["See", "a.example/b.", "html?c=1"]),
        # Scripts without spaces.
        ("今日は晴れ。明日は雨です。", 8, ["今日は晴れ。", "明日は雨です。"]),
        ("今日は晴れです、明日", 7, ["今日は晴れで", "す、明日"]),
    ],
)
def test_texts_are_cut_where_people_pause(text: str, limit: int, parts: list[str]) -> None:
    assert split_text(text, TextLimit(limit)) == parts


@pytest.mark.parametrize("one", ["👨‍👩‍👧‍👦", "🇩🇪", "e\u0301\u0302", "각", "क्षि"])
def test_what_people_take_for_one_character_stays_whole(one: str) -> None:
    assert split_text(one * 3, TextLimit(len(one) * 2 - 1)) == [one] * 3


def test_a_character_longer_than_a_message_cannot_be_cut() -> None:
    with pytest.raises(UnsplittableError):
        split_text("a" + "\u0301" * 10, TextLimit(10))


def test_bytes_count_where_the_platform_counts_them() -> None:
    assert split_text("ää ää", TextLimit(1000, 5)) == ["ää", "ää"]


@given(TEXTS, LIMITS)
@example("a \u0301b", TextLimit(2))
@example("a\r\nb c", TextLimit(2))
def test_a_cut_loses_nothing_but_white_space(text: str, limit: TextLimit) -> None:
    try:
        parts = split_text(text, limit)
    except UnsplittableError:
        assert not all(limit.holds(each) for each in letters(text))
        return
    assert all(limit.holds(part) for part in parts)
    assert all(parts) or parts == [text]
    assert seen(parts) == seen([text])
    assert all(part in text for part in parts)


@given(TEXTS, LIMITS)
def test_what_fits_stays_as_it_is(text: str, limit: TextLimit) -> None:
    if limit.holds(text):
        assert split_text(text, limit) == [text]
