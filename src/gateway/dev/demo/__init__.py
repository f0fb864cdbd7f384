"""Conversations played through the public interface, told line by line as they happen.

Everything here is what a back end would do: REST calls, and the events feed to see what came of
them. The visitors' part is played through the sandbox.
"""

from dataclasses import dataclass

import httpx
from rich.console import Console

from gateway.dev.demo.messenger import PAGE_ID, VISITOR, MessengerPlay
from gateway.dev.demo.stage import SECONDS, DemoFailedError, Stage, bearer, call
from gateway.dev.demo.telling import Teller
from gateway.dev.demo.third_party import ThirdPartyPlay

__all__ = ["PAGE_ID", "VISITOR", "Demo", "DemoFailedError"]


@dataclass(slots=True)
class Demo:
    """The plays, and the gateway that they are played on."""

    console: Console
    api_url: str
    sandbox_url: str
    admin_key: str
    app_id: str

    async def play(self) -> str:
        """Play the conversations and return the account's API key.

        Raises:
            DemoFailedError: Something did not happen within half a minute.
        """
        tell = Teller(self.console)
        async with self._client(self.api_url, self.admin_key) as admin:
            key = await _account(admin, tell)
        async with (
            self._client(self.api_url, key) as api,
            self._client(self.sandbox_url, None) as sandbox,
        ):
            stage = Stage(api, sandbox, tell)
            await MessengerPlay(stage, self.app_id).run()
            await ThirdPartyPlay(stage, self.sandbox_url).run()
        return key

    def _client(self, url: str, key: str | None) -> httpx.AsyncClient:
        headers = {} if key is None else bearer(key)
        return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=SECONDS)


async def _account(admin: httpx.AsyncClient, tell: Teller) -> str:
    account = await call(admin, "POST", "/v1/accounts", {"name": "Demo Ltd"})
    key = await call(
        admin,
        "POST",
        f"/v1/accounts/{account['id']}/api-keys",
        {"name": "demo", "scopes": ["read", "write", "send", "admin"]},
    )
    tell("back end", "made an account and an API key", account["id"])
    return str(key["secret"])
