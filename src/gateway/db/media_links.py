"""Addresses under which media can be had without a key, for a while.

An address names its end and is signed with a key that is derived from the encryption keys; the
account is part of what is signed, so that an address that one account's message shows never opens
another account's file.
"""

from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote, urlencode

from gateway.db.secrets import KeyRing

LIFE: Final = timedelta(hours=1)

_PURPOSE: Final = "media-link"
_MAX_DIGITS: Final = 12


class MediaLinks:
    """Makes and checks signed addresses."""

    def __init__(self, keyring: KeyRing, *, public_url: str, life: timedelta = LIFE) -> None:
        """Take what they are made with.

        Args:
            keyring: Signs them.
            public_url: Where the gateway is reached from outside.
            life: How long one opens the file.
        """
        self._keyring = keyring
        self._public_url = public_url.rstrip("/")
        self._life = life

    def link(self, account_id: str, media_id: str, *, now: datetime) -> str:
        """Return an address of an account's media; `now` is the product's time."""
        expires = str(int((now + self._life).timestamp()))
        statement = _statement(account_id, media_id, expires)
        query = urlencode(
            {
                "expires": expires,
                "signature": self._keyring.sign(statement, purpose=_PURPOSE),
            }
        )
        return f"{self._public_url}/v1/media/{quote(media_id, safe='')}/content?{query}"

    def opens(
        self, account_id: str, media_id: str, *, expires: str, signature: str, now: datetime
    ) -> bool:
        """Say whether what an address holds opens an account's media at a moment."""
        if not (expires.isascii() and expires.isdigit() and len(expires) <= _MAX_DIGITS):
            return False
        statement = _statement(account_id, media_id, expires)
        ours = self._keyring.has_signed(statement, signature, purpose=_PURPOSE)
        return ours and now.timestamp() < int(expires)


def _statement(account_id: str, media_id: str, expires: str) -> str:
    # None of them holds a line break.
    return f"{account_id}\n{media_id}\n{expires}"
