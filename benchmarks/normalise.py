"""How long a webhook body takes from bytes to records: normalise, headers, key and value.

The ingress has about 100 microseconds for a whole request, of which a body of one message may take
60 here.
"""

import json
import timeit
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.figures import record
from gateway.meta.normalise import normalise
from gateway.meta.signature import signature_header, verify

_PAYLOADS: Final = Path(__file__).parent.parent / "tests" / "support" / "payloads"
_ARRIVAL: Final = datetime(2026, 11, 21, 12, tzinfo=UTC)
_SECRET: Final = b"0123456789abcdef0123456789abcdef"
_ROUNDS: Final = 5


def main() -> None:
    """Print a line for each body of the catalogue, then for a batch of 1,000 messages."""
    print(f"{'body':52}{'bytes':>9}{'events':>8}{'µs':>10}{'µs/event':>10}")
    bodies = {
        f"{path.parent.name}/{path.stem}": json.dumps(json.loads(path.read_bytes())).encode()
        for path in sorted(_PAYLOADS.glob("m*/*.json"))
    }
    text = json.loads(bodies["messenger/text"])
    text["entry"] = text["entry"] * 1000
    bodies["1,000 texts"] = batch = json.dumps(text).encode()
    spent = {name: _microseconds(body) for name, body in bodies.items()}
    for name, body in bodies.items():
        events = _records(body)
        each = spent[name] / events if events else 0
        print(f"{name:52}{len(body):>9}{events:>8}{spent[name]:>10.1f}{each:>10.1f}")
    header = [signature_header(batch, _SECRET).encode()]
    signing = timeit.timeit(lambda: verify(batch, header, [_SECRET]), number=20) / 20 * 1e6
    record("normalise.one_message", spent["messenger/text"], "µs")
    record("normalise.message_of_a_batch", spent["1,000 texts"] / 1000, "µs")
    record("normalise.signature_of_a_mebibyte", signing / len(batch) * 2**20, "µs")


def _records(body: bytes) -> int:
    """Do what the ingress does with a verified body, up to the producer."""
    events = normalise(body, meta_app_id="400500600700800", received_at=_ARRIVAL).events
    for event in events:
        event.headers()
        event.value()
        _ = event.key
    return len(events)


def _microseconds(body: bytes) -> float:
    """Return the best time of several rounds for one body."""
    number = max(20, 2_000_000 // (len(body) * 40))
    return min(timeit.repeat(lambda: _records(body), number=number, repeat=_ROUNDS)) / number * 1e6
