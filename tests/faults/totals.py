"""`build/faults.json`: what the runs of the fault tests came to, one after another."""

import fcntl
import json
from collections import Counter
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "build" / "faults.json"
# What is left of runs in which something was wrong.
KEPT = FILE.parent / "faults"
_KEPT = 500


def add_run(name: str, totals: dict[str, Any], *, file: Path = FILE) -> None:
    """Append a run and sum all of them up again."""
    file.parent.mkdir(exist_ok=True)
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = json.loads(file.read_text()) if file.exists() else {"runs": []}
        runs = [*known["runs"], {"name": name, **totals}][-_KEPT:]
        sums: Counter[str] = Counter()
        for run in runs:
            sums.update({key: value for key, value in run.items() if isinstance(value, int)})
        text = json.dumps({"totals": dict(sorted(sums.items())), "runs": runs}, indent=2)
        file.write_text(text + "\n")
