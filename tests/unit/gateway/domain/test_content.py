import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.content import check_text, split_text
from gateway.errors import TextTooLongError


def test_the_limit_is_the_last_length_that_passes():
    check_text("x" * 2000, limit=2000, pointer="/content/text")
    with pytest.raises(TextTooLongError) as caught:
        check_text("x" * 2001, limit=2000, pointer="/content/text")
    (fault,) = caught.value.faults
    assert fault.pointer == "/content/text"
    assert "2001" in fault.detail


def test_characters_are_counted_and_not_bytes():
    check_text("ä" * 10, limit=10, pointer="/text")


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
    ],
)
def test_texts_are_cut_at_white_space(text, limit, parts):
    assert split_text(text, limit=limit) == parts


@given(st.text(min_size=1, max_size=200), st.integers(1, 30))
def test_a_cut_loses_nothing_but_white_space(text, limit):
    parts = split_text(text, limit=limit)
    assert all(0 < len(part) <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())
