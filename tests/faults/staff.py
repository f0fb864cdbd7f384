"""People at desks: they take what they are offered, or do not, and end it after a while."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import httpx
from tests.e2e.stack import call
from tests.faults.cast import Account, Channel

_DISTRIBUTIONS: Final = ("simultaneous", "round_robin", "most_idle", "fixed_order")
_ACTS: Final = ("accept", "accept", "accept", "reject", "forget")
_PAUSE_SECONDS: Final = 0.5
_MOST_AT_ONCE: Final = 200
_HANDS: Final = 8
_SETTLED: Final = (httpx.codes.OK, httpx.codes.CONFLICT)
# So that much of what comes meets somebody, and some of it nobody.
_OFFER_SECONDS: Final = 6
WAITING_SECONDS: Final = 10


@dataclass
class Staff:
    """An account's agents and teams, who share out all that comes in.

    Attributes:
        answers: How often an act was answered by which status.
    """

    account: Account
    channels: list[Channel]
    size: int
    chance: random.Random
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    agents: list[str] = field(default_factory=list)

    async def settle_in(self, client: httpx.AsyncClient) -> None:
        """Make agents and teams, and have every channel ask them, greet and excuse itself."""
        self._client = client
        for _ in range(self.size):
            body = {"first_name": "Ada", "capacity": 8}
            self.agents.append((await self._post("/v1/agents", body))["id"])
        for agent in self.agents:
            await self._show(agent, "active")
        teams = []
        for n, distribution in enumerate(_DISTRIBUTIONS):
            members = self.agents[n * self.size // 5 : (n + 2) * self.size // 5]
            body = {
                "name": distribution,
                "distribution": distribution,
                "agent_ids": members,
                "agent_timeout_seconds": _OFFER_SECONDS // 2,
            }
            teams.append((await self._post("/v1/teams", body))["id"])
        for channel, rule in zip(self.channels, self._rules(teams) * 2, strict=False):
            routing = rule | {"waiting_limit_seconds": WAITING_SECONDS}
            await self._call("PUT", f"/v1/channels/{channel.id}/routing", routing)
            automatic = {"enabled": True, "text": "Good day, {contact_name}."}
            messages = {"messages": {"welcome": automatic, "away": automatic}}
            await self._call("PATCH", f"/v1/channels/{channel.id}", messages)

    async def work(self, over: asyncio.Event) -> None:
        """Take, refuse, forget and end enquiries, come and go, until it is over."""
        async with asyncio.TaskGroup() as group:
            for what in (self._answer_offers, self._end_some, self._come_and_go):
                group.create_task(_repeat(what, over))

    async def finish(self) -> None:
        """Come back, take what is offered, end what runs; return when nobody waits any more."""
        await self._at_once(partial(self._show, agent, "active") for agent in self.agents)
        async with asyncio.timeout(24 * WAITING_SECONDS):
            while await self._list("offered") or await self._list("open"):
                await self._answer_offers(["accept"])
                await self._close(await self._list("ongoing"))
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _answer_offers(self, acts: Sequence[str] = _ACTS) -> None:
        answers = []
        for enquiry in await self._list("offered"):
            offers = [each for each in enquiry["offers"] if each["status"] == "pending"]
            act = self.chance.choice(acts)
            if offers and act != "forget":
                by = {"agent_id": self.chance.choice(offers)["agent_id"]}
                answers.append(partial(self._act, enquiry["id"], act, by))
        await self._at_once(answers)

    async def _end_some(self) -> None:
        ongoing = await self._list("ongoing")
        await self._close([each for each in ongoing if self.chance.random() < 0.3])

    async def _come_and_go(self) -> None:
        state = self.chance.choice(["active", "active", "idle", "busy", "offline"])
        await self._show(self.chance.choice(self.agents), state)

    async def _close(self, enquiries: Iterable[dict[str, Any]]) -> None:
        await self._at_once(partial(self._act, each["id"], "close", {}) for each in enquiries)

    async def _at_once(self, acts: Iterable[Callable[[], Awaitable[None]]]) -> None:
        hands = asyncio.Semaphore(_HANDS)

        async def do(act: Callable[[], Awaitable[None]]) -> None:
            async with hands:
                await act()

        async with asyncio.TaskGroup() as group:
            for act in acts:
                group.create_task(do(act))

    def _rules(self, teams: list[str]) -> list[dict[str, Any]]:
        at_once, in_turn, idlest, in_order = teams
        listed = [{"id": team, "timeout_seconds": _OFFER_SECONDS} for team in (at_once, in_turn)]
        shared = [
            {"id": team, "share": share, "timeout_seconds": _OFFER_SECONDS}
            for team, share in ((idlest, 60), (in_order, 40))
        ]
        sticky = {"sticky": {"enabled": True, "valid_hours": 1}}
        return [
            {"rule": "alternative", "destinations": listed, **sticky},
            {"rule": "percentage", "destinations": shared},
        ]

    async def _list(self, status: str) -> list[dict[str, Any]]:
        path = f"/v1/enquiries?status={status}&limit={_MOST_AT_ONCE}"
        return list((await self._call("GET", path))["data"])

    async def _act(self, enquiry_id: str, act: str, body: dict[str, Any]) -> None:
        path = f"/v1/enquiries/{enquiry_id}/{act}"
        answer = await self._client.post(path, json=body, headers=self._key)
        # A dead router's transaction may hold the enquiry until its connection is seen to be gone.
        while answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            await asyncio.sleep(_PAUSE_SECONDS)
            answer = await self._client.post(path, json=body, headers=self._key)
        # What has gone on meanwhile is refused.
        assert answer.status_code in _SETTLED, answer.text
        self.answers[act, answer.status_code] += 1

    async def _show(self, agent: str, state: str) -> None:
        await self._call("PUT", f"/v1/agents/{agent}/presence", {"state": state})

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        return await self._call("POST", path, body)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return await call(self._client, method, path, body, self.account.key)

    @property
    def _key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.account.key}"}


async def _repeat(what: Callable[[], Awaitable[None]], over: asyncio.Event) -> None:
    while not over.is_set():
        await what()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_SECONDS):
                await over.wait()
