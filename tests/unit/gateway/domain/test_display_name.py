import pytest

from gateway.domain.display_name import before_text, display_name_of, with_name
from gateway.domain.text_limit import TextLimit, check_text
from gateway.errors import TextTooLongError


@pytest.mark.parametrize(
    ("name_format", "shown"),
    [
        ("none", None),
        (None, None),
        ("first_name", "Ada"),
        ("first_and_last_name", "Ada Lovelace"),
        ("display_name", "Countess"),
    ],
)
def test_each_format_shows_its_name(name_format: str | None, shown: str | None) -> None:
    assert shown == display_name_of(
        name_format, first_name="Ada", last_name="Lovelace", display_name="Countess"
    )


@pytest.mark.parametrize("name_format", ["first_and_last_name", "display_name"])
def test_what_an_agent_lacks_is_left_out(name_format: str) -> None:
    shown = display_name_of(name_format, first_name="Ada", last_name=None, display_name=None)
    assert shown == "Ada"


def test_the_name_stands_before_the_text() -> None:
    assert with_name("Good morning", "Ada") == "Ada: Good morning"
    assert with_name("Good morning", None) == "Good morning"


def test_the_name_counts_in_the_limit() -> None:
    before = before_text("Ada")
    assert before == "Ada: "
    check_text("x" * 15, limit=TextLimit(20), before=before, pointer="/text")
    with pytest.raises(TextTooLongError) as caught:
        check_text("x" * 16, limit=TextLimit(20), before=before, pointer="/text")
    assert "5 of them for the name" in caught.value.faults[0].detail
