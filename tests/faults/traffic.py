"""People who write and back ends that answer: what a gateway is for, at a steady rate.

Everything goes through the public interface of a running gateway and is written into the ledger.
Whoever is not answered, or not as hoped, tries again, as Meta and a careful back end do.
"""

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field

import httpx
from tests.faults.back_end import BackEnd
from tests.faults.cast import Cast, Contact, gather_cast
from tests.faults.deployment import Deployment
from tests.faults.ledger import Ledger
from tests.faults.postings import Post, Posting, Said

# What may be posted again later.
_REMEMBERED = 5_000
_OUTSTANDING = 256
_MOST_ITEMS = 5


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of what.

    Attributes:
        contacts: People who write, spread over all channels; an account's agent has room for a
            thousand.
        accounts: Each has an agent, a back end and so many `pages`.
        third_party: The first account has a third-party channel too.
        rate: Webhooks a second, repeats among them.
        repeated: The share of webhooks that bring again what was brought before: the same body at
            the same time or later, or the items of two earlier bodies in a new one.
        several: The share of bodies with several items, of several conversations and Pages.
        answered: The share of messages that a back end answers.
        closed: The share of answers after which the back end closes the enquiry.
    """

    contacts: int = 2_000
    accounts: int = 4
    pages: int = 2
    third_party: bool = True
    rate: float = 60.0
    repeated: float = 0.30
    several: float = 0.15
    answered: float = 0.3
    closed: float = 0.03
    seed: int = 1


@dataclass
class Traffic:
    """`prepare` first, then `run`, as often as wanted."""

    deployment: Deployment
    ledger: Ledger
    plan: Plan = field(default_factory=Plan)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.plan.seed)
        self.cast = Cast()
        self._free: list[Contact] = []
        self._under_way: dict[int, Posting] = {}
        self._taken: deque[Posting] = deque(maxlen=_REMEMBERED)
        self._spoken: dict[str, set[tuple[str, str]]] = {}
        self._back_ends: dict[str, BackEnd] = {}

    async def prepare(self) -> None:
        """Make accounts, channels and people; the gateway must be well while this runs."""
        plan = self.plan
        self.cast = await gather_cast(
            self.deployment,
            self.ledger,
            contacts=plan.contacts,
            accounts=plan.accounts,
            pages=plan.pages,
            third_party=plan.third_party,
        )
        self._free = list(self.cast.contacts)
        self._spoken = {account.id: set() for account in self.cast.accounts}
        self._back_ends = {
            account.id: BackEnd(
                account,
                self.cast.channels,
                self.ledger,
                answered=plan.answered,
                closed=plan.closed,
                chance=self._chance,
            )
            for account in self.cast.accounts
        }

    async def run(
        self,
        *,
        webhooks: int,
        until: asyncio.Event | None = None,
        written: asyncio.Event | None = None,
        patience: float = 60.0,
    ) -> None:
        """Post so many webhooks, or until an event; return when all is answered and heard.

        `written` is set as soon as the last webhook has been taken.
        What the feed still has not told when it was silent for `patience` seconds is left to the
        checker to find.
        """
        limits = httpx.Limits(max_connections=_OUTSTANDING + 64, max_keepalive_connections=64)
        async with (
            httpx.AsyncClient(
                base_url=self.deployment.api_url, limits=limits, trust_env=False
            ) as client,
            asyncio.TaskGroup() as group,
        ):
            post = Post(self.deployment, self.ledger, client)
            following = [group.create_task(each.run(client)) for each in self._back_ends.values()]
            await self._write(post, webhooks, until)
            if written is not None:
                written.set()
            for account_id, back_end in self._back_ends.items():
                await back_end.until_heard(self._spoken[account_id], patience=patience)
            for task in following:
                task.cancel()

    async def _write(self, post: Post, webhooks: int, until: asyncio.Event | None) -> None:
        loop = asyncio.get_running_loop()
        room = asyncio.Semaphore(_OUTSTANDING)
        pause, due = 1 / self.plan.rate, loop.time()
        async with asyncio.TaskGroup() as group:
            for _ in range(webhooks):
                if until is not None and until.is_set():
                    break
                await room.acquire()
                posting = self._next(post)
                task = group.create_task(self._post(post, posting))
                task.add_done_callback(lambda _: room.release())
                # What a stall has cost is not made up for by a flood.
                due = max(due + pause, loop.time() - 1.0)
                await asyncio.sleep(max(0.0, due - loop.time()))

    def _next(self, post: Post) -> Posting:
        if (self._taken or self._under_way) and self._chance.random() < self.plan.repeated:
            return self._repeat(post)
        if self._free:
            return post.posting(self._say_something(post))
        return self._repeat(post)

    def _say_something(self, post: Post) -> list[Said]:
        first = self._somebody()
        said = [post.say(first)]
        if self._chance.random() < self.plan.several:
            for _ in range(self._chance.randrange(1, _MOST_ITEMS)):
                if self._chance.random() < 0.3 or not self._free:
                    said.append(post.say(first))
                elif (other := self._somebody_like(first)) is not None:
                    said.append(post.say(other))
        return said

    def _repeat(self, post: Post) -> Posting:
        kind = self._chance.random()
        if self._under_way and (kind < 0.3 or not self._taken):
            return post.again(self._chance.choice(list(self._under_way.values())))
        first, second = self._chance.choice(self._taken), self._chance.choice(self._taken)
        alike = first.path == second.path and first is not second
        if kind < 0.5 and alike and first.good == 200:
            return post.posting([*first.said, *second.said], repeats=[first.number, second.number])
        return post.again(first)

    def _somebody(self) -> Contact:
        n = self._chance.randrange(len(self._free))
        self._free[n], self._free[-1] = self._free[-1], self._free[n]
        return self._free.pop()

    def _somebody_like(self, first: Contact) -> Contact | None:
        """Return somebody whose message may stand in the same body."""
        other = self._somebody()
        together = other.channel.kind != "third_party" or other.channel is first.channel
        if together and (first.channel.kind != "third_party" or other.channel is first.channel):
            return other
        self._free.append(other)
        return None

    async def _post(self, post: Post, posting: Posting) -> None:
        if posting.repeats:
            await post.until_taken(posting)
            return
        self._under_way[posting.number] = posting
        await post.until_taken(posting)
        del self._under_way[posting.number]
        self._taken.append(posting)
        for said in posting.said:
            account = said.contact.channel.account.id
            self._spoken[account].add((said.contact.channel.id, said.mid))
        # Only now may they write on: what is overtaken, Meta has not promised to keep in order.
        self._free += dict.fromkeys(said.contact for said in posting.said)
