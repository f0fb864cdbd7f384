"""Who takes part: accounts with an agent, Pages and a third party, and the people who write."""

import asyncio
import itertools
import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx
from tests.e2e.stack import call
from tests.faults.deployment import Deployment
from tests.faults.ledger import Ledger

_AT_ONCE = 16
# The most that an agent can have; who writes beyond that waits, and cannot be answered.
CAPACITY = 1000


@dataclass(frozen=True, kw_only=True)
class Account:
    id: str
    key: str
    agent: str


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A Page, or a third party's channel; then `token` is its incoming token."""

    id: str
    account: Account
    kind: str
    source: str
    token: str = ""


@dataclass(eq=False)
class Contact:
    """A person; `said` counts what they wrote."""

    channel: Channel
    source_id: str
    said: int = 0

    def next_mid(self) -> str:
        self.said += 1
        return f"m_{self.channel.source[-8:]}.{self.source_id}.{self.said}"


@dataclass
class Cast:
    accounts: list[Account] = field(default_factory=list)
    channels: dict[str, Channel] = field(default_factory=dict)
    contacts: list[Contact] = field(default_factory=list)


async def gather_cast(
    deployment: Deployment,
    ledger: Ledger,
    *,
    contacts: int,
    accounts: int,
    pages: int,
    third_party: bool,
) -> Cast:
    """Make the accounts and their channels, and the people whom the sandbox shall know."""
    places_each = pages + third_party
    assert contacts * places_each <= CAPACITY * (accounts * pages + third_party)
    cast = Cast()
    async with (
        httpx.AsyncClient(base_url=deployment.api_url, timeout=30, trust_env=False) as api,
        httpx.AsyncClient(base_url=deployment.sandbox_url, timeout=30, trust_env=False) as sandbox,
    ):
        places: list[tuple[Account, str | None]] = []
        for _ in range(accounts):
            account = await _account(api, deployment)
            ledger.note("account", account=account.id)
            cast.accounts.append(account)
            for _ in range(pages):
                page_id = str(10**15 + secrets.randbelow(9 * 10**15))
                await call(sandbox, "POST", "/control/pages", _sandbox_page(page_id))
                places.append((account, page_id))
            if third_party and account is cast.accounts[0]:
                places.append((account, None))
        people: dict[str | None, list[str]] = {}
        for n, (_, place) in zip(range(contacts), itertools.cycle(places), strict=False):
            people.setdefault(place, []).append(str(7 * 10**9 + n))
        # Before the Pages are subscribed: so the sandbox knows who wrote, and tells nobody.
        await _meet(sandbox, people)
        for number, (account, place) in enumerate(places):
            channel = await _channel(api, deployment, account, place, greets=number % 2 == 0)
            cast.channels[channel.id] = channel
            ledger.note(
                "channel",
                account=account.id,
                channel=channel.id,
                channel_kind=channel.kind,
                source=channel.source,
            )
            cast.contacts += [Contact(channel, each) for each in people.get(place, ())]
    return cast


async def _account(api: httpx.AsyncClient, deployment: Deployment) -> Account:
    admin = deployment.admin_key
    made = await call(
        api,
        "POST",
        "/v1/accounts",
        {"name": "Faults", "concurrent_contacts_limit": 1_000_000},
        admin,
    )
    key = await call(
        api,
        "POST",
        f"/v1/accounts/{made['id']}/api-keys",
        {"name": "all", "scopes": ["read", "write", "send", "admin"]},
        admin,
    )
    agent = await call(
        api, "POST", "/v1/agents", {"first_name": "Ada", "capacity": CAPACITY}, key["secret"]
    )
    presence = f"/v1/agents/{agent['id']}/presence"
    await call(api, "PUT", presence, {"state": "active"}, key["secret"])
    return Account(id=made["id"], key=key["secret"], agent=agent["id"])


def _token(page_id: str) -> str:
    return f"EAAfaults{page_id}"


def _sandbox_page(page_id: str) -> dict[str, Any]:
    return {"page_id": page_id, "name": f"Page {page_id}", "access_token": _token(page_id)}


async def _meet(sandbox: httpx.AsyncClient, people: dict[str | None, list[str]]) -> None:
    waiting = [
        f"/control/pages/{page_id}/visitors/{psid}"
        for page_id, psids in people.items()
        if page_id is not None
        for psid in psids
    ]

    async def work() -> None:
        while waiting:
            path = waiting.pop()
            await call(sandbox, "POST", f"{path}/messages", {"text": "hello"})
            # One in four looks at the answers at once.
            if path.endswith(("0", "4", "8")):
                await call(sandbox, "POST", path, {"open": True})

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work())


async def _channel(
    api: httpx.AsyncClient,
    deployment: Deployment,
    account: Account,
    page_id: str | None,
    *,
    greets: bool,
) -> Channel:
    body: dict[str, Any] = {
        "name": "Faults",
        "messages": {"welcome": {"enabled": greets}},
        "routing": {
            "rule": "alternative",
            "destinations": [{"id": account.agent, "timeout_seconds": 86_400}],
            "waiting_limit_seconds": 86_400,
        },
    }
    if page_id is None:
        name = f"faults-{account.id[-12:]}"
        webhook = f"{deployment.sandbox_url}/third-party/{name}/webhook"
        body |= {
            "kind": "third_party",
            "source": {"source_name": "Faults", "outgoing_webhook_url": webhook},
        }
        made = await call(api, "POST", "/v1/channels", body, account.key)
        token = made["source"]["incoming_token"]
        return Channel(
            id=made["id"], account=account, kind="third_party", source=made["id"], token=token
        )
    body |= {
        "kind": "messenger",
        "meta_app_id": deployment.app_id,
        "source": {"page_id": page_id, "page_access_token": _token(page_id)},
    }
    made = await call(api, "POST", "/v1/channels", body, account.key)
    return Channel(id=made["id"], account=account, kind="messenger", source=page_id)
