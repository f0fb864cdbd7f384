"""A fixed piece of work, so that figures of machines and of hours can be compared.

The speed of a virtual machine drifts by more than half. What a part shows is worth as much as the
yardstick that was laid on the machine just before it.
"""

import hashlib
import hmac
import json
import time
from typing import Any, Final

from benchmarks.figures import record

_ROUNDS: Final = 15
_REPEATS: Final = 400
_BODY: Final[dict[str, Any]] = {
    "object": "page",
    "entry": [{"id": str(n), "messaging": [{"text": "x" * 40, "n": n}]} for n in range(10)],
}


def lay_on(part: str) -> None:
    """Record what the work takes now, in milliseconds of one core, as a part's `yardstick`."""
    record(f"{part}.yardstick", min(_once() for _ in range(_ROUNDS)) * 1000, "ms")


def _once() -> float:
    began = time.process_time()
    for n in range(_REPEATS):
        text = json.dumps(_BODY).encode()
        hmac.new(b"secret", text, hashlib.sha256).digest()
        found = json.loads(text)
        sum(len(each["messaging"][0]["text"]) + n for each in found["entry"])
    return time.process_time() - began
