"""What befalls a Page at Facebook, on the whole gateway: found, told, mended by the remedy told.

Each cause has an account, a Page and a person of its own, and all go on at once.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
from tests.e2e.stack import SECONDS, Gateway, Page, Tenant, call
from tests.support.browser import SCOPES, Browser

VISITOR = "7000001"


@dataclass
class Town:
    """A Page that a person connected by Facebook Login, and a visitor who has written to it."""

    tenant: Tenant
    page_id: str
    other_page: str
    person: str
    gateway_browser: httpx.AsyncClient
    channel: str = ""
    conversation: str = ""

    async def facebook(self, what: str, **fields: Any) -> dict[str, Any]:
        """Change something at Facebook: of the Page, or of the person."""
        named = {"page_id": self.page_id} if what == "pages" else {"user_id": self.person}
        sandbox = self.tenant.gateway.sandbox
        return dict(await call(sandbox, "POST", f"/control/{what}", named | fields))

    async def log_in(self, url: str, *pages: str, person: str = "") -> None:
        browser = Browser(self.gateway_browser, self.tenant.gateway.sandbox)
        shown = await browser.log_in(url, person or self.person, pages=pages)
        assert shown.status_code == 200, shown.text

    async def connect(self, *pages: str) -> list[dict[str, Any]]:
        """Log in, grant Pages, and connect those that are not connected yet."""
        app = {"meta_app_id": self.tenant.gateway.app["app_id"]}
        login = await self.tenant.post("/v1/facebook/logins", app)
        await self.log_in(login["url"], *pages)
        quiet = {"messages": {"welcome": {"enabled": False}}}
        login = await self.tenant.get(f"/v1/facebook/logins/{login['id']}")
        fresh = [each["page_id"] for each in login["pages"] if each["channel_id"] is None]
        body = {"pages": [{"page_id": each, **quiet} for each in fresh]}
        path = f"/v1/facebook/logins/{login['id']}/connect"
        results = (await self.tenant.post(path, body))["data"] if fresh else []
        return [result["channel"] for result in results]

    async def reauthenticate(self, *, person: str = "") -> None:
        login = await self.tenant.post(f"/v1/channels/{self.channel}/reauthenticate")
        await self.log_in(login["url"], self.page_id, person=person)

    async def visitor_writes(self, text: str) -> dict[str, Any]:
        path = f"/control/pages/{self.page_id}/visitors/{VISITOR}/messages"
        await call(self.tenant.gateway.sandbox, "POST", path, {"text": text})
        return await self.tenant.event(
            "message.received", lambda event: event["data"]["message"]["content"]["text"] == text
        )

    async def diagnosis(self) -> tuple[str, dict[str, dict[str, Any]]]:
        found = await self.tenant.get(f"/v1/channels/{self.channel}/diagnosis")
        return found["channel_status"], {each["check"]: each for each in found["checks"]}

    async def say(self, text: str) -> dict[str, Any]:
        body = {"content": {"type": "text", "text": text}}
        path = f"/v1/conversations/{self.conversation}/messages"
        return dict(await self.tenant.post(path, body, expect=202))

    async def sends(self) -> list[str]:
        """Return what the Page was asked to send, in order, refused or not."""
        return await Page(self.tenant, self.page_id).texts()


Step = Callable[[Town], Awaitable[Any]]


@dataclass(frozen=True)
class Row:
    """A cause, what it makes of the channel, the checks that fail by it, and what mends it."""

    cause: Step
    status: str
    reason: str | None
    # Each with words of its remedy.
    fails: dict[str, str]
    remedy: Step
    holds: bool = True


async def _nothing(town: Town) -> None:
    """Do nothing: nothing is to be mended."""


async def _let_time_pass(town: Town) -> None:
    # What takes sixty days at Meta takes two minutes here.
    await town.facebook("people", token_seconds=120)
    await town.reauthenticate()
    await town.facebook("people", token_seconds=5_184_000)
    await town.tenant.gateway.advance_clock(121)


async def _add_a_page(town: Town) -> None:
    (added,) = await town.connect(town.page_id, town.other_page)
    assert added["source"]["page_id"] == town.other_page


async def _leave_the_page_out(town: Town) -> None:
    await town.connect(town.other_page)


async def _connect_at_facebook(town: Town) -> None:
    await town.facebook("people", invalidate="app_removed")
    await town.facebook("pages", subscribed_fields=["messages"])
    # What comes in is accepted all the same.
    await town.visitor_writes("Is anybody there?")


async def _let_somebody_else_log_in(town: Town) -> None:
    sam = f"{town.person}2"
    person = {"user_id": sam, "name": "Sam", "pages": {town.page_id: []}}
    await call(town.tenant.gateway.sandbox, "POST", "/control/people", person)
    await town.reauthenticate(person=sam)


def _page(**fields: Any) -> Step:
    return lambda town: town.facebook("pages", **fields)


def _person(**fields: Any) -> Step:
    return lambda town: town.facebook("people", **fields)


ROWS = {
    "the token expired": Row(
        cause=_person(invalidate="expired"),
        status="disconnected",
        reason="token_expired",
        fails={"token": "Re-authenticate"},
        remedy=Town.reauthenticate,
    ),
    "a permission was revoked": Row(
        cause=_person(granted={"scopes": [each for each in SCOPES if each != "pages_messaging"]}),
        status="disconnected",
        reason="permission_missing",
        fails={"permission.pages_messaging": "Business Integrations"},
        remedy=_person(granted={"scopes": list(SCOPES)}),
    ),
    "a Page was added to those connected": Row(
        cause=_add_a_page, status="active", reason=None, fails={}, remedy=_nothing, holds=False
    ),
    "a connected Page was left out": Row(
        cause=_leave_the_page_out,
        status="disconnected",
        reason="page_not_granted",
        fails={
            "token": "tick the Page",
            "business_integration": "tick the Page",
            **{f"permission.{each}": "tick the Page" for each in SCOPES},
        },
        remedy=Town.reauthenticate,
    ),
    "the app was removed": Row(
        cause=_person(invalidate="app_removed"),
        status="disconnected",
        reason="app_removed",
        fails={"token": "Connect", "business_integration": "Connect the Page again"},
        remedy=Town.reauthenticate,
    ),
    "sixty days passed": Row(
        cause=_let_time_pass,
        status="disconnected",
        reason="token_expired",
        fails={"token": "Re-authenticate"},
        remedy=Town.reauthenticate,
    ),
    "the password was changed": Row(
        cause=_person(invalidate="password_changed"),
        status="disconnected",
        reason="password_changed",
        fails={"token": "Re-authenticate"},
        remedy=Town.reauthenticate,
    ),
    "the Page was unpublished": Row(
        cause=_page(published=False),
        status="degraded",
        reason="page_unpublished",
        fails={"page_published": "Publish the Page"},
        remedy=_page(published=True),
    ),
    "the Page was restricted": Row(
        cause=_page(restricted=True),
        status="degraded",
        reason="page_restricted",
        fails={"page_restricted": "Meta Business Suite"},
        remedy=_page(restricted=False),
    ),
    "message access was switched off": Row(
        cause=_page(messages_allowed=False),
        status="degraded",
        reason="messages_not_allowed",
        fails={"message_access": "Switch messages on"},
        remedy=_page(messages_allowed=True),
        holds=False,
    ),
    "the Page was connected at Facebook": Row(
        cause=_connect_at_facebook,
        status="disconnected",
        reason="app_removed",
        fails={
            "token": "Connect",
            "business_integration": "Connect the Page again",
            "connected_by_hand": "through the gateway alone",
        },
        remedy=Town.reauthenticate,
    ),
    "the role on the Page was lost": Row(
        cause=_person(pages={}),
        status="disconnected",
        reason="role_lost",
        fails={"token": "somebody who manages the Page"},
        remedy=_let_somebody_else_log_in,
    ),
}


async def test_whatever_befalls_a_page_is_found_told_and_mended(gateway: Gateway) -> None:
    async with asyncio.TaskGroup() as group:
        for name, row in ROWS.items():
            group.create_task(_play(gateway, row), name=name)


async def _play(gateway: Gateway, row: Row) -> None:
    url = gateway.description["api_url"]
    async with httpx.AsyncClient(base_url=url, timeout=SECONDS, trust_env=False) as browser:
        town = await _town(gateway, browser)
        await row.cause(town)
        status, checks = await town.diagnosis()
        assert status == row.status, checks
        assert {name for name, each in checks.items() if each["result"] == "failed"} == set(
            row.fails
        ), checks
        for name, words in row.fails.items():
            assert words in checks[name]["remedy"], checks[name]
        if row.status != "active":
            told = await town.tenant.event(f"channel.{row.status}")
            assert told["data"]["reason"] == row.reason
            assert told["data"]["remedy"]
        if row.holds:
            for text in ("first", "second"):
                assert (await town.say(text))["hold"] == {"reason": row.reason}
            assert await town.sends() == []
        await row.remedy(town)
        await _works_again(town, row)


async def _town(gateway: Gateway, browser: httpx.AsyncClient) -> Town:
    tenant = await gateway.tenant()
    await tenant.agent()
    number = 10**14 + secrets.randbelow(10**14)
    town = Town(tenant, f"{number}1", f"{number}2", f"{number}3", browser)
    for page_id in (town.page_id, town.other_page):
        page = {"page_id": page_id, "name": f"Page {page_id}"}
        await call(gateway.sandbox, "POST", "/control/pages", page)
    pages: dict[str, list[str]] = {town.page_id: [], town.other_page: []}
    await town.facebook("people", name="Robin", pages=pages)
    (channel,) = await town.connect(town.page_id)
    town.channel = channel["id"]
    town.conversation = (await town.visitor_writes("Hello"))["conversation_id"]
    return town


async def _works_again(town: Town, row: Row) -> None:
    status, checks = await town.diagnosis()
    assert status == "active", checks
    # A subscription that somebody else made is told of once more, and is ours by then.
    results = {name: each["result"] for name, each in checks.items()}
    assert set(results.values()) == {"ok"}, checks
    if not row.holds:
        for text in ("first", "second"):
            await town.say(text)
    conversation = await town.tenant.get(f"/v1/conversations/{town.conversation}")
    test = await town.tenant.post(
        f"/v1/channels/{town.channel}/test-message",
        {"contact_id": conversation["contact"]["id"], "text": "third"},
        expect=202,
    )
    await town.tenant.until(
        f"/v1/messages/{test['id']}", lambda shown: shown["status"] in ("delivered", "read")
    )
    assert await town.sends() == ["first", "second", "third"]
