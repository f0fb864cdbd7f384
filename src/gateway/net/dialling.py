"""Dials a host, by its name or by an address that somebody chose."""

import asyncio
import socket
from asyncio.staggered import staggered_race
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import chain, zip_longest
from typing import Any, Final, TypeAlias

from gateway.net.addresses import Address

_NEXT_ADDRESS_SECONDS: Final = 0.25
_IPV4: Final = 4

# What `getaddrinfo` returns; the last is an address as `connect` takes it.
_AddressInfo: TypeAlias = tuple[int, int, int, str, Any]

# Connects to a host and a port; raises OSError.
Dial: TypeAlias = Callable[[str, int], Awaitable[socket.socket]]


async def dial(host: str, port: int) -> socket.socket:
    """Connect to a host and return the socket of the first of its addresses that answers.

    They are tried by turns of their families, each a little after the one before.

    Raises:
        OSError: It has no address, or none takes a connection.
    """
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    attempts = [partial(_dial_one, info) for info in _interleaved(infos)]
    dialled: socket.socket | None
    dialled, _, errors = await staggered_race(attempts, _NEXT_ADDRESS_SECONDS)
    if dialled is None:
        raise next((each for each in errors if each is not None), OSError("no address"))
    return dialled


async def dial_address(address: Address, port: int) -> socket.socket:
    """Connect to an address.

    Raises:
        OSError: It takes no connection.
    """
    family = socket.AF_INET if address.version == _IPV4 else socket.AF_INET6
    return await _dial_one(
        (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port))
    )


async def _dial_one(info: _AddressInfo) -> socket.socket:
    family, kind, protocol, _, address = info
    dialled = socket.socket(family, kind, protocol)
    try:
        dialled.setblocking(False)  # noqa: FBT003 - the standard library's signature
        dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(dialled, address)
    except BaseException:
        dialled.close()
        raise
    return dialled


def _interleaved(infos: Iterable[_AddressInfo]) -> list[_AddressInfo]:
    """Return addresses by turns of their families, the resolver's first choice first."""
    families: dict[int, list[_AddressInfo]] = {}
    for info in infos:
        families.setdefault(info[0], []).append(info)
    return [info for info in chain.from_iterable(zip_longest(*families.values())) if info]
