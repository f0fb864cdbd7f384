"""Names to addresses, within a budget, without letting slow names hold up the others."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_address
from typing import Final, Protocol

from gateway.net.addresses import Address

LOOKUP_BUDGET: Final = timedelta(seconds=3)


class LookupFailedError(Exception):
    """A name has no address, or none that could be had in time."""

    def __init__(self, *, timed_out: bool = False) -> None:
        super().__init__("timed out" if timed_out else "no address")
        self.timed_out = timed_out


class Resolver(Protocol):
    """Finds the addresses of a name."""

    async def resolve(self, host: str) -> list[Address]:
        """Return all addresses, IPv4 and IPv6.

        Raises:
            LookupFailedError: There is none, or none in time.
        """
        ...


class SystemResolver:
    """Asks the system's resolver in threads of its own.

    A lookup that hangs keeps its thread until the system gives up, so all who ask for one name
    share one lookup: slow names hold no more threads than there are of them.
    """

    def __init__(
        self,
        *,
        threads: int,
        look_up: Callable[[str], list[Address]] | None = None,
        budget: timedelta = LOOKUP_BUDGET,
    ) -> None:
        """Take how many lookups run at once, and how long one may take.

        `look_up` runs in a thread; None asks the system.
        """
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="resolver")
        self._look_up = look_up or _look_up
        self._budget = budget
        self._running: dict[str, asyncio.Future[list[Address]]] = {}

    async def resolve(self, host: str) -> list[Address]:
        """Return all addresses of a name."""
        running = self._running.get(host)
        if running is None:
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._executor, self._look_up, host)
            self._running[host] = running
            running.add_done_callback(lambda done: self._forget(host, done))
        try:
            async with asyncio.timeout(self._budget.total_seconds()):
                return await asyncio.shield(running)
        except TimeoutError as error:
            raise LookupFailedError(timed_out=True) from error
        except (OSError, UnicodeError) as error:
            raise LookupFailedError from error

    def close(self) -> None:
        """Stop without waiting for lookups that hang."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _forget(self, host: str, done: asyncio.Future[list[Address]]) -> None:
        del self._running[host]
        if not done.cancelled():
            # Whoever asked may have given up; the failure is nobody's surprise then.
            done.exception()


def _look_up(host: str) -> list[Address]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(str(entry[4][0]) for entry in found)
    # A link-local answer carries its zone, which the tables need not know.
    return [ip_address(text.partition("%")[0]) for text in texts]
