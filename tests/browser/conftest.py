"""A real browser in front of a whole `gateway dev`."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright
from tests.browser.person import SECONDS

# The fixtures of the end-to-end tests, for the gateway behind the browser.
from tests.e2e.conftest import dev_directory, gateway, running
from tests.support.apart import set_apart

__all__ = ["dev_directory", "gateway", "running"]

# It is alone on the machine, and looks for nobody outside.
_ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


# Before the rules for all tests, which look at these marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # They need a browser, which is brought for who asks for them.
    set_apart(config, items, Path(__file__).parent, "browser", seconds=180)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium: make test-browser brings it")
    # Chromium has no sandbox of its own for root.
    sandboxed = os.geteuid() != 0
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=_ARGUMENTS, chromium_sandbox=sandboxed
        )
        yield browser
        await browser.close()


@pytest.fixture
async def tab(browser: Browser) -> AsyncIterator[Page]:
    """A tab without JavaScript: the pages have to do without."""
    context = await browser.new_context(java_script_enabled=False)
    context.set_default_timeout(SECONDS * 1000)
    page = await context.new_page()
    yield page
    await context.close()
