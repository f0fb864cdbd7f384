"""Who is trusted to vouch for servers."""

import ssl
from functools import cache

import httpx


@cache
def usual_authorities() -> ssl.SSLContext:
    """Return a context that trusts the usual authorities, whatever the environment says.

    All clients of a process share it: reading the authorities takes tens of milliseconds and
    about a megabyte each time.
    """
    return httpx.create_ssl_context(trust_env=False)
