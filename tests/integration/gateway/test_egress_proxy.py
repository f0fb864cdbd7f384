"""Calls through the operator's proxy: tunnels, forwarding, refusals, and who is called without."""

import asyncio
import base64
import ipaddress
import ssl
from datetime import timedelta

import pytest
from tests.support import misbehave
from tests.support.certificates import server_context
from tests.support.proxy import ConnectProxy
from tests.support.receiver import Receiver

from gateway.net.egress import Egress, UnreachableError
from gateway.net.operator_http import operator_http_client
from gateway.net.places import EgressPolicy
from gateway.net.resolver import LookupFailedError

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1", "::1"])]

LAPTOP = EgressPolicy(ports=frozenset({443}), allow_loopback=True)
PLENTY = timedelta(seconds=10)


class NoNames:
    """What the proxy resolves nobody else does."""

    async def resolve(self, _host):
        raise LookupFailedError


class OnlyProxy:
    async def resolve(self, host):
        assert host == "proxy.example"
        return [ipaddress.ip_address("127.0.0.1")]


async def post(egress, url):
    return await egress.post(url, headers={"X-One": "1"}, body=b'{"a":1}', budget=PLENTY)


async def test_https_goes_through_a_tunnel_to_a_host_whose_certificate_is_verified(tmp_path):
    context, pem = server_context(tmp_path, "name.example")
    heads = []

    async def serve(reader, writer):
        try:
            while True:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(7)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    trusting = ssl.create_default_context()
    trusting.load_verify_locations(cadata=pem)
    async with ConnectProxy() as proxy:
        egress = Egress(
            LAPTOP,
            resolver=NoNames(),
            ssl_context=trusting,
            proxy_url=f"http://127.0.0.1:{proxy.port}",
        )
        for _ in range(2):
            answer = await post(egress, f"https://name.example:{port}/hook")
            assert (answer.status, answer.body) == (200, b"ok")
        # One tunnel for both.
        assert proxy.asked == [f"CONNECT name.example:{port}"]
        assert all(head.startswith(b"POST /hook HTTP/1.1") for head in heads)
        assert f"host: name.example:{port}".encode() in heads[0].lower()
        with pytest.raises(UnreachableError):
            await post(egress, f"https://other.example:{port}/hook")
        await egress.aclose()
    server.close()


async def test_http_is_forwarded(receiver):
    receiver.always(misbehave.respond(200, b"here"))
    async with ConnectProxy() as proxy:
        egress = Egress(LAPTOP, resolver=NoNames(), proxy_url=f"http://127.0.0.1:{proxy.port}")
        answer = await post(egress, f"http://name.example:{receiver.port}/hook")
        assert answer.body == b"here"
        assert proxy.asked == [f"POST http://name.example:{receiver.port}/hook"]
        (request,) = receiver.requests
        assert request.body == b'{"a":1}'
        assert request.header("Host") == f"name.example:{receiver.port}"
        await egress.aclose()


async def test_what_the_proxy_refuses_left_nothing(receiver):
    async with ConnectProxy() as proxy:
        proxy.denied.add("inner.example")
        egress = Egress(LAPTOP, resolver=NoNames(), proxy_url=f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(UnreachableError):
            await post(egress, f"https://inner.example:{receiver.port}/hook")
        assert len(proxy.asked) == 1
        # Literals are judged before anybody is asked.
        for literal in ("10.0.0.1", "169.254.169.254", "[64:ff9b::a00:1]", "0x0a000001"):
            with pytest.raises(UnreachableError) as failure:
                await post(egress, f"https://{literal}/hook")
            assert failure.value.denied
        assert len(proxy.asked) == 1
        await egress.aclose()
    assert receiver.requests == []


async def test_a_proxy_that_is_away_left_nothing():
    async with ConnectProxy() as proxy:
        port = proxy.port
    egress = Egress(LAPTOP, resolver=NoNames(), proxy_url=f"http://127.0.0.1:{port}")
    with pytest.raises(UnreachableError):
        await post(egress, "https://name.example/hook")
    await egress.aclose()


async def test_the_proxy_is_told_who_we_are_and_nobody_else(receiver):
    basic = "Basic " + base64.b64encode(b"gateway:p@ss").decode()
    async with ConnectProxy(authorization=basic) as proxy:
        url = f"http://gateway:p%40ss@proxy.example:{proxy.port}"
        egress = Egress(LAPTOP, resolver=OnlyProxy(), proxy_url=url)
        assert (await post(egress, f"http://name.example:{receiver.port}/hook")).status == 200
        await egress.aclose()
        unknown = Egress(LAPTOP, resolver=OnlyProxy(), proxy_url=f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(UnreachableError):
            await post(unknown, f"https://name.example:{receiver.port}/hook")
        await unknown.aclose()


@pytest.mark.parametrize("url", ["proxy.example:3128", "socks5://proxy.example", "http://"])
def test_what_is_no_proxy_is_refused_at_the_start(url):
    with pytest.raises(ValueError, match="proxy"):
        Egress(LAPTOP, resolver=NoNames(), proxy_url=url)


async def test_graph_is_called_without_a_proxy(receiver, monkeypatch):
    async with Receiver() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SENDER_PROXY_URL"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with operator_http_client() as client:
            assert (await client.post(receiver.url, content=b"{}")).status_code == 200
        assert proxy.requests == []
    assert len(receiver.requests) == 1
