"""The challenge of an address, with right and wrong answers."""

import json
from ipaddress import ip_address

import pytest
import standardwebhooks
from tests.support import misbehave

from gateway.errors import ChallengeFailedError
from gateway.net.challenge import challenge, is_right_answer
from gateway.net.egress import Egress
from gateway.net.places import EgressPolicy

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Nowhere:
    async def resolve(self, _host):
        return [ip_address("127.0.0.1")]


@pytest.fixture
async def egress():
    policy = EgressPolicy(ports=frozenset({443}), allow_loopback=True)
    egress = Egress(policy, resolver=Nowhere())
    yield egress
    await egress.aclose()


@pytest.mark.parametrize("form", ["bare", "object", "result"])
async def test_right_answers(egress, receiver, form):
    receiver.always(misbehave.answer_challenge(form))
    assert await challenge(egress, receiver.url, [SECRET], pointer="/url") >= 0
    (request,) = receiver.requests
    asked = request.json()
    assert asked["type"] == "challenge"
    assert len(asked["challenge"]) >= 32
    headers = dict(request.headers)
    standardwebhooks.Webhook(SECRET).verify(request.body, headers)


async def test_the_value_is_another_each_time(egress, receiver):
    receiver.always(misbehave.answer_challenge())
    for _ in range(3):
        await challenge(egress, receiver.url, [SECRET], pointer="/url")
    assert len({request.json()["challenge"] for request in receiver.requests}) == 3


def answered(make):
    async def behave(exchange):
        value = exchange.request.json()["challenge"]
        status, body = make(value)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        await misbehave.respond(status, content)(exchange)

    return behave


AROUND = {
    "bare": lambda value: (200, b" \n" + value.encode() + b"\r\n\t"),
    "object": lambda value: (200, b'  {"challenge": "' + value.encode() + b'"} '),
    "more": lambda value: (200, {"challenge": value, "more": 1}),
}


@pytest.mark.parametrize("kind", AROUND)
async def test_white_space_around_does_not_count(egress, receiver, kind):
    receiver.always(answered(AROUND[kind]))
    await challenge(egress, receiver.url, [SECRET], pointer="/url")


WRONG = {
    "empty": lambda _value: (200, b""),
    "another value": lambda _value: (200, b"no"),
    "cut": lambda value: (200, value[:-1].encode()),
    "201": lambda value: (201, value.encode()),
    "204": lambda value: (204, b""),
    "307": lambda value: (307, value.encode()),
    "500": lambda value: (500, value.encode()),
    "code 1": lambda value: (200, {"code": 1, "result": {"challenge": value}}),
    "code false": lambda value: (200, {"code": False, "result": {"challenge": value}}),
    "code text": lambda value: (200, {"code": "0", "result": {"challenge": value}}),
    "code beside": lambda value: (200, {"code": 1, "challenge": value}),
    "result bare": lambda value: (200, {"code": 0, "result": value}),
    "result alone": lambda value: (200, {"result": {"challenge": value}}),
    "other name": lambda value: (200, {"Challenge": value}),
    "list inside": lambda value: (200, {"challenge": [value]}),
    "list": lambda value: (200, [value]),
    "too long": lambda value: (200, value.encode() + b" " * 4096),
}


@pytest.mark.parametrize("kind", WRONG)
async def test_wrong_answers(egress, receiver, kind):
    receiver.always(answered(WRONG[kind]))
    with pytest.raises(ChallengeFailedError) as failure:
        await challenge(egress, receiver.url, [SECRET], pointer="/source/outgoing_webhook_url")
    (fault,) = failure.value.faults
    assert (fault.pointer, fault.code) == ("/source/outgoing_webhook_url", "challenge-failed")


@pytest.mark.parametrize("behaviour", [misbehave.close, misbehave.garbage, misbehave.reset])
async def test_no_answer(egress, receiver, behaviour):
    receiver.always(behaviour)
    with pytest.raises(ChallengeFailedError):
        await challenge(egress, receiver.url, [SECRET], pointer="/url")


@pytest.mark.parametrize("body", [b'{"challenge": "\\ud800"}', b"\xff\xfe", b"[" * 3000])
def test_odd_answers_are_wrong_ones(body):
    assert not is_right_answer(body, "value")
