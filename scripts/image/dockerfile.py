"""Reads a Dockerfile into stages of instructions, as far as ours goes; anything else fails."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_WORDS: Final = frozenset(
    (
        *("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
        *("RUN", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
    )
)
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_PAIR: Final = re.compile(r'(\S+?)=("(?:[^"\\]|\\.)*"|\S+)')


class UnknownStepError(Exception):
    """The Dockerfile has something that is not understood here."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, with its continued lines joined."""

    word: str
    rest: str

    def flags(self) -> tuple[dict[str, str], str]:
        """Return `--name=value` flags, and what follows them."""
        flags = {}
        rest = self.rest
        while rest.startswith("--"):
            flag, _, rest = rest.partition(" ")
            name, _, value = flag.removeprefix("--").partition("=")
            flags[name] = value
            rest = rest.lstrip()
        return flags, rest

    def listed(self) -> list[str]:
        """Return the arguments of an instruction in its JSON form.

        Raises:
            UnknownStepError: It is in the form that a shell reads.
        """
        try:
            return [str(each) for each in json.loads(self.rest)]
        except ValueError as error:
            raise UnknownStepError(f"{self.word} is not in JSON form: {self.rest}") from error

    def pairs(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return `NAME=value` pairs, with variables in them replaced."""
        found = _PAIR.findall(self.rest)
        return {name: expand(value.strip('"'), variables) for name, value in found}


@dataclass(slots=True)
class Stage:
    """What lies between one FROM and the next."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)


def read_dockerfile(path: Path, arguments: Mapping[str, str]) -> list[Stage]:
    """Return the stages of a Dockerfile, with build arguments in their FROM lines replaced.

    Raises:
        UnknownStepError: There is an instruction that nobody here knows.
    """
    variables: dict[str, str] = {}
    stages: list[Stage] = []
    for instruction in _instructions(path.read_text().splitlines()):
        if instruction.word not in _WORDS:
            raise UnknownStepError(f"nobody here knows {instruction.word}")
        if instruction.word == "FROM":
            base, _, name = expand(instruction.rest, variables).partition(" AS ")
            stages.append(Stage(base.strip(), name.strip()))
        elif stages:
            stages[-1].instructions.append(instruction)
        else:
            name, _, default = instruction.rest.partition("=")
            variables[name] = arguments.get(name, default)
    return stages


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$NAME` and `${NAME}`; what is not known becomes nothing."""
    return _VARIABLE.sub(lambda found: variables.get(found[1] or found[2], ""), text)


def _instructions(lines: Iterable[str]) -> Iterator[Instruction]:
    parts: list[str] = []
    for line in lines:
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        parts.append(bare.removesuffix("\\").strip())
        if not bare.endswith("\\"):
            word, _, rest = " ".join(parts).partition(" ")
            yield Instruction(word.upper(), rest.strip())
            parts = []
