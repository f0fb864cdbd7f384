"""What every transport promises: an answer in time, whatever the peer does, never an exception."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import pytest
import standardwebhooks
import svix.webhooks
from tests.support import misbehave
from tests.support.attempts import (
    APP_SECRET,
    KEYRING,
    SIGNING_SECRET,
    TOKEN,
    action_attempt,
    event_attempt,
    message_attempt,
)
from tests.support.clock import FakeClock
from tests.support.receiver import Receiver
from tests.support.sending import FakeTransport

from gateway.db.media_links import MediaLinks
from gateway.domain.delivery import (
    Accepted,
    NotAttempted,
    Reauthenticate,
    Refused,
    Retry,
    Throttle,
    Unknown,
)
from gateway.meta.graph import GraphClient
from gateway.net.egress import Egress
from gateway.net.operator_http import operator_http_client
from gateway.net.places import EgressPolicy
from gateway.sender.attempts import Attempt, Transport
from gateway.sender.page import GraphTransport
from gateway.sender.webhook import EndpointTransport, ThirdPartyTransport

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

SECONDS = 0.5
ACCEPTING = {
    "page": misbehave.respond(200, {"recipient_id": "p", "message_id": "m_1"}),
    "third party": misbehave.respond(200, {"message_id": "m_1"}),
    "endpoint": misbehave.respond(204),
}
# What nobody answered: Graph may have sent it, a webhook is simply sent again.
NO_ANSWER = {"page": Unknown, "third party": Retry, "endpoint": Retry}


class Nowhere:
    async def resolve(self, _host):
        return [ip_address("127.0.0.1")]


@dataclass
class Subject:
    """A transport, the peer that it calls, and an attempt for it."""

    kind: str
    transport: Transport
    attempt: Attempt
    receiver: Receiver

    async def send(self, *, seconds: float = SECONDS) -> Any:
        return await self.transport.send(self.attempt, seconds=seconds)


@pytest.fixture(params=["page", "third party", "endpoint"])
async def subject(request, receiver):
    egress = Egress(EgressPolicy(ports=frozenset({443}), allow_loopback=True), resolver=Nowhere())
    client = operator_http_client()
    graph = GraphClient(client, base_url=f"http://127.0.0.1:{receiver.port}")
    make: dict[str, Callable[[], tuple[Transport, Attempt]]] = {
        "page": lambda: (GraphTransport(graph, keyring=KEYRING), message_attempt("page")),
        "third party": lambda: (
            ThirdPartyTransport(
                egress,
                keyring=KEYRING,
                clock=FakeClock(),
                links=MediaLinks(KEYRING, public_url="https://gateway.example"),
            ),
            message_attempt("third_party", url=receiver.url),
        ),
        "endpoint": lambda: (
            EndpointTransport(egress, keyring=KEYRING, clock=FakeClock()),
            event_attempt(url=receiver.url),
        ),
    }
    transport, attempt = make[request.param]()
    yield Subject(request.param, transport, attempt, receiver)
    await egress.aclose()
    await client.aclose()


async def test_an_acceptance_is_told(subject):
    subject.receiver.always(ACCEPTING[subject.kind])
    answer = await subject.send(seconds=5)
    expected = Accepted() if subject.kind == "endpoint" else Accepted("m_1")
    assert answer.outcome == expected
    assert answer.status in (200, 204)
    assert not answer.slow
    assert answer.milliseconds >= 0


HOSTILE = {
    "hang": (misbehave.hang, True),
    "drip header": (misbehave.drip_header(0.1), True),
    "drip body": (misbehave.drip_body(0.1), True),
    "flood of 100": (misbehave.informational_flood, None),
    "endless header": (misbehave.endless_header, None),
    "garbage": (misbehave.garbage, False),
    "close": (misbehave.close, False),
    "reset": (misbehave.reset, False),
    "reset in body": (misbehave.reset_in_body, False),
    "cut": (misbehave.cut(b'{"message_id": "m_'), False),
    "101": (misbehave.switch_protocols, False),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_whatever_the_peer_does_the_attempt_ends_in_time(subject, kind):
    behaviour, slow = HOSTILE[kind]
    subject.receiver.always(behaviour)
    started = time.monotonic()
    answer = await subject.send()
    # Without a limit of ours some would last for ever; a busy machine takes its time.
    assert time.monotonic() - started < SECONDS + 3
    assert isinstance(answer.outcome, NO_ANSWER[subject.kind])
    if slow is not None:
        assert answer.slow is slow


@pytest.mark.parametrize("kind", ["html", "empty", "redirect", "large", "bomb"])
async def test_answers_that_say_nothing(subject, kind):
    subject.receiver.always(
        {
            "html": misbehave.respond(500, b"<html>\x1b[31m\0" + b"x" * 5000),
            "empty": misbehave.respond(500),
            "redirect": misbehave.redirect("http://127.0.0.1:1/"),
            "large": misbehave.respond(500, b"x" * 1_000_000),
            "bomb": misbehave.gzip_bomb(10),
        }[kind]
    )
    answer = await subject.send(seconds=5)
    if kind == "bomb" and subject.kind != "page":
        # 200 is all that a webhook is asked for.
        assert answer.outcome == Accepted()
    else:
        assert isinstance(answer.outcome, NO_ANSWER[subject.kind])
    assert len(answer.body) <= 1024
    assert all(c.isprintable() or c in "\n\t" for c in answer.body)


async def test_a_connection_that_is_refused_left_nothing(subject):
    await subject.receiver.__aexit__(None, None, None)
    answer = await subject.send()
    assert isinstance(answer.outcome, NotAttempted)
    assert answer.slow
    assert (answer.status, answer.body) == (None, None)
    await subject.receiver.__aenter__()


async def test_a_cancellation_gets_through(subject):
    subject.receiver.always(misbehave.hang)
    task = asyncio.ensure_future(subject.send(seconds=30))
    await subject.receiver.wait_for(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_secret_that_cannot_be_read_is_an_error_of_ours(subject):
    attempt = subject.attempt
    if attempt.endpoint is not None:
        broken = replace(attempt, endpoint=replace(attempt.endpoint, signing_secret=b"v1.k1.x"))
    else:
        channel = replace(attempt.channel, signing_secret=b"v1.k1.x", page_access_token=b"v1.x.y")
        broken = replace(attempt, channel=channel)
    answer = await subject.transport.send(broken, seconds=SECONDS)
    assert isinstance(answer.outcome, NotAttempted)
    assert answer.outcome.error.code == "internal-error"
    assert subject.receiver.requests == []


async def test_a_fake_answers_as_it_is_told():
    fake = FakeTransport()
    fake.always(Accepted("m_1"))
    answer = await fake.send(message_attempt("page"), seconds=1)
    assert answer.outcome == Accepted("m_1")


# What each sends


def only(transports: str) -> Callable[[Any], Awaitable[None]]:
    return pytest.mark.parametrize("subject", [transports], indirect=True)


@only("page")
async def test_a_page_gets_its_message_with_the_attempts_name(subject):
    subject.receiver.always(ACCEPTING["page"])
    await subject.send(seconds=5)
    (request,) = subject.receiver.requests
    assert request.target == "/v26.0/1001/messages"
    assert request.header("Authorization") == f"Bearer {TOKEN}"
    assert TOKEN not in request.target
    assert APP_SECRET not in request.body.decode()
    body = request.json()
    message = subject.attempt.message
    assert body["message"] == {"text": "hello", "metadata": f"{message.id}.2"}
    assert body["recipient"] == {"id": "psid1"}
    assert body["reply_to"] == {"mid": "m_0"}


@only("page")
@pytest.mark.parametrize("status", [200, 403])
async def test_a_thread_is_taken_before_the_message_goes(subject, status):
    fault = {"error": {"code": 10, "message": "blocked"}}
    subject.receiver.then(misbehave.respond(status, {"success": True} if status == 200 else fault))
    subject.receiver.always(ACCEPTING["page"])
    attempt = replace(subject.attempt, takes_thread=True)
    answer = await subject.transport.send(attempt, seconds=5)
    # Refused or not: the send itself tells whose the thread is.
    assert answer.outcome == Accepted("m_1")
    taken, sent = subject.receiver.requests
    assert taken.target == "/v26.0/1001/take_thread_control"
    assert taken.json()["recipient"] == {"id": "psid1"}
    assert sent.target == "/v26.0/1001/messages"


@only("page")
async def test_a_thread_that_could_not_be_taken_lets_nothing_go(subject):
    subject.receiver.always(misbehave.reset)
    attempt = replace(subject.attempt, takes_thread=True)
    answer = await subject.transport.send(attempt, seconds=5)
    # The message has not left, so that trying again is safe.
    assert isinstance(answer.outcome, Retry)
    assert len(subject.receiver.requests) == 1


@only("page")
async def test_a_page_shows_an_action(subject):
    subject.receiver.always(misbehave.respond(200, {"recipient_id": "psid1"}))
    answer = await subject.transport.send(action_attempt({"action": "mark_seen"}), seconds=5)
    assert answer.outcome == Accepted()
    body = subject.receiver.requests[0].json()
    assert {key: body[key] for key in ("recipient", "sender_action")} == {
        "recipient": {"id": "psid1"},
        "sender_action": "mark_seen",
    }


@only("page")
async def test_a_pages_error_is_judged_by_the_table(subject):
    fault = {"error": {"code": 190, "error_subcode": 460, "message": "x"}}
    subject.receiver.always(misbehave.respond(400, fault))
    answer = await subject.send(seconds=5)
    assert isinstance(answer.outcome, Reauthenticate)
    assert answer.outcome.error.code == "meta-190-460"


@only("third party")
async def test_a_third_party_gets_a_signed_message(subject):
    subject.receiver.always(ACCEPTING["third party"])
    await subject.send(seconds=5)
    (request,) = subject.receiver.requests
    for library in (standardwebhooks.Webhook, svix.webhooks.Webhook):
        library(SIGNING_SECRET).verify(request.body, dict(request.headers))
    message = subject.attempt.message
    assert request.header("webhook-id") == "evt" + message.id.removeprefix("msg")
    assert request.header("X-Gateway-Attempt") == "2"
    assert request.header("Content-Type") == "application/json"
    body = request.json()
    assert body["type"] == "gateway.message.send.v1"
    assert body["data"]["conversation_id"] == message.conversation_id
    assert body["data"]["message"]["id"] == message.id
    assert body["data"]["message"]["content"] == {"type": "text", "text": "hello"}
    assert body["data"]["contact"]["source_contact_id"] == "psid1"
    assert body["data"]["reply_to_source_message_id"] == "m_0"


@only("endpoint")
async def test_an_endpoint_gets_the_public_event_the_same_each_time(subject):
    for attempt in (1, 2):
        subject.attempt.delivery.attempt = attempt
        await subject.send(seconds=5)
    first, second = subject.receiver.requests
    event = subject.attempt.event
    for request in (first, second):
        for library in (standardwebhooks.Webhook, svix.webhooks.Webhook):
            library(SIGNING_SECRET).verify(request.body, dict(request.headers))
        assert request.header("webhook-id") == event.id
    assert first.body == second.body
    assert (first.header("X-Gateway-Attempt"), second.header("X-Gateway-Attempt")) == ("1", "2")
    assert json.loads(first.body) == {
        "type": "test.happened.v1",
        "timestamp": "2026-03-02T12:00:00.000Z",
        "sequence": "1",
        "data": {
            "account_id": event.account_id,
            "channel_id": None,
            "conversation_id": "cnv_1",
            "enquiry_id": None,
            "words": "Grüße",
        },
    }


@only("endpoint")
async def test_two_signatures_while_a_secret_rotates_and_one_afterwards(subject):
    clock = FakeClock()
    endpoint = subject.attempt.endpoint
    old = "whsec_" + "b2xk" * 11
    rotating = replace(
        endpoint,
        previous_signing_secret=KEYRING.encrypt(
            old, row=endpoint.secret_row("previous_signing_secret")
        ),
        previous_signing_secret_expires_at=clock.now(),
    )
    attempt = replace(subject.attempt, endpoint=rotating)
    await subject.transport.send(attempt, seconds=5)
    rotating = replace(
        rotating,
        previous_signing_secret_expires_at=clock.now().replace(year=2030),
    )
    await subject.transport.send(replace(attempt, endpoint=rotating), seconds=5)
    after, during = subject.receiver.requests
    assert len(after.header("webhook-signature").split()) == 1
    assert len(during.header("webhook-signature").split()) == 2
    for library in (standardwebhooks.Webhook, svix.webhooks.Webhook):
        for secret in (old, SIGNING_SECRET):
            library(secret).verify(during.body, dict(during.headers))
        library(SIGNING_SECRET).verify(after.body, dict(after.headers))
        with pytest.raises(Exception, match="No matching signature"):
            library(old).verify(after.body, dict(after.headers))


@only("third party")
async def test_a_third_party_verifies_by_either_secret_while_one_rotates(subject):
    channel = subject.attempt.channel
    old = "whsec_" + "b2xk" * 11
    rotating = replace(
        channel,
        previous_signing_secret=KEYRING.encrypt(
            old, row=f"channels/{channel.id}/previous_signing_secret"
        ),
        previous_signing_secret_expires_at=FakeClock().now().replace(year=2030),
    )
    subject.receiver.always(ACCEPTING["third party"])
    await subject.transport.send(replace(subject.attempt, channel=rotating), seconds=5)
    (request,) = subject.receiver.requests
    for library in (standardwebhooks.Webhook, svix.webhooks.Webhook):
        for secret in (old, SIGNING_SECRET):
            library(secret).verify(request.body, dict(request.headers))


@only("endpoint")
@pytest.mark.parametrize(
    ("kind", "secret", "header", "value"),
    [
        ("none", {}, "Authorization", None),
        ("bearer", {"token": "t0"}, "Authorization", "Bearer t0"),
        ("basic", {"username": "u", "password": "p:ü"}, "Authorization", "Basic dTpwOsO8"),
        ("header", {"name": "X-Key", "value": "k"}, "X-Key", "k"),
        # Ours cannot be taken over.
        ("header", {"name": "Webhook-Id", "value": "k"}, "webhook-id", "evt_1"),
    ],
    ids=["none", "bearer", "basic", "header", "ours"],
)
async def test_an_endpoint_knows_us(subject, kind, secret, header, value):
    endpoint = subject.attempt.endpoint
    known = replace(
        endpoint,
        authentication_kind=kind,
        authentication=KEYRING.encrypt(
            json.dumps(secret), row=endpoint.secret_row("authentication")
        ),
    )
    await subject.transport.send(replace(subject.attempt, endpoint=known), seconds=5)
    assert subject.receiver.requests[0].header(header) == value


@only("endpoint")
async def test_an_endpoint_gets_its_own_headers_and_none_twice(subject):
    endpoint = subject.attempt.endpoint
    own = {"X-Tenant": "acme", "x-key": "other", "User-agent": "mine", "WEBHOOK-ID": "x"}
    known = replace(
        endpoint,
        authentication_kind="header",
        authentication=KEYRING.encrypt(
            json.dumps({"name": "X-Key", "value": "k"}), row=endpoint.secret_row("authentication")
        ),
        headers=KEYRING.encrypt(json.dumps(own), row=endpoint.secret_row("headers")),
    )
    await subject.transport.send(replace(subject.attempt, endpoint=known), seconds=5)
    (request,) = subject.receiver.requests
    assert request.header("X-Tenant") == "acme"
    assert request.header("X-Key") == "k"
    assert request.header("User-Agent").startswith("channel-gateway")
    assert request.header("webhook-id") == "evt_1"


WEBHOOK_ANSWERS = {
    "200": (misbehave.respond(200), Accepted),
    "299": (misbehave.respond(299), Accepted),
    "400": (misbehave.respond(400), Retry),
    "404": (misbehave.respond(404), Retry),
    "410": (misbehave.respond(410), Refused),
    "429": (misbehave.respond(429), Throttle),
    "500": (misbehave.respond(500), Retry),
    "502": (misbehave.respond(502), Throttle),
    "503": (misbehave.respond(503), Throttle),
    "504": (misbehave.respond(504), Throttle),
    "599": (misbehave.respond(599), Retry),
    "302": (misbehave.redirect("http://127.0.0.1:1/", 302), Retry),
}


@only("endpoint")
@pytest.mark.parametrize("kind", WEBHOOK_ANSWERS)
async def test_a_webhooks_statuses(subject, kind):
    behaviour, outcome = WEBHOOK_ANSWERS[kind]
    subject.receiver.always(behaviour)
    answer = await subject.send(seconds=5)
    assert isinstance(answer.outcome, outcome)
    assert answer.status == int(kind)


@only("endpoint")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), ("-1", None), ("soon", None), ("1000000000", 1_000_000_000)],
)
async def test_a_webhooks_retry_after(subject, value, seconds):
    subject.receiver.always(misbehave.respond(500, headers={"Retry-After": value}))
    outcome = (await subject.send(seconds=5)).outcome
    assert (outcome.after and outcome.after.total_seconds()) == seconds


@only("third party")
@pytest.mark.parametrize(
    "body",
    [b"", b"ok", b"[]", b'{"message_id": 7}', b'{"message_id": ""}', b'{"message_id": "\\u0000"}'],
)
async def test_an_answer_without_an_id_is_an_acceptance_all_the_same(subject, body):
    subject.receiver.always(misbehave.respond(200, body))
    assert (await subject.send(seconds=5)).outcome == Accepted()


@only("third party")
async def test_an_address_that_has_become_forbidden_is_not_called(subject):
    channel = replace(subject.attempt.channel, outgoing_webhook_url="https://10.0.0.1/hook")
    answer = await subject.transport.send(
        replace(subject.attempt, channel=channel), seconds=SECONDS
    )
    assert isinstance(answer.outcome, NotAttempted)
    assert answer.outcome.error.code == "address-not-allowed"
    assert not answer.slow
