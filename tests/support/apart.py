"""Tests that only run where `-m` names them."""

from pathlib import Path

import pytest


def set_apart(
    config: pytest.Config, items: list[pytest.Item], directory: Path, name: str, *, seconds: float
) -> None:
    """Mark the tests of a directory, which bring a great deal, and leave them out otherwise.

    To be called before the rules for all tests, which look at these marks.
    """
    ours = [item for item in items if directory in item.path.parents]
    for item in ours:
        item.add_marker(getattr(pytest.mark, name))
        item.add_marker(pytest.mark.e2e)
        item.add_marker(pytest.mark.timeout(seconds))
        item.add_marker(pytest.mark.allow_hosts(["127.0.0.1", "::1", "localhost"]))
        item.add_marker(pytest.mark.xdist_group(name))
    if name not in config.option.markexpr:
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]
