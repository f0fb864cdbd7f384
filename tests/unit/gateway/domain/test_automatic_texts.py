import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.automatic_texts import DEFAULT_AWAY, DEFAULT_WELCOME, compose
from gateway.domain.text_limit import TextLimit


def composed(template: str, name: str | None = "Vera", limit: int = 2000) -> str:
    return compose(template, contact_name=name, channel_name="Acme", limit=TextLimit(limit))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Hello {contact_name}, this is {channel_name}.", "Hello Vera, this is Acme."),
        ("{contact_name}{contact_name}", "VeraVera"),
        ("Your code is {code}, {Contact_Name}.", "Your code is {code}, {Contact_Name}."),
        ("{{contact_name}}", "{Vera}"),
        ("Braces { and } stay.", "Braces { and } stay."),
    ],
)
def test_names_are_filled_in_and_other_braces_stay(template: str, text: str) -> None:
    assert composed(template) == text


@pytest.mark.parametrize("name", [None, "", "  "])
@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Hello {contact_name}, welcome!", "Hello, welcome!"),
        ("Hello {contact_name}!", "Hello!"),
        ("Hello, {contact_name}!", "Hello!"),
        ("Hi, {contact_name}, welcome", "Hi, welcome"),
        ("Good day, {contact_name}\nWelcome", "Good day\nWelcome"),
        ("{contact_name}, welcome to {channel_name}!", "Welcome to Acme!"),
        ("Thank you.\n{contact_name}, we are closed.", "Thank you.\nWe are closed."),
        ("您好{contact_name}，欢迎", "您好，欢迎"),  # noqa: RUF001 - a full-width comma
        ("{contact_name}{channel_name}", "Acme"),
        ("{contact_name}", ""),
    ],
)
def test_a_contact_without_a_name_reads_well(template: str, text: str, name: str | None) -> None:
    assert composed(template, name) == text


def test_a_name_is_one_line_and_never_a_template() -> None:
    assert composed("Hello {contact_name}.", "{channel_name}\n Smith ") == (
        "Hello {channel_name} Smith."
    )


@pytest.mark.parametrize(
    ("limit", "text"),
    [(9, "one two"), (7, "one two"), (6, "one…"), (4, "one…"), (3, "on…"), (1, "o")],
)
def test_a_text_that_is_too_long_is_cut_at_a_word(limit: int, text: str) -> None:
    assert composed("one two", limit=limit) == text


@given(st.text(max_size=200), st.text(max_size=50), st.integers(1, 100))
def test_whatever_is_written_fits(template: str, name: str, limit: int) -> None:
    assert len(composed(template, name, limit)) <= limit


def test_what_ships_is_within_every_platforms_limit() -> None:
    assert composed(DEFAULT_WELCOME, limit=1000) == DEFAULT_WELCOME
    assert composed(DEFAULT_AWAY, limit=1000) == DEFAULT_AWAY
