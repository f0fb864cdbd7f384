"""The image's tree, and what its containers talk to."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from scripts.image.build import Image
from scripts.rehearse_image import ROOT, rehearse

_TOOLS = ("unshare", "nsenter", "mount", "chroot", "sh")


# Before the rules for all tests, which look at these marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.container)
        item.add_marker(pytest.mark.e2e)
        item.add_marker(pytest.mark.timeout(900))
        item.add_marker(pytest.mark.allow_hosts(["127.0.0.1", "::1", "localhost"]))
        item.add_marker(pytest.mark.xdist_group("container"))
    # They bring a Debian and build an image, which takes a minute: only for who asks for them.
    if "container" not in config.option.markexpr:
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]


@pytest.fixture(scope="session")
def image() -> Image:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs Linux and root")
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    return rehearse(ROOT / "build" / "image")
