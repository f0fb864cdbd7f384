"""What a build may see of the repository: the rules of .dockerignore."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Rule:
    text: str
    pattern: re.Pattern[str]
    takes_in: bool


class Context:
    """The files of a folder that its .dockerignore lets through."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._rules = _rules((root / ".dockerignore").read_text().splitlines())

    def files(self, name: str) -> Iterator[Path]:
        """Yield the files at or under a name, relative to the folder."""
        path = Path(name)
        if not (self.root / path).is_dir():
            if self._is_in(path):
                yield path
        elif path == Path() or self._is_in(path) or self._leads_in(path):
            for child in sorted((self.root / path).iterdir()):
                yield from self.files(str(child.relative_to(self.root)))

    def _is_in(self, path: Path) -> bool:
        # A rule about a folder holds for all in it; the last rule that fits decides.
        names = [str(path), *(str(parent) for parent in path.parents if parent.name)]
        taken = True
        for rule in self._rules:
            if any(rule.pattern.fullmatch(name) for name in names):
                taken = rule.takes_in
        return taken

    def _leads_in(self, folder: Path) -> bool:
        # Something under a folder that is left out may be taken in by a rule of its own.
        return any(rule.takes_in and rule.text.startswith(f"{folder}/") for rule in self._rules)


def _rules(lines: Sequence[str]) -> list[_Rule]:
    rules = []
    for line in lines:
        text = line.strip()
        if text and not text.startswith("#"):
            bare = text.removeprefix("!").strip("/")
            rules.append(_Rule(bare, _pattern(bare), text.startswith("!")))
    return rules


def _pattern(text: str) -> re.Pattern[str]:
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.split(r"(\*\*/|\*\*|\*|\?)", text)
    return re.compile("".join(parts.get(token, re.escape(token)) for token in tokens))
