"""What a person does in a browser, with the mouse or with nothing but the keyboard."""

from pathlib import Path
from typing import Final

from playwright.async_api import Locator, Page

SECONDS: Final = 20
PICTURES: Final = Path(__file__).parents[2] / "build" / "browser"
_SIZES: Final = {"wide": (1100, 900), "narrow": (360, 740)}
_MOST_TABS: Final = 60


async def take_picture(tab: Page, name: str) -> None:
    """Take a picture of a page, from its top to its end."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    await tab.screenshot(path=PICTURES / f"{name}.png", full_page=True)


async def take_pictures(tab: Page, name: str) -> None:
    """Take pictures of a page as a desk and as a telephone show it; it must fit both."""
    before = tab.viewport_size
    for size, (width, height) in _SIZES.items():
        await tab.set_viewport_size({"width": width, "height": height})
        await take_picture(tab, f"{name}-{size}")
        for each in await tab.locator("main *:visible").all():
            inner = await each.bounding_box()
            assert inner is None or inner["x"] + inner["width"] <= width + 1, (
                await each.inner_text()
            )
    if before is not None:
        await tab.set_viewport_size(before)


async def go_to(tab: Page, wanted: Locator) -> None:
    """Press Tab until something has the focus, and see that one can see so."""
    for _ in range(_MOST_TABS):
        await tab.keyboard.press("Tab")
        if await tab.locator(":focus").count() and await _is_same(tab.locator(":focus"), wanted):
            return
    raise AssertionError(f"The keyboard does not reach {wanted}.")


async def _is_same(one: Locator, other: Locator) -> bool:
    return await one.bounding_box() == await other.bounding_box()
