"""Secrets at rest: AES-256-GCM under keys with ids, each ciphertext bound to its row.

A ciphertext reads `v1.<key id>.<nonce><ciphertext and tag>`. The row that it belongs to is its
associated data, so that a ciphertext copied to another row does not decrypt. To rotate: put the new
key first, re-encrypt, take the old key out.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class UndecryptableError(Exception):
    """A ciphertext is damaged, belongs to another row, or its key is gone."""


class HoldsSecrets(Protocol):
    """A row that has encrypted columns."""

    def secret_row(self, column: str) -> str:
        """Return the associated data of one of its secrets."""


class KeyRing:
    """Encrypts with its first key and decrypts with all."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Take keys of 32 bytes by id, the first one being the one that encrypts.

        Raises:
            ValueError: There is no key, or one has another length or an id with a dot.
        """
        if not keys:
            raise ValueError("ENCRYPTION_KEYS holds no key")
        for key_id, key in keys.items():
            if len(key) != _KEY_BYTES or not key_id or "." in key_id:
                raise ValueError(f"ENCRYPTION_KEYS: key {key_id!r} is not 32 bytes in base64")
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._keys = dict(keys)
        self.current_key_id = next(iter(keys))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read `id:base64,id:base64,…`.

        Raises:
            ValueError: The text has another form.
        """
        keys = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            key_id, separator, encoded = part.partition(":")
            try:
                keys[key_id] = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                separator = ""
            if not separator:
                raise ValueError("ENCRYPTION_KEYS must read `id:base64,…`")
        return cls(keys)

    def encrypt(self, secret: str, *, row: str) -> bytes:
        """Return a secret encrypted for one row, named like `channels/chn_…/page_access_token`."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self.current_key_id].encrypt(nonce, secret.encode(), row.encode())
        return b"v1." + self.current_key_id.encode() + b"." + nonce + sealed

    def decrypt(self, ciphertext: bytes, *, row: str) -> str:
        """Return the secret of a row.

        Raises:
            UndecryptableError: It cannot be had with these keys.
        """
        version, _, rest = ciphertext.partition(b".")
        key_id, _, sealed = rest.partition(b".")
        cipher = self._ciphers.get(key_id.decode("ascii", "replace"))
        if version != b"v1" or cipher is None:
            raise UndecryptableError(f"no key for the secret of {row}")
        try:
            plain = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], row.encode())
        except (InvalidTag, ValueError) as error:
            raise UndecryptableError(f"the secret of {row} does not decrypt") from error
        return plain.decode()

    def sign(self, statement: str, *, purpose: str) -> str:
        """Return a signature that only these keys can make, fit for an address.

        What was signed for one purpose does not pass for another. Signatures of a key that is
        rotated out are void.
        """
        return self._signature(self.current_key_id, statement, purpose)

    def has_signed(self, statement: str, signature: str, *, purpose: str) -> bool:
        """Say whether a signature of a statement is ours, by whichever of the keys."""
        key_id = signature.partition(".")[0]
        if key_id not in self._keys:
            return False
        right = self._signature(key_id, statement, purpose)
        return hmac.compare_digest(right.encode(), signature.encode("utf-8", "surrogateescape"))

    def _signature(self, key_id: str, statement: str, purpose: str) -> str:
        # A key of its own for each purpose, so that none meets what another one made.
        key = hmac.digest(self._keys[key_id], f"signing: {purpose}".encode(), hashlib.sha256)
        digest = hmac.digest(key, statement.encode(), hashlib.sha256)
        return f"{key_id}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"

    def is_current(self, ciphertext: bytes) -> bool:
        """Say whether a ciphertext is under the key that encrypts now."""
        return ciphertext.startswith(b"v1." + self.current_key_id.encode() + b".")


def open_rotating(
    keyring: KeyRing,
    present: bytes | None,
    previous: bytes | None,
    previous_expires_at: datetime | None,
    *,
    rows: tuple[str, str],
    now: datetime,
) -> list[str]:
    """Return the secrets of a rotating pair that are valid now, the present one first.

    Raises:
        UndecryptableError: There is none, or one cannot be read.
    """
    if present is None:
        raise UndecryptableError(f"no secret in {rows[0]}")
    secrets = [keyring.decrypt(bytes(present), row=rows[0])]
    if previous is not None and (previous_expires_at is None or now < previous_expires_at):
        secrets.append(keyring.decrypt(bytes(previous), row=rows[1]))
    return secrets


def rotate(
    keyring: KeyRing, holder: HoldsSecrets, column: str, fresh: str, *, until: datetime
) -> dict[str, Any]:
    """Return the columns of a rotating pair with a fresh secret; the present one holds until then.

    They are those that `open_rotating` reads: the column, `previous_…` and `previous_…_expires_at`.

    Raises:
        UndecryptableError: The present secret is none, or cannot be read.
    """
    sealed = getattr(holder, column)
    if sealed is None:
        raise UndecryptableError(f"no secret in {holder.secret_row(column)}")
    present = keyring.decrypt(bytes(sealed), row=holder.secret_row(column))
    previous = f"previous_{column}"
    return {
        column: keyring.encrypt(fresh, row=holder.secret_row(column)),
        previous: keyring.encrypt(present, row=holder.secret_row(previous)),
        f"{previous}_expires_at": until,
    }


def generate_key(key_id: str) -> str:
    """Return a fresh key as ENCRYPTION_KEYS wants it."""
    return f"{key_id}:{base64.b64encode(os.urandom(_KEY_BYTES)).decode()}"
