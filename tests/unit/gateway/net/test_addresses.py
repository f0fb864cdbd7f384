"""Addresses that customers must not make the gateway call, in every form we know."""

import asyncio
import contextlib
import socket
import threading
from datetime import timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import AddressNotAllowedError, InvalidFieldsError
from gateway.net.addresses import is_denied, parse_literal
from gateway.net.egress import Egress
from gateway.net.places import EgressPolicy, read_place
from gateway.net.resolver import LookupFailedError, SystemResolver

# To ask the kernel which addresses are its own, a socket is made that sends nothing.
pytestmark = pytest.mark.enable_socket

POLICY = EgressPolicy(ports=frozenset({443, 8443}))
PUBLIC = "93.184.216.34"

DENIED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.1.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::169.254.169.254",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::10.1.2.3",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2002:808:808::",
    "2620:4f:8000::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "198.17.255.255",
    "198.20.0.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2001:4860:4860::8888",
]


@pytest.mark.parametrize("text", DENIED)
def test_denied_addresses(text):
    assert is_denied(ip_address(text))


@pytest.mark.parametrize("text", ALLOWED)
def test_allowed_addresses(text):
    assert not is_denied(ip_address(text))


@given(st.ip_addresses(v=4))
def test_an_address_is_judged_alike_in_all_the_forms_that_reach_it(address):
    denied = is_denied(address)
    assert is_denied(ip_address(f"::ffff:{address}")) == denied
    assert is_denied(ip_address(f"64:ff9b::{address}")) == denied
    # No form that is out of use gets anywhere.
    assert is_denied(ip_address(f"::{address}"))


UNUSUAL = [
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.1",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "127.0.0.1.",
    "192.168.257",
    "1",
    "0",
    "0x",
    "8.8.8",
    "08.8.8.8",
]


@pytest.mark.parametrize("host", UNUSUAL)
def test_numbers_in_unusual_forms_are_no_names(host):
    if host == "127.0.0.1.":
        # The dot at the end is taken off before.
        assert str(parse_literal("127.0.0.1")) == "127.0.0.1"
        return
    with pytest.raises(ValueError, match="unusual"):
        parse_literal(host)


def test_names_are_names():
    for host in ("example.com", "1and1.example", "a1", "0x7f.example", "xn--bcher-kva.example"):
        assert parse_literal(host) is None


class Names:
    """A resolver that knows some names."""

    def __init__(self, **names: str) -> None:
        self.names = {name.replace("_", "."): text.split() for name, text in names.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str):
        self.asked.append(host)
        if host not in self.names:
            raise LookupFailedError
        return [ip_address(text) for text in self.names[host]]


NAMES = Names(
    good_example=PUBLIC,
    both_example=f"{PUBLIC} 2606:4700::1111",
    mixed_example=f"{PUBLIC} 127.0.0.1",
    inner_example="10.0.0.5",
    v6only_example="::ffff:192.168.0.1",
    localhost="127.0.0.1 ::1",
    metadata_google_internal="169.254.169.254",
)

INVALID = [
    "",
    "   ",
    "good.example/hook",
    "//good.example/hook",
    "http://good.example/hook",
    "ftp://good.example/",
    "file:///etc/passwd",
    "gopher://good.example/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "https:///hook",
    "https://",
    "https://user@good.example/",
    "https://user:secret@good.example/",
    "https://@good.example/",
    "https://good.example@127.0.0.1/",
    "https://good.example\\@127.0.0.1/",
    "https://127.0.0.1:443@good.example/",
    "https://good.example:port/",
    "https://good.example:443:443/",
    "https://good .example/",
    "https://good%2eexample/",
    "https://good.example\r\nX: y/",
    "https://good.example\t/",
    "https://good.example/\0",
    "https://[::1/",
    "https://[::1]x/",
    "https://[good.example]/",
    "https://-good.example/",
    "https://good-.example/",
    "https://good..example/",
    "https://①②⑦.⓪.⓪.①/",
    "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 130 + "example/",
    "https://good.example/" + "a" * 2048,
]
NOT_ALLOWED = [
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://999.1.1.1/",
    "https://0177.0.0.1:443/",
    "https://0/",
    "https://127。0。0。1/",
    "https://127\uff0e0\uff0e0\uff0e1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:7f00:1::]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1]/",
    "https://[fd00:ec2::254]/",
    "https://169.254.169.254/latest/meta-data/",
    "https://10.0.0.1/",
    "https://192.168.0.1/",
    "https://100.100.100.200/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://inner.example/",
    "https://INNER.example./",
    "https://mixed.example/",
    "https://v6only.example/",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://unknown.example/",
    "https://good.example:22/",
    "https://good.example:80/",
    "https://good.example:6379/",
    "https://good.example:0/",
    "https://good.example:-1/",
    "https://good.example:99999/",
    "https://good.example:443443/",
]
GOOD = [
    "https://good.example/hook",
    "https://good.example",
    "https://GOOD.example./hook?x=1#y",
    "https://good.example:443/",
    "https://good.example:8443/",
    "https://both.example/",
    f"https://{PUBLIC}/",
    "https://[2606:4700::1111]/",
    "HTTPS://good.example/",
]


@pytest.fixture
def egress():
    return Egress(POLICY, resolver=NAMES)


def test_there_are_forms_enough():
    assert len(INVALID) + len(NOT_ALLOWED) >= 60


@pytest.mark.parametrize("url", INVALID)
async def test_what_is_no_address_is_invalid(egress, url):
    with pytest.raises(InvalidFieldsError) as refusal:
        await egress.check_address(url, pointer="/source/outgoing_webhook_url")
    assert type(refusal.value) is InvalidFieldsError
    assert refusal.value.faults[0].pointer == "/source/outgoing_webhook_url"


@pytest.mark.parametrize("url", NOT_ALLOWED)
async def test_what_leads_where_we_must_not_go_is_refused(egress, url):
    with pytest.raises(AddressNotAllowedError) as refusal:
        await egress.check_address(url)
    assert refusal.value.faults[0].pointer == "/url"
    # What the name resolves to is not the asker's business.
    for inner in ("10.0.0.5", "169.254.169.254", "192.168"):
        if inner not in url:
            assert inner not in refusal.value.detail


@pytest.mark.parametrize("url", GOOD)
async def test_public_addresses_pass(egress, url):
    await egress.check_address(url)


async def test_this_machines_own_addresses_are_refused():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("no route anywhere")
        own = probe.getsockname()[0]
    egress = Egress(POLICY, resolver=Names(own_example=own))
    with pytest.raises(AddressNotAllowedError):
        await egress.check_address("https://own.example/")


async def test_laptops_may_call_themselves_and_nobody_else_inside():
    egress = Egress(EgressPolicy(ports=frozenset({443}), allow_loopback=True), resolver=NAMES)
    for url in ("http://127.0.0.1:8080/x", "http://localhost:1/", "https://[::1]:9/"):
        await egress.check_address(url)
    for url in ("http://10.0.0.1/", "https://inner.example/", "http://169.254.169.254/"):
        with pytest.raises(AddressNotAllowedError):
            await egress.check_address(url)


async def test_behind_a_proxy_names_are_the_business_of_the_proxy_and_literals_are_not():
    names = Names()
    egress = Egress(POLICY, resolver=names, proxy_url="http://proxy.example:4750")
    await egress.check_address("https://anything.example/")
    assert names.asked == []
    with pytest.raises(AddressNotAllowedError):
        await egress.check_address("https://127.0.0.1/")


@given(st.text(max_size=60))
def test_no_url_is_too_odd(text):
    for url in (text, f"https://{text}", f"https://{text}/x"):
        with contextlib.suppress(InvalidFieldsError):
            read_place(url, POLICY, pointer="/url")


@given(
    st.from_regex(r"https?://[a-z0-9.:@\[\]%\\/]{1,30}", fullmatch=True),
)
def test_what_is_read_is_what_is_checked(url):
    """No text gets past that a lenient reader would take somewhere else."""
    try:
        place = read_place(url, POLICY, pointer="/url")
    except InvalidFieldsError:
        return
    assert "@" not in url.split("//")[1].split("/")[0]
    assert place.scheme == "https"
    assert place.port in POLICY.ports


class SlowNames:
    """Looks up in a thread, once the test lets it."""

    def __init__(self) -> None:
        self.lookups: list[str] = []
        self.started = asyncio.Event()
        self._may_end = threading.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, host):
        self.lookups.append(host)
        self._loop.call_soon_threadsafe(self.started.set)
        assert self._may_end.wait(10)
        return [ip_address(PUBLIC)]

    def end(self):
        self._may_end.set()


async def test_all_who_ask_for_a_name_share_one_lookup():
    slow = SlowNames()
    resolver = SystemResolver(threads=2, look_up=slow)
    first = asyncio.ensure_future(resolver.resolve("slow.example"))
    await slow.started.wait()
    second = asyncio.ensure_future(resolver.resolve("slow.example"))
    await asyncio.sleep(0)
    slow.end()
    assert await first == await second == [ip_address(PUBLIC)]
    assert slow.lookups == ["slow.example"]
    resolver.close()


async def test_a_lookup_that_hangs_costs_its_budget_and_one_thread():
    slow = SlowNames()
    resolver = SystemResolver(threads=2, look_up=slow, budget=timedelta(milliseconds=20))
    for _ in range(3):
        with pytest.raises(LookupFailedError) as failure:
            await resolver.resolve("slow.example")
        assert failure.value.timed_out
    assert slow.lookups == ["slow.example"]
    slow.end()
    resolver.close()


async def test_a_name_without_an_address_fails():
    def nothing(_host):
        raise OSError("no such name")

    resolver = SystemResolver(threads=1, look_up=nothing)
    with pytest.raises(LookupFailedError) as failure:
        await resolver.resolve("none.example")
    assert not failure.value.timed_out
    resolver.close()
