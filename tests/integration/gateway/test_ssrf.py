"""Sixty and more forms of evil addresses: entered, called, redirected to, and rebound to.

The canary listens on every address of this machine, so that whatever form leads here is heard; and
nothing is dialled at all, so that those that lead elsewhere are, too.
"""

import asyncio
import ipaddress
import socket
import ssl
from datetime import timedelta

import pytest
from tests.support import misbehave
from tests.support.receiver import Receiver

from gateway.errors import InvalidFieldsError
from gateway.net import dialling
from gateway.net import egress as egress_module
from gateway.net.egress import Egress, UnreachableError
from gateway.net.places import EgressPolicy
from gateway.net.resolver import LookupFailedError, SystemResolver

pytestmark = [pytest.mark.enable_socket]

PUBLIC = "93.184.216.34"
BUDGET = timedelta(seconds=5)
# One for all: to read the authorities takes longer than the rest.
CONTEXT = ssl.create_default_context()

# Names, and what they are at present.
NAMES = {
    "localhost": "127.0.0.1 ::1",
    "ip6-localhost": "::1",
    "loop.example": "127.0.0.1",
    "loop6.example": "::1",
    "any.example": "0.0.0.0",
    "any6.example": "::",
    "mapped.example": "::ffff:127.0.0.1",
    "compatible.example": "::127.0.0.1",
    "nat64.example": "64:ff9b::7f00:1",
    "sixtofour.example": "2002:7f00:1::",
    "teredo.example": "2001:0:7f00:1::",
    "inner.example": "10.0.0.5",
    "mixed.example": f"{PUBLIC} 127.0.0.1",
    "mixed6.example": f"{PUBLIC} ::1",
    "127.0.0.1.nip.example": "127.0.0.1",
    "metadata.google.internal": "169.254.169.254",
    "good.example": PUBLIC,
}
LITERALS = [
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7F.0x0.0x0.0x1",
    "0177.0.0.1",
    "017700000001",
    "0",
    "0.0.0.0",
    "0x0",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127\uff0e0\uff0e0\uff0e1",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "169.254.169.254",
    "0251.0376.0251.0376",
    "2852039166",
    "0xa9fea9fe",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "LOCALHOST",
    "localhost.",
    "LoCaLhOsT.",
    "gone.example",
]
DRESSED = [
    "https://good.example@127.0.0.1:{port}/",
    "https://good.example%40127.0.0.1:{port}/",
    "https://good.example\\@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}#@good.example/",
    "https://127.0.0.1:{port}?@good.example/",
    "https://127.0.0.1:{port}\\.good.example/",
    "https://127.0.0.1%00.good.example:{port}/",
    "https://127.0.0.1\t:{port}/",
    "https:127.0.0.1:{port}/",
    "https:///127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/",
    "HTTP://[::1]:{port}/",
    "ws://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_POST",
    "dict://127.0.0.1:{port}/",
    "file://127.0.0.1:{port}/etc/passwd",
]
FORMS = [
    *(f"https://{host}:{{port}}/hook" for host in LITERALS),
    *(f"https://{name}:{{port}}/hook" for name in NAMES if name != "good.example"),
    *DRESSED,
]
# What a name may turn into.
ADDRESSES = sorted(
    {address for text in NAMES.values() for address in text.split()} - {PUBLIC}
    | {host.strip("[]") for host in LITERALS if host.startswith("[") and "%" not in host}
    | {"10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "192.0.0.192"}
    | {"198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "127.0.0.2"}
)


class Names:
    """Knows the names; says of others what it is told, one answer after the other."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def resolve(self, host):
        if host in NAMES:
            return [ipaddress.ip_address(each) for each in NAMES[host].split()]
        if not self.answers:
            raise LookupFailedError
        return self.answers.pop(0)


class Canary:
    """Counts who comes in, on every address of this machine."""

    def __init__(self):
        self.heard = 0

    async def __aenter__(self):
        both = socket.socket(socket.AF_INET6)
        both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        both.bind(("::", 0))
        self._server = await asyncio.start_server(self._hear, sock=both)
        self.port = both.getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _hear(self, _reader, writer):
        self.heard += 1
        writer.close()


@pytest.fixture
async def canary():
    async with Canary() as canary:
        yield canary


@pytest.fixture
def dialled(monkeypatch):
    """Return the addresses that were dialled."""
    seen = []

    async def dial_address(address, port):
        seen.append(str(address))
        return await dialling.dial_address(address, port)

    monkeypatch.setattr(egress_module, "dial_address", dial_address)
    return seen


def _strict(port):
    return EgressPolicy(ports=frozenset({443, port}))


async def _post(egress, url):
    return await egress.post(url, headers={}, body=b"{}", budget=BUDGET)


def test_there_are_sixty_forms_and_more():
    assert len(set(FORMS)) >= 85
    assert len(ADDRESSES) >= 30


async def test_the_canary_hears_what_comes(canary):
    for host in ("127.0.0.1", "127.0.0.2", "::1"):
        _, writer = await asyncio.open_connection(host, canary.port)
        writer.close()
    async with asyncio.timeout(5):
        while canary.heard < 3:  # noqa: ASYNC110 - the server's own callback counts
            await asyncio.sleep(0)


@pytest.mark.parametrize("form", FORMS)
async def test_it_is_neither_taken_nor_called(canary, dialled, form):
    egress = Egress(_strict(canary.port), resolver=Names(), ssl_context=CONTEXT)
    url = form.format(port=canary.port)
    with pytest.raises(InvalidFieldsError):
        await egress.check_address(url)
    with pytest.raises(UnreachableError) as failure:
        await _post(egress, url)
    assert failure.value.denied
    await egress.aclose()
    assert dialled == []
    assert canary.heard == 0


async def test_a_redirect_to_any_of_them_is_not_followed(canary):
    # Where even the loopback is allowed.
    policy = EgressPolicy(ports=frozenset({443}), allow_loopback=True)
    egress = Egress(policy, resolver=Names(), ssl_context=CONTEXT)
    async with Receiver() as receiver:
        for n, form in enumerate(FORMS):
            location = form.format(port=canary.port).encode("ascii", "replace").decode()
            status = (301, 302, 303, 307, 308)[n % 5]
            receiver.then(misbehave.redirect(location.replace("\t", ""), status))
            assert (await _post(egress, receiver.url)).status == status
        assert len(receiver.requests) == len(FORMS)
    await egress.aclose()
    assert canary.heard == 0


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_name_that_turns_into_it_gains_nothing(canary, dialled, address):
    public, evil = ipaddress.ip_address(PUBLIC), ipaddress.ip_address(address)
    url = f"https://rebinding.test:{canary.port}/hook"
    for answer in ([evil], [public, evil], [evil, public]):
        egress = Egress(_strict(canary.port), resolver=Names([public], answer), ssl_context=CONTEXT)
        await egress.check_address(url)
        with pytest.raises(UnreachableError) as failure:
            await _post(egress, url)
        assert failure.value.denied
        await egress.aclose()
    assert dialled == []
    assert canary.heard == 0


async def test_with_the_systems_own_resolver(canary, dialled):
    egress = Egress(_strict(canary.port), resolver=SystemResolver(threads=2), ssl_context=CONTEXT)
    for host in ("localhost", socket.gethostname(), "127.0.0.1", "[::1]"):
        url = f"https://{host}:{canary.port}/"
        with pytest.raises(InvalidFieldsError):
            await egress.check_address(url)
        with pytest.raises(UnreachableError):
            await _post(egress, url)
    await egress.aclose()
    assert dialled == []
    assert canary.heard == 0
