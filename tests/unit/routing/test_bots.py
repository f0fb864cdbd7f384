"""Which rule of a bot answers."""

import pytest

from routing.bots import BotRule, Said, Then, When, answer, fold, rules_of

KEYWORDS = {
    "case": ("PRICE", "what is the Price?", True),
    "part of a word": ("price", "priceless", False),
    "accents in the text": ("menu", "le MENÙ s'il vous plaît", True),
    "accents in the keyword": ("café", "a cafe near me", True),
    "letters composed and apart": ("cafe\u0301", "caf\u00e9!", True),
    "a phrase over lines": ("opening hours", "your  opening\n hours?", True),
    "a phrase cut short": ("opening hours", "opening hour", False),
    "sharp s": ("straße", "STRASSE 5", True),
    "dotted capital i": ("istanbul", "İstanbul", True),
    "full width": ("help", "ＨＥＬＰ", True),  # noqa: RUF001 - full-width letters are the point
    "greek final sigma": ("ωρες", "ΩΡΕΣ", True),
    "cyrillic": ("цена", "Какая ЦЕНА?", True),
    "part of a cyrillic word": ("цена", "ценами", False),
    "chinese, which has no spaces": ("价格", "请问价格是多少", True),
    "japanese": ("営業時間", "営業時間を教えて", True),
    "thai, which has no spaces": ("ราคา", "ขอทราบราคาครับ", True),
    "hindi signs tell words apart": ("कल", "काला", False),
    "hindi": ("कीमत", "कीमत क्या है?", True),
    "arabic": ("السعر", "كم السعر؟", True),
    "emoji": ("🍕", "I want 🍕 now", True),
    "what a pattern would mean": ("a.c", "abc", False),
    "the same, as it is written": ("a.c", "is it a.c or not", True),
    "with an apostrophe": ("don't", "I DON'T know", True),
    "nothing said": ("price", "", False),
}


@pytest.mark.parametrize("name", KEYWORDS)
def test_keywords(name: str) -> None:
    keyword, text, expected = KEYWORDS[name]
    rules = [BotRule(When.KEYWORD, (keyword,), ())]
    assert (answer(rules, Said(text, None, first=False)) is not None) is expected


RULES = rules_of(
    [
        {"when": {"kind": "payload", "values": ["PRICES"]}, "messages": [{"type": "text"}]},
        {"when": {"kind": "keyword", "values": ["stop", "bye"]}, "messages": [], "then": "close"},
        {"when": {"kind": "first_message"}, "messages": []},
        {"when": {"kind": "keyword", "values": ["agent"]}, "messages": [], "then": "hand_over"},
        {"when": {"kind": "fallback"}, "messages": []},
    ]
)
SAID = {
    "a payload": (Said("Prices", "PRICES", first=False), 0),
    "a payload before the first message": (Said(None, "PRICES", first=True), 0),
    "another payload": (Said(None, "prices", first=False), 4),
    "a later keyword of a list": (Said("bye now", None, first=False), 1),
    "the first of two that match": (Said("stop, agent", None, first=True), 1),
    "the first message": (Said("agent", None, first=True), 2),
    "a later one": (Said("agent", None, first=False), 3),
    "a picture": (Said(None, None, first=False), 4),
}


@pytest.mark.parametrize("name", SAID)
def test_the_first_rule_that_matches_answers(name: str) -> None:
    said, place = SAID[name]
    assert answer(RULES, said) is RULES[place]


def test_without_a_fallback_there_may_be_nothing_to_say() -> None:
    assert answer(RULES[:-1], Said("hm", None, first=False)) is None


def test_what_follows() -> None:
    assert [rule.then for rule in RULES] == [None, Then.CLOSE, None, Then.HAND_OVER, None]


def test_folding_twice_changes_nothing() -> None:
    for keyword, text, _ in KEYWORDS.values():
        for words in (keyword, text):
            assert fold(fold(words)) == fold(words)
