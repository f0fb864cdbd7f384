"""A person with a browser who logs in by Facebook: the gateway's pages on one side, the sandbox's
dialog on the other."""

import re
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
from tests.support.api import META_APP, Api, Caller

SCOPES: Final = (
    "pages_messaging",
    "pages_show_list",
    "pages_read_engagement",
    "pages_manage_metadata",
)


class Browser:
    """Follows redirects by hand, and keeps the gateway's cookies as a browser would."""

    def __init__(self, gateway: httpx.AsyncClient, sandbox: httpx.AsyncClient) -> None:
        self._gateway = gateway
        self._sandbox = sandbox
        self.cookies: dict[str, str] = {}
        self.set_cookie = ""

    async def open(self, url: str) -> httpx.Response:
        """Open an address of the gateway and return its answer, whatever it is."""
        return await self._to_gateway("GET", url)

    async def begin(self, url: str) -> dict[str, str]:
        """Begin a login; return what the dialog is asked."""
        answer = await self.open(url)
        assert answer.status_code == 303, answer.text
        self.dialog = answer.headers["location"]
        return {name: values[0] for name, values in parse_qs(urlsplit(self.dialog).query).items()}

    async def choose(
        self,
        user_id: str,
        *,
        pages: tuple[str, ...] = (),
        scopes: tuple[str, ...] = SCOPES,
        action: str = "allow",
    ) -> str:
        """Choose in the dialog; return the address that it sends the browser to."""
        parts = urlsplit(self.dialog)
        form: dict[str, Any] = {
            "user_id": user_id,
            "action": action,
            "scope": scopes,
            "page_id": pages,
        }
        answer = await self._sandbox.post(f"{parts.path}?{parts.query}", data=form)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def log_in(self, url: str, user_id: str, **choice: Any) -> httpx.Response:
        """Go the whole way; return the page that the gateway shows in the end."""
        await self.begin(url)
        return await self.open(await self.choose(user_id, **choice))

    async def submit(self, page: httpx.Response, **fields: Any) -> httpx.Response:
        """Send the form of a page with what is filled in."""
        action = re.search(r'<form method="post" action="([^"]+)"', page.text)
        token = re.search(r'name="form_token" value="([^"]+)"', page.text)
        assert action
        assert token
        data = {"form_token": token[1], **fields}
        return await self._to_gateway("POST", action[1], data=data)

    async def _to_gateway(self, method: str, url: str, **more: Any) -> httpx.Response:
        parts = urlsplit(url)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookies} if cookies else {}
        address = parts.path + (f"?{parts.query}" if parts.query else "")
        answer = await self._gateway.request(method, address, headers=headers, **more)
        # Its own jar would share them among all browsers.
        self._gateway.cookies.clear()
        for line in answer.headers.get_list("set-cookie"):
            self.set_cookie = line
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer


async def connected_by_login(api: Api, caller: Caller, person: str, page_id: str) -> str:
    """Let a person who manages a new Page log in and grant it; connect it, return its channel."""
    await api.page(page_id, name="Acme")
    await api.sandbox.post(
        "/control/people", json={"user_id": person, "name": "Robin", "pages": {page_id: []}}
    )
    login = (await caller.post("/v1/facebook/logins", {"meta_app_id": META_APP})).json()
    await Browser(api.client, api.sandbox).log_in(login["url"], person, pages=(page_id,))
    made = await caller.post(
        f"/v1/facebook/logins/{login['id']}/connect", {"pages": [{"page_id": page_id}]}
    )
    (result,) = made.json()["data"]
    return str(result["channel"]["id"])
