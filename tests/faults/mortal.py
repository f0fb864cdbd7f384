"""A role of the gateway that dies, or is wrong about the time, where a test says so.

`python mortal.py ROLE NAME DIRECTORY` runs the role as `gateway ROLE` does. In the directory

- `NAME.plan` holds a point and a number: the process kills itself the so-many-th time that it
  passes that point, and the plan is gone by then;
- `NAME.clock` holds seconds: the machine's clock seems to be so far ahead, from the next moment on;
- `deaths` gets a line for each death: its name, the point, the calls in flight.
"""

import os
import signal
import sys
import time
from collections.abc import Callable  # noqa: TC003 - a program needs no trick for an import
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

_LOOK_SECONDS = 0.02


class WrongClock:
    """The machine's clock, as far off as a file says; each look at the file serves a moment."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._true = time.time
        self._seconds = 0.0
        self._look_at = 0.0

    def __call__(self) -> float:
        """Return what this process takes for the time."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._seconds = float(_read(self._file) or 0)
        return self._true() + self._seconds


class Fate:
    """Counts how often points were passed since there is a plan, and carries it out."""

    def __init__(self, name: str, directory: Path) -> None:
        self._name = name
        self._plan = directory / f"{name}.plan"
        self._deaths = directory / "deaths"
        self._passed = 0
        self._known = ""
        self.in_flight: Callable[[], int] = lambda: 0

    def passed(self, point: str) -> None:
        """Note that a point was passed; may be the last thing that happens here."""
        plan = _read(self._plan)
        if plan != self._known:
            self._known, self._passed = plan, 0
        if not plan or plan.split()[0] != point:
            return
        self._passed += 1
        if self._passed >= int(plan.split()[1]):
            self._die(point)

    def _die(self, point: str) -> None:
        self._plan.unlink()
        with self._deaths.open("a") as deaths:
            deaths.write(f"{self._name} {point} {self.in_flight()}\n")
        os.kill(os.getpid(), signal.SIGKILL)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def _count_calls(fate: Fate) -> None:
    from gateway.sender.board import Board  # noqa: PLC0415 - see main

    construct = Board.__init__

    def count(self: Board, *arguments: Any, **named: Any) -> None:
        construct(self, *arguments, **named)
        fate.in_flight = lambda: self.busy(None)

    Board.__init__ = count  # type: ignore[method-assign]


def main(role: str, name: str, directory: Path) -> None:
    """Run the role."""
    # Before anything is imported that keeps the function for itself.
    time.time = WrongClock(directory / f"{name}.clock")
    from tests.faults.points import plants  # noqa: PLC0415 - see above

    from gateway.settings import Settings  # noqa: PLC0415 - see above

    fate = Fate(name, directory)
    for plant in plants(role):
        plant(fate.passed)
    if role == "api":
        from gateway.serving import run  # noqa: PLC0415 - each role loads what it needs
    elif role == "sender":
        from gateway.sender.process import run  # noqa: PLC0415 - each role loads what it needs

        _count_calls(fate)
    else:
        (point,) = entry_points(group="gateway.roles", name=role)
        run = point.load()
    run(Settings())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
