"""The schema's revisions, read from the migrations without what runs them.

Every role asks for them when it starts, and Alembic would cost it a third of a second and eight
mebibytes for that alone.
"""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_IN_THE_WHEEL: Final = Path(__file__).parents[1] / "_migrations"
_IN_THE_TREE: Final = Path(__file__).parents[3] / "migrations"


@dataclass(frozen=True, slots=True)
class Revisions:
    """What this release knows: the revision that its code expects, and those before it."""

    head: str
    older: frozenset[str]

    @classmethod
    def of_this_release(cls) -> "Revisions":
        """Read them.

        Raises:
            ValueError: The migrations are no chain with one end.
        """
        before = dict(_identified(path) for path in (migrations() / "versions").glob("*.py"))
        # One alone is named by none as the one before it.
        (head,) = before.keys() - before.values()
        return cls(head=head, older=frozenset(before.keys() - {head}))


def migrations() -> Path:
    """Return the folder of the migrations, in the wheel or in the source tree."""
    return _IN_THE_WHEEL if _IN_THE_WHEEL.is_dir() else _IN_THE_TREE


def _identified(path: Path) -> tuple[str, str | None]:
    """Return a migration's revision and the one before it."""
    names = {
        statement.target.id: ast.literal_eval(statement.value)
        for statement in ast.parse(path.read_text()).body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and statement.target.id in ("revision", "down_revision")
        and statement.value is not None
    }
    return names["revision"], names["down_revision"]
