import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.meta.challenge import ChallengeRefusal, Echo, answer_challenge

TOKEN = "meatyhamhock"
EXPECTED = TOKEN.encode()


def ask(mode="subscribe", token=TOKEN, challenge="1158201444", *, expected=EXPECTED):
    def values(given):
        return given if isinstance(given, list) else [given]

    return answer_challenge(
        modes=values(mode),
        tokens=values(token),
        challenges=values(challenge),
        verify_token=expected,
    )


@pytest.mark.parametrize("challenge", ["1158201444", "CHALLENGE_ACCEPTED", "a-B_9", "0", "x" * 256])
def test_the_challenge_is_echoed_as_it_came(challenge):
    assert ask(challenge=challenge) == Echo(challenge)


@pytest.mark.parametrize("part", ["mode", "token", "challenge"])
@pytest.mark.parametrize("value", [[], "", [""], ["", "x"]], ids=repr)
def test_a_missing_part_is_refused(part, value):
    assert ask(**{part: value}) is ChallengeRefusal.PART_MISSING


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("mode", ["subscribe", "subscribe"]),
        ("token", [TOKEN, "wrong"]),
        ("token", ["wrong", TOKEN]),
        ("challenge", ["1", "2"]),
    ],
    ids=repr,
)
def test_a_repeated_part_is_refused(part, values):
    assert ask(**{part: values}) is ChallengeRefusal.PART_REPEATED


@pytest.mark.parametrize(
    "token",
    ["wrong", TOKEN.upper(), TOKEN + " ", TOKEN[:-1], "\0", "ü", "\ud800", "x" * 10_000],
    ids=lambda token: f"{token[:20]!r} {len(token)}",
)
def test_a_wrong_token_is_refused(token):
    assert ask(token=token) is ChallengeRefusal.TOKEN_MISMATCH


@pytest.mark.parametrize("expected", [None, b""])
@pytest.mark.parametrize("token", [TOKEN, "\0"])
def test_an_unknown_app_looks_like_a_wrong_token(expected, token):
    assert ask(token=token, expected=expected) is ChallengeRefusal.TOKEN_MISMATCH


@pytest.mark.parametrize("mode", ["unsubscribe", "SUBSCRIBE", "subscribe "])
def test_another_mode_is_refused(mode):
    assert ask(mode=mode) is ChallengeRefusal.MODE_UNKNOWN
    assert ask(mode=mode, token="wrong") is ChallengeRefusal.TOKEN_MISMATCH


@pytest.mark.parametrize(
    "challenge",
    ["<script>alert(1)</script>", "x" * 257, "x" * 10_240, "a b", "a\n", "ü", "٣", "a%00", "\0"],
    ids=lambda challenge: f"{challenge[:20]!r} {len(challenge)}",
)
def test_a_challenge_that_a_browser_might_run_is_refused(challenge):
    assert ask(challenge=challenge) is ChallengeRefusal.CHALLENGE_UNSUITABLE


VALUES = st.lists(st.text(st.characters(exclude_categories=())), max_size=3)


@given(VALUES, VALUES, VALUES)
def test_nothing_is_echoed_without_the_token(modes, tokens, challenges):
    answer = answer_challenge(
        modes=modes, tokens=tokens, challenges=challenges, verify_token=EXPECTED
    )
    assert isinstance(answer, ChallengeRefusal)
