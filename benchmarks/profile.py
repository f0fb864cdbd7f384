"""`python -m benchmarks profile ingress|routing|sender`: where a role spends its time at full load.

A part is run while py-spy samples the role that it is about; what is measured meanwhile is worth
nothing and kept apart. Into `build/profile` go a flame graph's stacks; the table is printed.
"""

import asyncio
import contextlib
import importlib
import shutil
import signal
import sys
import sysconfig
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks import figures, stage

# By what is asked for: the part that makes the load, and the role.
_LOADS: Final = {
    "ingress": ("ingress", "api"),
    "routing": ("routing", "routing"),
    "sender": ("sending", "sender"),
}
_DIRECTORY: Final = figures.FILE.parent / "profile"
_SAMPLES_A_SECOND: Final = "400"
_LINES: Final = 40


def main(words: Sequence[str]) -> None:
    """Take the profile of one role and print it."""
    if len(words) != 1 or words[0] not in _LOADS:
        sys.exit(f"Say what to profile: {', '.join(_LOADS)}.")
    part, role = _LOADS[words[0]]
    _DIRECTORY.mkdir(parents=True, exist_ok=True)
    stacks = _DIRECTORY / f"{words[0]}.txt"
    stacks.unlink(missing_ok=True)
    figures.FILE = _DIRECTORY / "bench.json"
    program = _py_spy()

    @contextlib.asynccontextmanager
    async def sample(name: str, pid: int) -> AsyncIterator[None]:
        if name != role or stacks.exists():
            # A part may start its role again, for something else.
            yield
            return
        process = await asyncio.create_subprocess_exec(
            *(program, "record", "--format", "raw", "--rate", _SAMPLES_A_SECOND),
            *("--output", stacks, "--pid", str(pid)),
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            await process.wait()

    stage.watch_role = sample
    importlib.import_module(f"benchmarks.{part}").main()
    _print(stacks)


def _py_spy() -> str:
    found = shutil.which("py-spy", path=sysconfig.get_path("scripts")) or shutil.which("py-spy")
    if found is None:
        sys.exit("There is no py-spy here: `make install` brings it.")
    return found


def _print(stacks: Path) -> None:
    """Print the functions that take most, by themselves and with all that they call."""
    alone: Counter[str] = Counter()
    together: Counter[str] = Counter()
    for line in stacks.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        functions = [frame.rpartition(":")[0] or frame for frame in stack.split(";")]
        alone[functions[-1]] += int(samples)
        for function in set(functions):
            together[function] += int(samples)
    total = alone.total()
    for title, counts in (("by itself", alone), ("with what it calls", together)):
        print(f"\n{title}, of {total} samples")
        for function, count in counts.most_common(_LINES):
            print(f"{count / total:7.1%}  {function})")
    print(f"\nThe stacks are in {stacks}; speedscope.app and flamegraph.pl draw them.")
