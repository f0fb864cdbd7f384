import asyncio

import httpx
import pytest
from tests.support import misbehave
from tests.support.receiver import Behaviour, Receiver

pytestmark = pytest.mark.usefixtures("receiver")


@pytest.fixture
async def client():
    async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
        yield client


async def test_records_what_came(receiver: Receiver, client: httpx.AsyncClient):
    await client.post(receiver.url, json={"a": 1}, headers={"X-Mark": "yes"})
    (request,) = await receiver.wait_for(1)
    assert (request.method, request.target) == ("POST", "/hook")
    assert request.header("x-mark") == "yes"
    assert request.json() == {"a": 1}


async def test_reads_a_body_in_chunks(receiver: Receiver, client: httpx.AsyncClient):
    async def pieces():
        yield b"one "
        yield b"two"

    await client.post(receiver.url, content=pieces())
    assert receiver.requests[0].body == b"one two"


async def test_behaves_as_told_and_then_as_usual(receiver: Receiver, client: httpx.AsyncClient):
    receiver.then(misbehave.respond(503, headers={"Retry-After": "7"}), misbehave.respond(999))
    receiver.always(misbehave.respond(200, {"message_id": "m"}))
    answers = [await client.post(receiver.url) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 999, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert answers[2].json() == {"message_id": "m"}


async def test_keeps_a_connection_that_nobody_closed(receiver: Receiver, client: httpx.AsyncClient):
    for _ in range(2):
        await client.post(receiver.url)
    assert [request.connection for request in receiver.requests] == [0, 0]


async def test_waits_for_what_is_still_to_come(receiver: Receiver, client: httpx.AsyncClient):
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(receiver.wait_for(2))
        for _ in range(2):
            group.create_task(client.post(receiver.url))
    assert len(waiting.result()) == 2


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("bare", "abc"),
        ("object", '{"challenge": "abc"}'),
        ("result", '{"code": 0, "result": {"challenge": "abc"}}'),
    ],
)
async def test_answers_a_challenge(receiver: Receiver, client: httpx.AsyncClient, form, text):
    receiver.always(misbehave.answer_challenge(form))
    answer = await client.post(receiver.url, json={"type": "challenge", "challenge": "abc"})
    assert answer.text == text
    assert (await client.post(receiver.url, json={"type": "other"})).status_code == 200


async def test_redirects(receiver: Receiver, client: httpx.AsyncClient):
    receiver.always(misbehave.redirect("http://169.254.169.254/"))
    assert (await client.post(receiver.url)).headers["location"] == "http://169.254.169.254/"


@pytest.mark.parametrize(
    "behaviour",
    [
        misbehave.garbage,
        misbehave.close,
        misbehave.reset,
        misbehave.reset_in_body,
        misbehave.cut(b'{"a": 1'),
        misbehave.endless_header,
    ],
    ids=["garbage", "close", "reset", "reset_in_body", "cut", "endless_header"],
)
async def test_breaks_off(receiver: Receiver, client: httpx.AsyncClient, behaviour: Behaviour):
    receiver.always(behaviour)
    with pytest.raises(httpx.TransportError):
        await client.post(receiver.url)


@pytest.mark.parametrize(
    "behaviour",
    [
        misbehave.hang,
        misbehave.drip_header(0.01),
        misbehave.drip_body(0.01),
        misbehave.endless_body,
        misbehave.informational_flood,
    ],
    ids=["hang", "drip_header", "drip_body", "endless_body", "flood"],
)
async def test_outlasts_a_caller_without_a_total_time_limit(
    receiver: Receiver, client: httpx.AsyncClient, behaviour: Behaviour
):
    receiver.always(behaviour)
    with pytest.raises((TimeoutError, httpx.RemoteProtocolError)):
        await _read_for(0.3, client, receiver.url)


async def _read_for(seconds: float, client: httpx.AsyncClient, url: str) -> None:
    async with asyncio.timeout(seconds), client.stream("POST", url) as answer:
        async for _ in answer.aiter_raw():
            pass
    raise AssertionError("It came to an end.")


async def test_packs_much_into_little(receiver: Receiver, client: httpx.AsyncClient):
    receiver.always(misbehave.gzip_bomb(1))
    answer = await client.post(receiver.url)
    assert len(answer.content) == 1024 * 1024
    assert int(answer.headers["content-length"]) < 2048
