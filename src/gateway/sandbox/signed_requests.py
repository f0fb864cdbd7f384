"""What Meta posts about a person to an app: that they removed it, or want their data deleted.

Form: one field, `signed_request`, of base64url without padding; the signature is HMAC-SHA256 with
the app's secret over the payload as it is sent ("Data Deletion Request Callback" of Meta's docs).
"""

import base64
import hmac
import json
from typing import Any, Final
from urllib.parse import urlencode

from gateway.sandbox.courier import Courier
from gateway.sandbox.people import Person
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.world import App

DEAUTHORIZE: Final = "deauthorize"
DATA_DELETION: Final = "data-deletion"


def signed_request(app: App, payload: dict[str, Any]) -> str:
    """Return a payload as an app is given it."""
    encoded = _base64url(json.dumps(payload, separators=(",", ":")).encode())
    signature = hmac.digest(app.secret.encode(), encoded.encode(), "sha256")
    return f"{_base64url(signature)}.{encoded}"


async def post_callback(
    courier: Courier, timeline: Timeline, app: App, person: Person, callback: str
) -> dict[str, Any]:
    """Post a callback about a person and return the status and the answer it got.

    Callbacks lie beside the webhooks' own address. Without one, nothing is posted.
    """
    if not app.address:
        return {"status": None, "answer": ""}
    payload = {
        "algorithm": "HMAC-SHA256",
        "issued_at": timeline.millis() // 1000,
        "expires": timeline.millis() // 1000 + 3600,
        "user_id": person.user_id,
    }
    form = urlencode({"signed_request": signed_request(app, payload)}).encode()
    status, answer = await courier.call(app, "POST", f"{app.address}/{callback}", form=form)
    return {"status": status, "answer": answer}


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
