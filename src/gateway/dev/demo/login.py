"""A Page connected as an administrator connects it: by Facebook Login, in a browser."""

from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from gateway.dev.demo.stage import SECONDS, DemoFailedError, Stage, call

_PERSON: Final = "10000000000000001"
_NAME: Final = "Robin Hale"
_SEE_OTHER: Final = 303


async def connect_page(
    stage: Stage, app_id: str, page_id: str, page_name: str, settings: dict[str, Any]
) -> dict[str, Any]:
    """Let somebody who manages a Page log in and grant it; connect it and return its channel.

    Raises:
        DemoFailedError: The login went another way.
    """
    sandbox = stage.sandbox
    await call(sandbox, "POST", "/control/pages", {"page_id": page_id, "name": page_name})
    person = {"user_id": _PERSON, "name": _NAME, "pages": {page_id: []}}
    await call(sandbox, "POST", "/control/people", person)
    login = await stage.post("/v1/facebook/logins", {"meta_app_id": app_id})
    stage.tell("back end", "began a login by Facebook", login["id"])
    await _go_through(login["url"], page_id)
    granted = await call(stage.api, "GET", f"/v1/facebook/logins/{login['id']}")
    missing = granted["missing_permissions"]
    if granted["state"] != "granted" or missing:
        raise DemoFailedError(f"The login is {granted['state']}, and {missing} is missing.")
    stage.tell("admin", f"{_NAME} granted {page_name}", "on the sandbox's dialog")
    chosen = {"pages": [{"page_id": page_id, **settings}]}
    answer = await stage.post(f"/v1/facebook/logins/{login['id']}/connect", chosen)
    (result,) = answer["data"]
    if result["status"] != "connected":
        raise DemoFailedError(f"The Page was not connected: {result['problem']['detail']}")
    return dict(result["channel"])


async def _go_through(url: str, page_id: str) -> None:
    """Do what a person's browser does: to the dialog, through its form, and back."""
    async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as browser:
        to_dialog = await _follow(browser, "GET", url)
        query = httpx.URL(to_dialog).params
        back = await _follow(
            browser,
            "POST",
            to_dialog,
            data={
                "user_id": _PERSON,
                "page_id": [page_id],
                "scope": query["scope"].split(","),
                "action": "allow",
            },
        )
        page = await browser.get(back)
        if page.is_error:
            raise DemoFailedError(f"{urlsplit(back).path} answered {page.status_code}.")


async def _follow(
    browser: httpx.AsyncClient, method: str, url: str, data: dict[str, Any] | None = None
) -> str:
    answer = await browser.request(method, url, data=data)
    if answer.status_code != _SEE_OTHER:
        raise DemoFailedError(f"{urlsplit(url).path} answered {answer.status_code}.")
    return str(answer.headers["location"])
