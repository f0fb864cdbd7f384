"""Signatures of what we POST: Standard Webhooks, symmetric (`v1`)."""

import base64
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

_SECRET_BYTES: Final = 32
_PREFIX: Final = "whsec_"


def generate_signing_secret() -> str:
    """Return a new secret: `whsec_` and 32 random bytes in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(
    body: bytes, *, webhook_id: str, at: datetime, signing_secrets: Sequence[str]
) -> dict[str, str]:
    """Return the three headers of a signed webhook, with one signature for each secret.

    Args:
        body: UTF-8, exactly as it is sent.
        webhook_id: The same on each retry; without a dot.
        at: True time of the attempt, aware.
        signing_secrets: All that are valid now: two while one rotates.
    """
    moment = at.astimezone(UTC)
    text = body.decode()
    signatures = [
        Webhook(secret).sign(msg_id=webhook_id, timestamp=moment, data=text)
        for secret in signing_secrets
    ]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
