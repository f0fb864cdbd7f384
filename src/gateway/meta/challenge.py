"""The GET handshake by which Meta makes sure that a webhook address is ours.

Meta: "Webhooks, Verification Requests". The query has `hub.mode`, `hub.verify_token` and
`hub.challenge`; the answer is the challenge as plain text and nothing else.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# Meta says a number, and its own test command sends words; nothing that a browser would run.
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
_MODE: Final = "subscribe"


class ChallengeRefusal(StrEnum):
    """Why a handshake is refused. All but `TOKEN_MISMATCH` (403) are faults of form (400)."""

    PART_MISSING = "part-missing"
    PART_REPEATED = "part-repeated"
    TOKEN_MISMATCH = "token-mismatch"  # noqa: S105 - a reason, not a token
    MODE_UNKNOWN = "mode-unknown"
    CHALLENGE_UNSUITABLE = "challenge-unsuitable"


@dataclass(frozen=True, slots=True)
class Echo:
    """The handshake holds: answer this text, 200, `text/plain`."""

    challenge: str


def answer_challenge(
    *,
    modes: Sequence[str],
    tokens: Sequence[str],
    challenges: Sequence[str],
    verify_token: bytes | None,
) -> Echo | ChallengeRefusal:
    """Return the text to echo, or why there is none.

    `modes`, `tokens` and `challenges` are all the query's values of the three parameters.
    `verify_token` is None for an app we do not know, which looks like a wrong token.
    """
    parts = (modes, tokens, challenges)
    if not all(part and part[0] for part in parts):
        return ChallengeRefusal.PART_MISSING
    if any(len(part) > 1 for part in parts):
        return ChallengeRefusal.PART_REPEATED
    if not _same_token(tokens[0], verify_token):
        return ChallengeRefusal.TOKEN_MISMATCH
    return _echo(modes[0], challenges[0])


def _same_token(given: str, expected: bytes | None) -> bool:
    # Compared also where there is nothing to compare with, so that both take as long.
    same = hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected or b"\0")
    return same and bool(expected)


def _echo(mode: str, challenge: str) -> Echo | ChallengeRefusal:
    if mode != _MODE:
        return ChallengeRefusal.MODE_UNKNOWN
    if _CHALLENGE.fullmatch(challenge) is None:
        return ChallengeRefusal.CHALLENGE_UNSUITABLE
    return Echo(challenge)
