"""Prints how long a webhook body takes from bytes to records: normalise, headers, key and value.

Run it with `python benchmarks/normalise.py` in the project's environment. The ingress has about 100
microseconds for a whole request, of which a body of one message may take 60 here.
"""

import json
import timeit
from datetime import UTC, datetime
from pathlib import Path

from gateway.meta.normalise import normalise
from gateway.meta.signature import signature_header, verify

PAYLOADS = Path(__file__).parent.parent / "tests" / "support" / "payloads"
ARRIVAL = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = b"0123456789abcdef0123456789abcdef"
ROUNDS = 5


def records(body: bytes) -> int:
    """Do what the ingress does with a verified body, up to the producer."""
    events = normalise(body, meta_app_id="400500600700800", received_at=ARRIVAL).events
    for event in events:
        event.headers()
        event.value()
        _ = event.key
    return len(events)


def microseconds(body: bytes) -> float:
    """Return the best time of several rounds for one body."""
    number = max(20, 2_000_000 // (len(body) * 40))
    return min(timeit.repeat(lambda: records(body), number=number, repeat=ROUNDS)) / number * 1e6


def main() -> None:
    """Print a line for each body of the catalogue, then for a batch of 1,000 messages."""
    print(f"{'body':52}{'bytes':>9}{'events':>8}{'µs':>10}{'µs/event':>10}")
    bodies = [
        (f"{path.parent.name}/{path.stem}", json.dumps(json.loads(path.read_bytes())).encode())
        for path in sorted(PAYLOADS.glob("m*/*.json"))
    ]
    text = json.loads((PAYLOADS / "messenger" / "text.json").read_bytes())
    text["entry"] = text["entry"] * 1000
    bodies.append(("1,000 texts", json.dumps(text).encode()))
    for name, body in bodies:
        spent, events = microseconds(body), records(body)
        each = spent / events if events else 0
        print(f"{name:52}{len(body):>9}{events:>8}{spent:>10.1f}{each:>10.1f}")
    header = [signature_header(body, SECRET).encode()]
    spent = timeit.timeit(lambda: verify(body, header, [SECRET]), number=20) / 20 * 1e6
    print(f"{'signature of the last':52}{len(body):>9}{'':>8}{spent:>10.1f}")


if __name__ == "__main__":
    main()
