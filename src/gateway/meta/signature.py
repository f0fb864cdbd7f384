"""Signatures under an app secret: of webhook bodies, of `signed_request`, and proofs of it.

Meta: "Webhooks, Validating Payloads"; "Securing Graph API Requests"; "Data Deletion Callback".
"""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.contracts.canonical import Json, parse_json
from gateway.errors import MalformedJsonError

_SCHEME: Final = b"sha256="
_HEADER_BYTES: Final = len(_SCHEME) + 64
_SIGNED_REQUEST: Final = re.compile(r"([A-Za-z0-9_-]+)={0,2}\.([A-Za-z0-9_-]+={0,2})")
_ALGORITHM: Final = "HMAC-SHA256"


class SignedRequestError(Exception):
    """A `signed_request` that is not accepted."""


class MalformedSignedRequestError(SignedRequestError):
    """It is not of the form `<signature>.<payload>`, or the payload names nobody."""


class WrongSignedRequestSignatureError(SignedRequestError):
    """No app secret of ours made this signature, or it was made in a way we do not accept."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What Meta signed; `user_id` is scoped to the app and is neither a PSID nor a Page id."""

    user_id: str
    payload: dict[str, Json]


def verify(body: bytes, header_values: list[bytes], secrets: Sequence[bytes]) -> bool:
    """Say whether exactly one `X-Hub-Signature-256` came, and one of the secrets made it.

    It has to be `sha256=` and 64 hexadecimal digits of either case. Without a secret nothing is
    valid. How long this takes does not tell which secret fitted, or how nearly one did.
    """
    if len(header_values) != 1:
        return False
    value = header_values[0]
    if len(value) != _HEADER_BYTES or not value.startswith(_SCHEME):
        return False
    try:
        signature = binascii.unhexlify(value[len(_SCHEME) :])
    except binascii.Error:
        return False
    return _made_by_one(signature, body, secrets)


def signature_header(body: bytes, secret: bytes) -> str:
    """Return the `X-Hub-Signature-256` of a body, as Meta would send it."""
    return f"sha256={hmac.digest(secret, body, 'sha256').hex()}"


def appsecret_proof(token: str, secret: bytes) -> str:
    """Return the proof that goes with an access token in a Graph call."""
    return hmac.digest(secret, token.encode(), "sha256").hex()


def parse_signed_request(text: str, secrets: Sequence[bytes]) -> SignedRequest:
    """Return what a `signed_request` says, once its signature holds.

    Raises:
        MalformedSignedRequestError: its form or payload cannot be read.
        WrongSignedRequestSignatureError: the signature or the algorithm is not ours.
    """
    match = _SIGNED_REQUEST.fullmatch(text)
    if match is None:
        raise MalformedSignedRequestError
    signature, payload_segment = _decode(match[1]), match[2]
    # The signature is over the payload as it was sent, still encoded.
    if not _made_by_one(signature, payload_segment.encode(), secrets):
        raise WrongSignedRequestSignatureError
    try:
        payload = parse_json(_decode(payload_segment))
    except MalformedJsonError as error:
        raise MalformedSignedRequestError from error
    if not isinstance(payload, dict):
        raise MalformedSignedRequestError
    if str(payload.get("algorithm")).upper() != _ALGORITHM:
        raise WrongSignedRequestSignatureError
    user_id = payload.get("user_id")
    if type(user_id) is int:
        user_id = str(user_id)
    if not isinstance(user_id, str) or not user_id:
        raise MalformedSignedRequestError
    return SignedRequest(user_id=user_id, payload=payload)


def _made_by_one(signature: bytes, signed: bytes, secrets: Sequence[bytes]) -> bool:
    # Every secret is tried, so that the time does not depend on which one fits. An empty secret
    # is none: anybody could sign with it.
    fits = False
    for secret in secrets:
        if secret:
            fits |= hmac.compare_digest(hmac.digest(secret, signed, "sha256"), signature)
    return fits


def _decode(segment: str) -> bytes:
    bare = segment.rstrip("=")
    try:
        return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except binascii.Error as error:
        raise MalformedSignedRequestError from error
