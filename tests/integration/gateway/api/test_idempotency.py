"""The same request twice has one effect and one answer, whatever comes between."""

import asyncio
from datetime import timedelta

import pytest
from tests.support import misbehave
from tests.support.api import pointers, problem, third_party_body
from tests.support.talk import wrote

from gateway.db.secrets import KeyRing


def with_key(key="order-17"):
    return {"Idempotency-Key": key}


async def test_the_same_request_gets_its_first_answer_again(api):
    acme = await api.account()
    body = {"first_name": "Ann", "capacity": 3}
    first = await acme.post("/v1/agents", body, headers=with_key())
    again = await acme.post("/v1/agents", {"capacity": 3, "first_name": "Ann"}, headers=with_key())
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert len((await acme.get("/v1/agents")).json()["data"]) == 1


async def test_another_body_is_refused(api):
    acme = await api.account()
    await acme.post("/v1/agents", {"first_name": "Ann"}, headers=with_key())
    other = await acme.post("/v1/agents", {"first_name": "Bob"}, headers=with_key())
    refused = problem(other, "idempotency-key-reused", 422)
    assert pointers(refused) == ["/header/Idempotency-Key"]


async def test_a_key_belongs_to_its_account_and_path(api):
    acme, other = await api.account(), await api.account("Other")
    body = {"first_name": "Ann", "name": "x"}
    first = await acme.post("/v1/agents", {"first_name": "Ann"}, headers=with_key())
    theirs = await other.post("/v1/agents", {"first_name": "Ann"}, headers=with_key())
    assert theirs.status_code == 201
    assert theirs.json()["id"] != first.json()["id"]
    same_account = await api.key(acme.account_id, ["write"])
    again = await same_account.post("/v1/agents", {"first_name": "Ann"}, headers=with_key())
    assert again.json()["id"] == first.json()["id"]
    elsewhere = await acme.post(
        "/v1/endpoints", {"name": "x", "url": api.hook.url}, headers=with_key()
    )
    assert elsewhere.status_code == 201
    assert body


async def test_refusals_are_not_kept(api):
    acme = await api.account()
    refused = await acme.post("/v1/agents", {}, headers=with_key())
    problem(refused, "validation-failed", 422)
    made = await acme.post("/v1/agents", {"first_name": "Ann"}, headers=with_key())
    assert made.status_code == 201


async def test_answers_are_kept_for_a_day(api, clock):
    acme = await api.account()
    first = await acme.post("/v1/agents", {"first_name": "Ann"}, headers=with_key())
    clock.advance(timedelta(hours=24) - timedelta(milliseconds=1))
    again = await acme.post("/v1/agents", {"first_name": "Ann"}, headers=with_key())
    assert again.json()["id"] == first.json()["id"]
    clock.advance(timedelta(milliseconds=1))
    anew = await acme.post("/v1/agents", {"first_name": "Bob"}, headers=with_key())
    assert anew.status_code == 201


async def test_a_kept_answer_is_sealed(api):
    made = await api.admin.post("/v1/accounts", {"name": "Acme"})
    path = f"/v1/accounts/{made.json()['id']}/api-keys"
    body = {"name": "k", "scopes": ["read"]}
    first = await api.admin.post(path, body, headers=with_key())
    again = await api.admin.post(path, body, headers=with_key())
    assert again.json()["secret"] == first.json()["secret"]
    (row,) = await api.rows("SELECT body FROM idempotency_keys")
    assert first.json()["secret"].encode() not in bytes(row["body"])


async def test_an_answer_whose_key_is_gone_does_not_do_it_again(api):
    acme = await api.account()
    body = {"first_name": "Ann"}
    await acme.post("/v1/agents", body, headers=with_key())
    api.database.keyring = KeyRing({"b": bytes(32)})
    lost = await acme.post("/v1/agents", body, headers=with_key())
    problem(lost, "conflict", 409)
    assert len((await acme.get("/v1/agents")).json()["data"]) == 1


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "clé", "a\tb", " a"])
async def test_an_ill_formed_key_is_refused(api, key):
    acme = await api.account()
    headers = {"Idempotency-Key": key.encode("latin-1")}
    refused = await acme.post("/v1/agents", {"first_name": "Ann"}, headers=headers)
    assert pointers(problem(refused, "validation-failed", 422)) == ["/header/Idempotency-Key"]


async def test_fifty_at_once_send_one_message(api):
    acme = await api.account()
    channel = await api.third_party(acme)
    conversation_id, _, _ = await wrote(api.database, acme.account_id, channel["id"])
    body = {"content": {"type": "text", "text": "Hi"}}
    path = f"/v1/conversations/{conversation_id}/messages"
    answers = await asyncio.gather(*(acme.post(path, body, headers=with_key()) for _ in range(50)))
    ids = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    assert len(ids) == 1
    for answer in answers:
        if answer.status_code != 202:
            problem(answer, "idempotency-key-in-use", 409)
    assert len(await api.rows("SELECT 1 FROM messages WHERE direction = 'outbound'")) == 1
    settled = await acme.post(path, body, headers=with_key())
    assert settled.json()["id"] in ids


class TestCallsOutside:
    """Their key is reserved by a row, for no transaction is open meanwhile."""

    async def test_while_one_runs_another_is_told_so(self, api):
        acme = await api.account()
        arrived, may_answer = asyncio.Event(), asyncio.Event()
        answer_challenge = misbehave.answer_challenge()

        async def wait(exchange):
            arrived.set()
            await may_answer.wait()
            await answer_challenge(exchange)

        api.hook.always(wait)
        body = third_party_body(api.hook.url)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(acme.post("/v1/channels", body, headers=with_key()))
            await arrived.wait()
            running = await acme.post("/v1/channels", body, headers=with_key())
            problem(running, "idempotency-key-in-use", 409)
            other = await acme.post("/v1/channels", body | {"name": "x"}, headers=with_key())
            problem(other, "idempotency-key-reused", 422)
            may_answer.set()
        assert first.result().status_code == 201
        again = await acme.post("/v1/channels", body, headers=with_key())
        assert again.content == first.result().content
        assert again.json()["source"]["incoming_token"]
        assert len(api.hook.requests) == 1

    async def test_a_refusal_lets_the_key_go_at_once(self, api):
        acme = await api.account()
        api.hook.always(misbehave.respond(500))
        body = third_party_body(api.hook.url)
        refused = await acme.post("/v1/channels", body, headers=with_key())
        problem(refused, "challenge-failed", 422)
        assert await api.rows("SELECT 1 FROM idempotency_keys") == []
        api.hook.always(misbehave.answer_challenge())
        made = await acme.post("/v1/channels", body, headers=with_key())
        assert made.status_code == 201

    async def test_a_process_that_died_is_waited_for_as_long_as_its_lease(self, api):
        acme = await api.account()
        body = third_party_body(api.hook.url)
        await acme.post("/v1/channels", body, headers=with_key())
        await api.rows(
            "UPDATE idempotency_keys SET state = 'running', status = NULL, body = NULL,"
            " lease_until = now() + interval '1 minute'"
        )
        running = await acme.post("/v1/channels", body, headers=with_key())
        problem(running, "idempotency-key-in-use", 409)
        await api.rows("UPDATE idempotency_keys SET lease_until = now() - interval '1 second'")
        anew = await acme.post("/v1/channels", body, headers=with_key())
        assert anew.status_code == 201

    async def test_who_lost_the_lease_has_no_effect(self, api):
        acme = await api.account()

        async def steal(exchange):
            await api.rows(
                "UPDATE idempotency_keys SET lease_until = lease_until + interval '1 second'"
            )
            await misbehave.answer_challenge()(exchange)

        api.hook.always(steal)
        lost = await acme.post("/v1/channels", third_party_body(api.hook.url), headers=with_key())
        problem(lost, "idempotency-key-in-use", 409)
        assert await api.rows("SELECT 1 FROM channels") == []
        assert len(await api.rows("SELECT 1 FROM idempotency_keys")) == 1
