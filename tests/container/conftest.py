"""The image's tree, and what its containers talk to."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from scripts.image.build import Image
from scripts.rehearse_image import ROOT, rehearse
from tests.support.apart import set_apart

_TOOLS = ("unshare", "nsenter", "mount", "chroot", "sh")


# Before the rules for all tests, which look at these marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # They bring a Debian and build an image, which takes a minute: only for who asks for them.
    set_apart(config, items, Path(__file__).parent, "container", seconds=900)


@pytest.fixture(scope="session")
def image() -> Image:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs Linux and root")
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    return rehearse(ROOT / "build" / "image")
