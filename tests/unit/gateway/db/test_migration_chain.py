"""Migrations are one chain, in the order of their numbers."""

import re
from pathlib import Path

VERSIONS = Path(__file__).parents[4] / "migrations" / "versions"


def test_each_migration_follows_the_one_before_it():
    before = None
    for path in sorted(VERSIONS.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        (revision,) = re.findall(r'^revision: str = "(\d{4})"$', text, flags=re.MULTILINE)
        (follows,) = re.findall(r"^down_revision: .* = (.*)$", text, flags=re.MULTILINE)
        assert path.name.startswith(f"{revision}_")
        assert follows == ("None" if before is None else f'"{before}"'), path.name
        before = revision
