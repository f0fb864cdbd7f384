"""What tests may see of the environment they run in."""

import os
from collections.abc import Mapping, MutableMapping
from typing import Final

# What the machine needs to run programs at all, and what the test tools say to themselves.
# Everything else could be a setting of the gateway.
_KEPT_NAMES: Final = {
    *("PATH", "HOME", "USER", "TMPDIR", "LANG", "TZ", "TERM", "COLUMNS", "CI"),
    *("JAVA_HOME", "LD_LIBRARY_PATH", "VIRTUAL_ENV"),
}
_KEPT_PREFIXES: Final = ("LC_", "PYTEST_", "PYTHON", "COV_", "COVERAGE_", "HYPOTHESIS_")


def environment() -> MutableMapping[str, str]:
    """Return the environment itself."""
    return os.environ  # noqa: TID251 - it is what the fixture scrubs and hands to programs


def foreign_names(environment: Mapping[str, str]) -> list[str]:
    """Return the names that tests must not see."""
    return [
        name
        for name in environment
        if name not in _KEPT_NAMES and not name.startswith(_KEPT_PREFIXES)
    ]
