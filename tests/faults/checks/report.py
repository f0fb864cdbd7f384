"""What the checks found: numbers, and what is wrong by what kind of wrong it is."""

from collections import Counter
from typing import Any

# In the order of a verdict's first lines.
WRONGS = ("lost", "not_durable", "doubled", "inversions", "states", "unexplained")


class Report:
    """Collects; nothing is judged here."""

    def __init__(self) -> None:
        self.numbers: Counter[str] = Counter()
        # Seconds; nobody adds these up.
        self.longest: dict[str, float] = {}
        self.findings: dict[str, list[str]] = {wrong: [] for wrong in WRONGS}

    def count(self, name: str, number: int = 1) -> None:
        self.numbers[name] += number

    def note_longest(self, name: str, seconds: float) -> None:
        self.longest[name] = max(self.longest.get(name, 0.0), float(seconds))

    def find(self, wrong: str, what: str) -> None:
        self.findings[wrong].append(what)

    def totals(self) -> dict[str, Any]:
        wrongs = {wrong: len(found) for wrong, found in self.findings.items()}
        return {**dict(sorted(self.numbers.items())), **self.longest, **wrongs}
