import pytest

from gateway.domain.reactions import is_reaction


@pytest.mark.parametrize("value", ["love", "dislike", "❤️", "❤", "👍🏽", "👨‍👩‍👦", "🇩🇪", "1️⃣"])
def test_names_and_emoji_are_reactions(value: str) -> None:
    assert is_reaction(value)


@pytest.mark.parametrize("value", ["Love", "other", "banana", "a", "1", "👍👍", "👍 ", "", ":)"])
def test_nothing_else_is(value: str) -> None:
    assert not is_reaction(value)
