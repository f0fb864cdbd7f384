"""API keys: `cgk_<id>_<secret>`, where the secret ends in a checksum.

The checksum lets scanners recognise a leaked key, and lets us refuse a mistyped one without asking
the database. What is stored is the SHA-256 of the secret: with 256 bits of its own it needs no slow
hash, which would only be a lever to slow us down.
"""

import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final

from gateway.domain import ids

PREFIX: Final = "cgk"

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_CHARACTERS: Final = 43
_CHECKSUM_CHARACTERS: Final = 6
_SHAPE: Final = re.compile(
    rf"{PREFIX}_([0-7][0-9a-hjkmnp-tv-z]{{25}})"
    rf"_([0-9A-Za-z]{{{_SECRET_CHARACTERS + _CHECKSUM_CHARACTERS}}})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as its bearer sends it, taken apart."""

    id: str
    secret: str

    @property
    def digest(self) -> bytes:
        """What is stored of the secret."""
        return digest_of(self.secret)

    def __str__(self) -> str:
        return f"{PREFIX}_{self.id.partition('_')[2]}_{self.secret}"


def new_key(key_id: str) -> ApiKey:
    """Return a key with a fresh secret."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_CHARACTERS))
    return ApiKey(id=key_id, secret=body + _checksum(key_id, body))


def parse_key(text: str) -> ApiKey | None:
    """Return the key that a text is; None where it has another shape or a wrong checksum."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        return None
    key_id, secret = f"{ids.API_KEY}_{match[1]}", match[2]
    body, checksum = secret[:_SECRET_CHARACTERS], secret[_SECRET_CHARACTERS:]
    return ApiKey(id=key_id, secret=secret) if checksum == _checksum(key_id, body) else None


def digest_of(secret: str) -> bytes:
    """Return the SHA-256 by which a secret is known."""
    return hashlib.sha256(secret.encode()).digest()


def _checksum(key_id: str, body: str) -> str:
    number = binascii.crc32(f"{key_id}_{body}".encode())
    characters = []
    for _ in range(_CHECKSUM_CHARACTERS):
        number, place = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[place])
    return "".join(characters)
