"""The challenge: an address must prove that whoever runs it wants what we send."""

import hmac
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from gateway.clock import true_now
from gateway.domain import ids
from gateway.errors import ChallengeFailedError, FieldFault
from gateway.net.egress import Egress, NoAnswerError, UnreachableError
from gateway.net.signing import sign

CHALLENGE_BUDGET: Final = timedelta(seconds=10)
MAX_ANSWER_BYTES: Final = 4096
_OK: Final = 200


async def challenge(
    egress: Egress,
    url: str,
    signing_secrets: Sequence[str],
    *,
    pointer: str,
    own_headers: Mapping[str, str] | None = None,
) -> int:
    """Challenge an address and return how many milliseconds its right answer took.

    Right are status 200 with the bare value, `{"challenge": "<value>"}` or
    `{"code": 0, "result": {"challenge": "<value>"}}`; white space around does not count.

    Args:
        egress: Where calls may go.
        url: The address, which has passed `Egress.check_address`.
        signing_secrets: Sign the challenge, as they sign everything else: two while one rotates.
        pointer: The field that a fault is about.
        own_headers: What whoever answers wants in each call, such as who we are to it.

    Raises:
        ChallengeFailedError: There was no answer, or not the right one.
    """
    value = secrets.token_urlsafe(32)
    body = json.dumps({"type": "challenge", "challenge": value}).encode()
    signature = sign(
        body, webhook_id=ids.new_id(ids.EVENT), at=true_now(), signing_secrets=signing_secrets
    )
    ours = {"Content-Type": "application/json", "User-Agent": "channel-gateway"}
    started = time.monotonic()
    try:
        answer = await egress.post(
            url,
            headers={**(own_headers or {}), **signature, **ours},
            body=body,
            budget=CHALLENGE_BUDGET,
            # The longest right answer ends at the limit; one byte more shows that it does not.
            limit=MAX_ANSWER_BYTES + 1,
        )
    except (UnreachableError, NoAnswerError) as error:
        raise _failed(pointer, f"The address did not answer the challenge: {error}") from error
    if answer.status != _OK:
        raise _failed(pointer, f"The address answered the challenge with {answer.status}, not 200.")
    if len(answer.body) > MAX_ANSWER_BYTES:
        raise _failed(pointer, "The answer to the challenge is longer than 4 KiB.")
    if not is_right_answer(answer.body, value):
        raise _failed(pointer, "The address did not give the challenge's value back.")
    return round((time.monotonic() - started) * 1000)


def is_right_answer(body: bytes, value: str) -> bool:
    """Say whether an answer's body gives a challenge's value back in one of the three forms."""
    text = body.strip()
    if hmac.compare_digest(text, value.encode()):
        return True
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    given = _given(document)
    if not isinstance(given, str):
        return False
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), value.encode())


def _given(document: Any) -> object:  # noqa: ANN401 - JSON
    if not isinstance(document, dict):
        return document
    if "code" in document:
        code, result = document["code"], document.get("result")
        if type(code) is not int or code != 0 or not isinstance(result, dict):
            return None
        return result.get("challenge")
    return document.get("challenge")


def _failed(pointer: str, detail: str) -> ChallengeFailedError:
    return ChallengeFailedError(detail, faults=[FieldFault(pointer, "challenge-failed", detail)])
