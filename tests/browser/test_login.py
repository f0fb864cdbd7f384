"""An administrator connects Pages by Facebook Login, as people do: in a browser."""

import secrets
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Page, expect
from tests.browser.person import go_to, take_picture, take_pictures
from tests.e2e.stack import Gateway, Tenant, call

MESSAGING = "Manage and access Page conversations in Messenger"


@dataclass
class Town:
    """An account, somebody who manages three Pages, and the address of a login."""

    gateway: Gateway
    tenant: Tenant
    person: str
    pages: dict[str, str]
    url: str

    async def begin(self, tab: Page) -> None:
        """Open the login's address, which leads to the dialog, as the person logged in there."""
        await tab.goto(self.url)
        await self.log_in(tab)

    async def log_in(self, tab: Page) -> None:
        """Be the person, in the dialog that is open."""
        await tab.goto(f"{tab.url}&user_id={self.person}")

    async def channels(self) -> dict[str, dict[str, Any]]:
        """Return the account's channels by name."""
        found = (await self.tenant.get("/v1/channels"))["data"]
        return {each["name"]: each for each in found}

    async def first_message_reaches_an_agent(self, channel: dict[str, Any]) -> None:
        agent = await self.tenant.agent()
        routing = {"rule": "alternative", "destinations": [{"id": agent}]}
        await self.tenant.call("PATCH", f"/v1/channels/{channel['id']}", {"routing": routing})
        page_id = channel["source"]["page_id"]
        path = f"/control/pages/{page_id}/visitors/7000001/messages"
        await call(self.gateway.sandbox, "POST", path, {"text": "Have you any rolls left?"})
        offered = await self.tenant.event("enquiry.offered")
        (offer,) = offered["data"]["enquiry"]["offers"]
        assert offer["agent_id"] == agent


@pytest.fixture
async def town(gateway: Gateway) -> Town:
    tenant = await gateway.tenant()
    number = 10**15 + secrets.randbelow(10**15)
    names = ("Bakery on the Shore", "Bakery Leith Walk", "Bakery Wholesale")
    pages = {name: str(number + n) for n, name in enumerate(names)}
    for name, page_id in pages.items():
        await call(gateway.sandbox, "POST", "/control/pages", {"page_id": page_id, "name": name})
    person = {
        "user_id": str(number),
        "name": "Robin Hale",
        "pages": {page_id: [] for page_id in pages.values()},
    }
    await call(gateway.sandbox, "POST", "/control/people", person)
    login = await tenant.post("/v1/facebook/logins", {"meta_app_id": gateway.app["app_id"]})
    return Town(gateway, tenant, str(number), pages, login["url"])


async def test_two_of_three_pages_are_connected_after_a_permission_was_missing(
    town: Town, tab: Page
) -> None:
    await town.begin(tab)
    await take_pictures(tab, "1-dialog")
    await tab.get_by_label(MESSAGING).uncheck()
    await tab.get_by_role("button", name="Continue").click()

    await expect(tab.locator(".note", has_text=f"Missing: {MESSAGING}")).to_be_visible()
    await expect(tab.get_by_role("heading", level=1)).to_have_text("Not everything was granted")
    await expect(tab.get_by_text("Facebook Pages for Test")).to_be_visible()
    await expect(tab.get_by_role("button", name="Connect")).to_have_count(0)
    await take_pictures(tab, "2-permission-missing")
    await tab.get_by_role("link", name="Ask again").first.click()
    await town.log_in(tab)
    await tab.get_by_label(MESSAGING).check()
    await tab.get_by_role("button", name="Continue").click()

    await expect(tab.get_by_role("heading", level=1)).to_have_text("Choose the Pages to connect")
    await take_pictures(tab, "3-choosing")
    await tab.emulate_media(color_scheme="dark")
    await tab.get_by_text("A Page is missing?").click()
    await take_pictures(tab, "3-choosing-in-the-dark")
    await tab.emulate_media(color_scheme="light")
    await tab.get_by_role("checkbox", name="Bakery Wholesale").uncheck()
    for name in ("Bakery on the Shore", "Bakery Leith Walk"):
        await tab.locator(f"[name=name_{town.pages[name]}]").fill(f"{name} chat")
    await tab.get_by_role("button", name="Connect").click()
    await expect(tab.get_by_role("heading", level=1)).to_have_text("Your Pages are connected")
    await take_pictures(tab, "4-connected")

    connected = await town.channels()
    assert connected.keys() == {"Bakery on the Shore chat", "Bakery Leith Walk chat"}
    await town.first_message_reaches_an_agent(connected["Bakery Leith Walk chat"])


async def test_who_has_only_a_keyboard_connects_on_a_telephones_screen(
    town: Town, tab: Page
) -> None:
    await tab.set_viewport_size({"width": 360, "height": 740})
    await town.begin(tab)
    await go_to(tab, tab.get_by_role("button", name="Continue"))
    await tab.keyboard.press("Enter")
    await expect(tab.get_by_role("heading", level=1)).to_have_text("Choose the Pages to connect")
    await go_to(tab, tab.get_by_role("checkbox", name="Bakery on the Shore"))
    await take_picture(tab, "5-focus-narrow")
    await tab.keyboard.press("Space")
    await go_to(tab, tab.locator(f"[name=name_{town.pages['Bakery Leith Walk']}]"))
    await tab.keyboard.press("Control+A")
    await tab.keyboard.type("Leith")
    await tab.keyboard.press("Enter")
    await expect(tab.get_by_role("heading", level=1)).to_have_text("Your Pages are connected")
    assert (await town.channels()).keys() == {"Leith", "Bakery Wholesale"}


async def test_who_declines_and_who_comes_too_late_read_what_to_do(town: Town, tab: Page) -> None:
    await town.begin(tab)
    await tab.get_by_role("button", name="Cancel").click()
    await expect(tab.get_by_role("heading", level=1)).to_have_text("Nothing was connected")
    await take_pictures(tab, "6-declined")
    await tab.reload()
    await expect(tab.get_by_role("heading", level=1)).to_have_text("This login cannot go on")
    await take_pictures(tab, "7-over")
