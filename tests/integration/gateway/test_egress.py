"""Calls to customers' addresses: servers that misbehave, canaries that nobody may reach."""

import asyncio
import contextlib
import ipaddress
import resource
import ssl
import time
from datetime import timedelta

import pytest
from tests.support import misbehave
from tests.support.certificates import server_context
from tests.support.receiver import Receiver

from gateway.net.egress import Egress, NoAnswerError, UnreachableError
from gateway.net.places import EgressPolicy
from gateway.net.resolver import LookupFailedError

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1", "::1"])]

HERE = ipaddress.ip_address("127.0.0.1")
PUBLIC = ipaddress.ip_address("93.184.216.34")
LAPTOP = EgressPolicy(ports=frozenset({443}), allow_loopback=True)
BUDGET = timedelta(seconds=0.5)
# Where time is not what is tested.
PLENTY = timedelta(seconds=10)


class Names:
    """Answers one list of addresses after the other, the last one for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    async def resolve(self, _host):
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise LookupFailedError
        return answer


@pytest.fixture
async def egress():
    egress = Egress(LAPTOP, resolver=Names([HERE]))
    yield egress
    await egress.aclose()


async def post(egress, receiver, *, budget=PLENTY, url=None, **more):
    return await egress.post(
        url or receiver.url, headers={"X-One": "1"}, body=b'{"a":1}', budget=budget, **more
    )


async def test_an_answer_comes_back_whatever_its_status(egress, receiver):
    receiver.always(misbehave.respond(503, b"busy", {"Retry-After": "7"}))
    answer = await post(egress, receiver)
    assert (answer.status, answer.body) == (503, b"busy")
    assert answer.header_values("retry-after") == ["7"]
    (request,) = receiver.requests
    assert (request.method, request.target, request.body) == ("POST", "/hook", b'{"a":1}')
    assert request.header("Host") == f"127.0.0.1:{receiver.port}"
    assert request.header("X-One") == "1"


async def test_connections_are_kept_for_one_target_and_not_shared(egress, receiver):
    for _ in range(3):
        await post(egress, receiver, scope="one")
    await post(egress, receiver, scope="two")
    assert [request.connection for request in receiver.requests] == [0, 0, 0, 1]


HOSTILE = {
    "hang": misbehave.hang,
    "drip header": misbehave.drip_header(0.1),
    "drip body": misbehave.drip_body(0.01),
    "endless header": misbehave.endless_header,
    "flood of 100": misbehave.informational_flood,
    "garbage": misbehave.garbage,
    "close": misbehave.close,
    "reset": misbehave.reset,
    "reset in body": misbehave.reset_in_body,
    "101": misbehave.switch_protocols,
    "cut": misbehave.cut(b'{"message_id":'),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_no_answer_ends_in_time_and_its_connection_is_not_used_again(egress, receiver, kind):
    receiver.then(HOSTILE[kind])
    started = time.monotonic()
    with pytest.raises(NoAnswerError):
        await post(egress, receiver, budget=BUDGET)
    assert time.monotonic() - started < BUDGET.total_seconds() + 2
    assert (await post(egress, receiver)).status == 200
    assert receiver.requests[-1].connection == 1


CUT_SHORT = {
    "endless body": misbehave.endless_body,
    "second answer": misbehave.answer_twice,
    "large": misbehave.respond(200, b"x" * 200_000),
}


@pytest.mark.parametrize("kind", CUT_SHORT)
async def test_what_is_unclear_is_not_used_again(egress, receiver, kind):
    receiver.then(CUT_SHORT[kind])
    answer = await post(egress, receiver)
    assert len(answer.body) <= 64 * 1024
    assert (await post(egress, receiver)).body == b""
    assert receiver.requests[-1].connection == 1


async def test_a_packed_answer_is_not_unpacked(egress, receiver):
    receiver.always(misbehave.gzip_bomb(50))
    answer = await post(egress, receiver, budget=timedelta(seconds=5))
    assert answer.body[:2] == b"\x1f\x8b"
    assert len(answer.body) <= 64 * 1024


async def test_five_hundred_hostile_peers_cost_little_memory(egress):
    async with Receiver(misbehave.endless_body) as receiver:

        async def suffer(scope):
            # So many at once are too many for the receiver, too.
            with contextlib.suppress(NoAnswerError, UnreachableError):
                await post(egress, receiver, budget=timedelta(seconds=20), scope=scope)

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async with asyncio.TaskGroup() as group:
            for n in range(500):
                group.create_task(suffer(f"t{n}"))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    # Both ends are in this process.
    assert grown < 256 * 1024


async def test_redirects_are_answers_and_are_not_followed(egress, receiver):
    async with Receiver() as canary:
        receiver.always(misbehave.redirect(canary.url))
        assert (await post(egress, receiver)).status == 307
        assert canary.requests == []


async def test_a_name_that_changes_its_mind_gains_nothing():
    async with Receiver() as canary:
        policy = EgressPolicy(ports=frozenset({canary.port}))
        # Public when it was entered, the loopback when it is called.
        names = Names([PUBLIC], [HERE])
        egress = Egress(policy, resolver=names)
        url = f"https://rebinding.example:{canary.port}/"
        await egress.check_address(url)
        with pytest.raises(UnreachableError) as failure:
            await post(egress, canary, url=url)
        assert failure.value.denied
        assert canary.requests == []
        assert canary.open_connections == 0
        await egress.aclose()


async def test_what_was_judged_is_what_is_dialled():
    """The name is asked once for each connection; nobody asks again in between."""
    async with Receiver() as canary:
        names = Names([HERE], [PUBLIC])
        egress = Egress(LAPTOP, resolver=names)
        await post(egress, canary, url=f"http://name.example:{canary.port}/hook")
        assert names.asked == 1
        assert canary.requests[0].header("Host") == f"name.example:{canary.port}"
        await egress.aclose()


async def test_one_denied_address_among_many_denies_the_name():
    async with Receiver() as canary:
        egress = Egress(LAPTOP, resolver=Names([HERE, ipaddress.ip_address("10.0.0.1")]))
        with pytest.raises(UnreachableError) as failure:
            await post(egress, canary, url=f"http://name.example:{canary.port}/")
        assert failure.value.denied
        await egress.aclose()


async def test_another_address_is_tried_when_the_first_takes_no_connection():
    async with Receiver() as canary:
        egress = Egress(LAPTOP, resolver=Names([ipaddress.ip_address("127.0.0.2"), HERE]))
        answer = await post(egress, canary, url=f"http://name.example:{canary.port}/")
        assert answer.status == 200
        await egress.aclose()


async def test_refused_connections_and_missing_names_left_nothing(egress):
    async with Receiver() as receiver:
        port = receiver.port
    with pytest.raises(UnreachableError) as failure:
        await post(egress, None, url=f"http://127.0.0.1:{port}/")
    assert failure.value.slow
    nowhere = Egress(LAPTOP, resolver=Names(None))
    with pytest.raises(UnreachableError):
        await post(nowhere, None, url="http://gone.example/")


async def test_headers_that_are_none_do_not_get_out(egress, receiver):
    for name, value in (("X-Evil", "a\r\nHost: b"), ("Bad Name", "x"), ("X-Ünicode", "x")):
        with pytest.raises(NoAnswerError):
            await egress.post(receiver.url, headers={name: value}, body=b"", budget=BUDGET)
    assert receiver.requests == []


async def test_an_old_connection_is_opened_anew(receiver, monkeypatch):
    monkeypatch.setattr("gateway.net.posts.MAX_AGE", timedelta())
    egress = Egress(LAPTOP, resolver=Names([HERE]))
    for _ in range(2):
        await post(egress, receiver)
    assert [request.connection for request in receiver.requests] == [0, 1]
    await egress.aclose()


@pytest.mark.parametrize(
    ("name", "days", "trusted", "good"),
    [
        ("name.example", 1, True, True),
        ("other.example", 1, True, False),
        ("name.example", -1, True, False),
        ("name.example", 1, False, False),
    ],
)
async def test_certificates_are_verified_in_the_name_of_the_host(
    tmp_path, name, days, trusted, good
):
    context, pem = server_context(tmp_path, name, days=days)

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    client_context = ssl.create_default_context()
    if trusted:
        client_context.load_verify_locations(cadata=pem)
    egress = Egress(LAPTOP, resolver=Names([HERE]), ssl_context=client_context)
    url = f"https://name.example:{port}/"
    if good:
        assert (await post(egress, None, url=url, budget=timedelta(seconds=5))).status == 200
    else:
        with pytest.raises(UnreachableError):
            await post(egress, None, url=url, budget=timedelta(seconds=5))
    await egress.aclose()
    server.close()
