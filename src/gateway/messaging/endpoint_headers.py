"""What stands in the calls to an endpoint beside what the protocol needs: who we are to it."""

import base64
from collections.abc import Mapping
from typing import Any

from gateway.db.endpoints import Endpoint
from gateway.db.secrets import KeyRing


def headers_of(endpoint: Endpoint, keyring: KeyRing) -> dict[str, str]:
    """Return the headers that an endpoint wants in each call.

    Raises:
        UndecryptableError: They cannot be read.
    """
    return headers_for(
        endpoint.authentication_kind,
        endpoint.open_authentication(keyring),
        endpoint.open_headers(keyring),
    )


def headers_for(
    authentication_kind: str, authentication: Mapping[str, Any], headers: Mapping[str, str]
) -> dict[str, str]:
    """Return headers of an endpoint's own, and the one by which it knows us, which comes first."""
    known_by = authentication_headers(authentication_kind, authentication)
    taken = {name.lower() for name in known_by}
    others = {name: value for name, value in headers.items() if name.lower() not in taken}
    return {**known_by, **others}


def authentication_headers(kind: str, secret: Mapping[str, Any]) -> dict[str, str]:
    """Return the header by which an endpoint knows us, if it wants one."""
    match kind:
        case "bearer":
            return {"Authorization": f"Bearer {secret['token']}"}
        case "basic":
            pair = f"{secret['username']}:{secret['password']}".encode()
            return {"Authorization": "Basic " + base64.b64encode(pair).decode()}
        case "header":
            return {secret["name"]: secret["value"]}
        case _:
            return {}
