"""Asks the role of this container whether it lives: `python -m gateway.probe [livez|readyz]`.

Exit code 0 says yes. It loads nothing but the standard library, because an orchestrator starts it
every few seconds beside the role.
"""

import http.client
import os
import sys
from collections.abc import Sequence
from typing import Final

_DEFAULT_PORT: Final = "9090"
_SECONDS: Final = 2.0


def main(arguments: Sequence[str]) -> int:
    """Ask `/livez`, or the path named; return the exit code."""
    question = arguments[0] if arguments else "livez"
    # The settings would take ten times as long to load as the question takes.
    port = int(os.environ.get("OPS_PORT", _DEFAULT_PORT))  # noqa: TID251
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", f"/{question}")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        sys.stdout.write(f"{question}: {type(error).__name__}\n")
        return 1
    finally:
        connection.close()
    sys.stdout.write(f"{question}: {status}\n")
    return 0 if status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
