"""`python -m benchmarks [part…]` measures; `report` writes the table and the plot of what is kept.

Without a part, all but the long ones are measured in order, and the report is written at the end.
"""

import importlib
import importlib.util
import sys
from typing import Final

from benchmarks import figures, yardstick
from benchmarks.stage import broker_of, prefix_of

PARTS: Final = (
    "normalise",
    "pieces",
    "deciding",
    "ingress",
    "routing",
    "timers",
    "relay",
    "sending",
    "hanging",
    "backlog",
    "latency",
    "recovery",
    "memory",
    "hostile",
    "reports",
    "database",
)
# Measured only where they are named.
LONG: Final = frozenset({"memory", "reports", "hanging", "backlog", "database"})
TOOLS: Final = ("report", "profile")


def main(words: list[str]) -> int:
    """Do what the words say; return the exit code."""
    if words and words[0] in TOOLS:
        importlib.import_module(f"benchmarks.{words[0]}").main(words[1:])
        return 0
    there = [part for part in PARTS if importlib.util.find_spec(f"benchmarks.{part}")]
    unknown = [word for word in words if word not in there]
    if unknown:
        print(f"There is no {unknown[0]}. Parts: {', '.join(there)}; tools: {', '.join(TOOLS)}.")
        return 2
    for part in words or [part for part in there if part not in LONG]:
        print(f"--- {part}", flush=True)
        prefix = prefix_of(part, broker_of(part))
        figures.forget(prefix)
        yardstick.lay_on(prefix)
        importlib.import_module(f"benchmarks.{part}").main()
    if not words:
        importlib.import_module("benchmarks.report").main([])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
