"""Graph, third parties and endpoints that hang, lie and never end, beside those that are well."""

import asyncio
import resource
import socket
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_address

import pytest
from pydantic import SecretStr
from tests.support import misbehave
from tests.support.misbehave import respond
from tests.support.receiver import Receiver
from tests.support.sending import Outbox

from gateway.domain.delivery import NotAttempted, TargetKind, Unknown
from gateway.meta.graph import GraphClient, PageAccess
from gateway.meta.sending import PageMessage
from gateway.net.egress import Egress
from gateway.net.operator_http import operator_http_client
from gateway.net.places import EgressPolicy
from gateway.sender.page import GraphTransport
from gateway.sender.webhook import EndpointTransport, ThirdPartyTransport

pytestmark = pytest.mark.faults

BUDGET = timedelta(seconds=2)
SLOTS = 120
ROUNDS = 8
MEBIBYTE = 1024 * 1024
FAULT = {"error": {"message": "m", "type": "OAuthException", "code": 2, "is_transient": True}}


def raw(answer):
    async def behave(exchange):
        exchange.writer.write(answer)
        exchange.writer.close()

    return behave


async def well(exchange):
    """Answer as Graph does; third parties and endpoints may answer so, too."""
    await respond(200, {"message_id": f"m_{id(exchange)}_{time.monotonic_ns()}"})(exchange)


# What says neither yes nor no, and may come after the effect.
UNCLEAR = {
    "hang": misbehave.hang,
    "dripping-head": misbehave.drip_header(0.1),
    "dripping-body": misbehave.drip_body(0.1),
    "endless-head": misbehave.endless_header,
    "flood-of-100": misbehave.informational_flood,
    "garbage": misbehave.garbage,
    "close": misbehave.close,
    "reset": misbehave.reset,
    "reset-in-body": misbehave.reset_in_body,
    "length-too-long": misbehave.cut(b'{"message_id": "m_lie"}'),
    "101": misbehave.switch_protocols,
    "bad-chunks": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"),
    "two-lengths": raw(
        b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 17\r\n\r\n{"message_id":"m"}'
    ),
    "html": respond(500, b"<html>Sorry</html>", {"Content-Type": "text/html"}),
}
# A 2xx, which is all that a webhook has to say, but not Graph's yes.
NOT_GRAPHS_YES = {
    "endless-body": misbehave.endless_body,
    "gzip-bomb": misbehave.gzip_bomb(50),
    "empty": respond(200),
    "wrong-json": respond(200, b"[1, 2"),
    "wrong-shape": respond(200, {"message_id": 7}),
    "deep": respond(200, b"[" * 30_000),
    "length-too-short": respond(200, b'{"message_id": "m_lie"}', {"Content-Length": "12"}),
    "second-answer": misbehave.answer_twice,
}
CLEAR_NO = {"fault": respond(200, FAULT), "fault-in-500": respond(500, FAULT)}
ALL = UNCLEAR | NOT_GRAPHS_YES | CLEAR_NO


class Nowhere:
    async def resolve(self, _host):
        return [ip_address("127.0.0.1")]


class Peers:
    """One server for all; the path says how it answers."""

    def __init__(self, canary):
        self.base = ""
        self.requests = []
        self.kinds = {}
        self.behaviours = ALL | {"redirect": misbehave.redirect(canary.url), "well": well}

    async def __call__(self, exchange):
        self.requests.append(exchange.request)
        parts = exchange.request.target.strip("/").split("/")
        kind = self.kinds[parts[1]] if parts[0].startswith("v") and len(parts) > 1 else parts[0]
        await self.behaviours[kind](exchange)


@pytest.fixture
async def outbox(database_url):
    async with Outbox.open(database_url) as outbox:
        yield outbox


@pytest.fixture
async def peers(outbox):
    """Give the outbox real transports, and the server that they reach."""
    async with Receiver() as canary:
        peers = Peers(canary)
        async with Receiver(peers) as server:
            peers.base = f"http://127.0.0.1:{server.port}"
            egress = Egress(
                EgressPolicy(ports=frozenset({443}), allow_loopback=True), resolver=Nowhere()
            )
            client = operator_http_client()
            graph = GraphClient(client, base_url=peers.base)
            keys = {"keyring": outbox.keyring, "clock": outbox.clock}
            outbox.graph_client = graph
            outbox.transports = {
                TargetKind.PAGE: GraphTransport(graph, keyring=outbox.keyring),
                TargetKind.THIRD_PARTY: ThirdPartyTransport(
                    egress, links=outbox.database.links, **keys
                ),
                TargetKind.ENDPOINT: EndpointTransport(egress, **keys),
            }
            yield peers
            await egress.aclose()
            await client.aclose()
        # Whoever was redirected there by an answer did not go.
        assert canary.requests == []


async def make(outbox, peers, kind, *, conversations):
    """Make a Page, a third party and an endpoint of a kind; return their conversations."""
    page = await outbox.page()
    (number,) = await outbox.rows("SELECT page_id FROM channels WHERE id = :id", id=page)
    peers.kinds[number["page_id"]] = kind
    third = await outbox.third_party_channel(f"{peers.base}/{kind}")
    await outbox.endpoint(f"{peers.base}/{kind}", event_types=[f"{kind}.*"])
    return (
        [await outbox.conversation(page) for _ in range(conversations)],
        [await outbox.conversation(third) for _ in range(conversations)],
    )


async def send_to_the_healthy(outbox, healthy):
    """Send one message to each and return them once all have been sent."""
    messages = [
        await outbox.send(conversation, "hello")
        for pages, thirds in healthy
        for conversation in (*pages, *thirds)
    ]
    await outbox.announce(kind="well.happened.v1")
    await outbox.eventually(
        "SELECT count(*) FROM messages WHERE id = ANY(:ids) AND status = 'sent'",
        len(messages),
        ids=messages,
    )
    return messages


async def statuses(outbox, messages):
    rows = await outbox.rows(
        "SELECT id, status FROM messages WHERE id = ANY(:ids)", ids=list(messages)
    )
    return {row["id"]: row["status"] for row in rows}


def calls_of(peers, message):
    return [request for request in peers.requests if message.encode() in request.body]


async def all_are_uncertain(outbox, messages):
    """Return once they are; the clock goes on meanwhile, since targets that fail are paced."""
    many = "SELECT count(*) FROM messages WHERE id = ANY(:ids) AND status = 'uncertain'"
    while (found := await outbox.value(many, ids=messages)) < len(messages):
        outbox.advance(timedelta(seconds=1))
        more = many.replace("count(*)", f"count(*) > {found}")
        await outbox.eventually(more, wanted=True, ids=messages)


async def test_whatever_peers_do_others_are_served_and_every_outcome_is_what_it_is(outbox, peers):
    kinds = [kind for kind in peers.behaviours if kind != "well"]
    hostile = {kind: await make(outbox, peers, kind, conversations=ROUNDS) for kind in kinds}
    healthy = [await make(outbox, peers, "well", conversations=1) for _ in range(10)]
    to_pages = {kind: [] for kind in kinds}
    to_third = {kind: [] for kind in kinds}
    good, waits = [], []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with outbox.sender(budgets=BUDGET, slots=SLOTS, concurrency=10):
        began = time.monotonic()
        good += await send_to_the_healthy(outbox, healthy)
        calm = time.monotonic() - began
        for number in range(ROUNDS):
            for kind, (pages, thirds) in hostile.items():
                to_pages[kind].append(await outbox.send(pages[number], "hello"))
                to_third[kind].append(await outbox.send(thirds[number], "hello"))
                await outbox.announce(kind=f"{kind}.happened.v1")
            began = time.monotonic()
            good += await send_to_the_healthy(outbox, healthy)
            waits.append(time.monotonic() - began)
        # Who hangs gets one call at a time, so their last ones leave when all others have.
        unclear = [each for kind in kinds if kind not in CLEAR_NO for each in to_pages[kind]]
        await all_are_uncertain(outbox, unclear)
        # Every call ends with its budget, and gives its slot back.
        await outbox.eventually("SELECT count(*) FROM deliveries WHERE status = 'sending'", 0)
        await outbox.eventually("SELECT count(*) FROM messages WHERE status = 'sending'", 0)
        await outbox.eventually(
            "SELECT count(*) FROM delivery_attempts a JOIN deliveries d ON d.id = a.delivery_id"
            " JOIN events e ON e.id = d.event_id"
            " WHERE e.type = 'well.happened.v1' AND a.outcome = 'accepted'",
            (ROUNDS + 1) * len(healthy),
        )
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    # Shown by `-rP`.
    print(f"healthy messages: {calm:.2f} s alone, {[round(each, 2) for each in waits]} s beside")  # noqa: T201
    print(f"memory of both ends: + {grown:.0f} MiB")  # noqa: T201

    # Whom nobody knew yet may take all slots, for one call's budget.
    assert max(waits) < 2 * (calm + BUDGET.total_seconds())
    assert grown < 256
    assert all(len(calls_of(peers, message)) == 1 for message in good)
    for kind in kinds:
        await require_outcomes(outbox, peers, kind, to_pages[kind], to_third[kind])


async def require_outcomes(outbox, peers, kind, to_pages, to_third):
    found = set((await statuses(outbox, to_pages)).values())
    assert found == ({"accepted"} if kind in CLEAR_NO else {"uncertain"}), kind
    # What may have had its effect was asked for once; a clear no is asked again in its time.
    calls = {len(calls_of(peers, each)) for each in to_pages}
    assert calls == {1} or kind in CLEAR_NO, kind
    found = set((await statuses(outbox, to_third)).values())
    says_yes = kind in NOT_GRAPHS_YES or kind == "fault"
    assert found == ({"sent"} if says_yes else {"accepted"}), kind


ACCESS = PageAccess(page_id="1", token=SecretStr("t"), app_secret=SecretStr("s"), version="v26.0")
MESSAGE = PageMessage(contact_id="2", content={"type": "text", "text": "hello"}, metadata="msg_1.1")


@asynccontextmanager
async def graph_at(base):
    client = operator_http_client()
    yield GraphClient(client, base_url=base)
    await client.aclose()


async def outcome_at(base, *, seconds):
    async with graph_at(base) as graph:
        return await outcome_of(graph, seconds=seconds)


async def outcome_of(graph, *, seconds):
    return await graph.send_message(ACCESS, MESSAGE, budget=timedelta(seconds=seconds))


async def test_what_never_got_a_connection_has_not_left():
    """TLS that is never answered, and a peer that takes no connection."""

    async def silent(reader, writer):
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with FullBacklog() as full:
        began = time.monotonic()
        answers = await asyncio.gather(
            outcome_at(f"https://127.0.0.1:{port}", seconds=10),
            outcome_at(f"http://127.0.0.1:{full}", seconds=10),
        )
        assert time.monotonic() - began < 6
    server.close()
    for answer in answers:
        assert isinstance(answer.outcome, NotAttempted)
        assert answer.slow


class FullBacklog:
    """A port whose queue of connections is full."""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        address = self._listener.getsockname()
        self._waiting = []
        for _ in range(4):
            waiting = socket.socket()
            waiting.setblocking(False)  # noqa: FBT003 - the name says it
            waiting.connect_ex(address)
            self._waiting.append(waiting)
        return address[1]

    def __exit__(self, *_):
        for each in (*self._waiting, self._listener):
            each.close()


async def test_five_hundred_endless_answers_at_once_cost_little():
    async with Receiver(misbehave.endless_body) as receiver:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        base = f"http://127.0.0.1:{receiver.port}"
        async with graph_at(base) as graph:
            answers = await asyncio.gather(*(outcome_of(graph, seconds=20) for _ in range(500)))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    # Shown by `-rP`.
    print(f"both ends: + {grown:.0f} MiB")  # noqa: T201
    # So many at once are too many for the receiver, too.
    assert {type(answer.outcome) for answer in answers} <= {Unknown, NotAttempted}
    assert sum(isinstance(answer.outcome, Unknown) for answer in answers) > 100
    # Both ends are in this process.
    assert grown < 256
