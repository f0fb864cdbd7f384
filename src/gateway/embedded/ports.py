"""Free ports."""

import random
import socket
from typing import Final

# Below every system's range for outgoing connections, so that no client takes the port between
# its choice and the server's bind.
_RANGE: Final = range(15_000, 32_000)
_TRIES: Final = 100


def free_port() -> int:
    """Return a loopback port that nobody listens on.

    Raises:
        OSError: there seems to be none.
    """
    for port in random.sample(_RANGE, _TRIES):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"None of {_TRIES} ports tried on 127.0.0.1 is free.")
