"""The ingress on a real database for its secrets and a broker in memory."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.broker import InMemoryBroker
from tests.support.clock import FakeClock

from gateway.db.engine import create_engine
from gateway.db.secrets import KeyRing, generate_key
from gateway.db.unit_of_work import Database
from gateway.domain import ids
from gateway.http.boundary import Boundary
from gateway.http.refusals import install
from gateway.ingress.meta import MetaWebhooks
from gateway.ingress.secrets import SecretCache
from gateway.ingress.third_party import IncomingParts, router
from gateway.media_store import MediaStore

APP = "310000000000001"
SECRET = "s3cret"
OLD_SECRET = "0ld"
TOKEN = "verify-me"
INCOMING = "cgt_token"
INBOUND = "gateway.inbound.v1"
LIMIT = 64 * 1024


class Stage:
    def __init__(self, engine: AsyncEngine, folder: Path) -> None:
        self.engine = engine
        self.clock = FakeClock()
        self.now = 0.0
        self.broker = InMemoryBroker()
        self.keyring = KeyRing.from_text(generate_key("k"))
        self.database = Database(engine, clock=self.clock, keyring=self.keyring)
        self.secrets = SecretCache(self.database, monotonic=lambda: self.now)
        self.channel = ids.new_id(ids.CHANNEL)
        meta = MetaWebhooks(
            secrets=self.secrets,
            producer=self.broker.producer(),
            clock=self.clock,
            body_bytes=LIMIT,
            produce_seconds=1,
        )
        app = FastAPI()
        app.state.incoming = IncomingParts(
            secrets=self.secrets,
            producer=self.broker.producer(),
            clock=self.clock,
            body_bytes=LIMIT,
            produce_seconds=1,
            database=self.database,
            media=MediaStore.at("", data_dir=str(folder)),
        )
        app.include_router(router)
        install(app)
        app.add_middleware(Boundary)
        self.meta = httpx.AsyncClient(
            transport=httpx.ASGITransport(meta), base_url="http://gateway"
        )
        self.api = httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://gateway",
            headers={"Authorization": f"Bearer {INCOMING}"},
        )

    async def run(self, statement: str, **parameters: Any) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(statement), parameters)

    async def app(self, app_id: str, *secrets: str) -> None:
        seal = self.keyring.encrypt
        await self.run(
            "INSERT INTO meta_apps (app_id, name, app_secrets, verify_token, graph_version,"
            " created_at, updated_at) VALUES (:id, 'A', :secrets, :token, 'v26.0', now(), now())"
            " ON CONFLICT (app_id) DO UPDATE SET app_secrets = excluded.app_secrets",
            id=app_id,
            secrets=[seal(each, row=f"meta_apps/{app_id}/app_secrets") for each in secrets],
            token=seal(TOKEN, row=f"meta_apps/{app_id}/verify_token"),
        )

    async def bump(self) -> None:
        await self.run("UPDATE secret_versions SET version = version + 1")

    async def post(
        self,
        body: bytes,
        *,
        signature: str | None = None,
        app: str = APP,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        signed = {"X-Hub-Signature-256": sign(body) if signature is None else signature}
        return await self.meta.post(
            f"/webhooks/meta/{app}", content=body, headers=signed | (headers or {})
        )

    def produced(self) -> list[dict[str, Any]]:
        return [json.loads(record.value or b"") for record in self.broker.records(INBOUND)]


def sign(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def body_of(*texts: str) -> bytes:
    items = [
        {"sender": {"id": "7"}, "recipient": {"id": "1"}, "message": {"mid": f"m_{t}", "text": t}}
        for t in texts
    ]
    return json.dumps({"object": "page", "entry": [{"id": "1", "messaging": items}]}).encode()


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    engine = create_engine(database_url, pool_size=3, max_overflow=3, application_name="tests")
    stage = Stage(engine, tmp_path)
    account = ids.new_id(ids.ACCOUNT)
    await stage.app(APP, SECRET, OLD_SECRET)
    await stage.run(
        "INSERT INTO accounts (id, name, created_at, updated_at) VALUES (:a, 'A', now(), now())",
        a=account,
    )
    await stage.run(
        "INSERT INTO channels (account_id, id, kind, name, status, source_id,"
        " incoming_token_hash, connected_at, created_at, updated_at) VALUES (:a, :id,"
        " 'third_party', 'C', 'active', :id, :hash, now(), now(), now())",
        a=account,
        id=stage.channel,
        hash=hashlib.sha256(INCOMING.encode()).digest(),
    )
    await stage.secrets.refresh()
    async with stage.meta, stage.api:
        yield stage
    await engine.dispose()


class TestWebhooks:
    async def test_a_signed_body_is_answered_once_its_events_are_durable(
        self, stage: Stage
    ) -> None:
        answer = await stage.post(body_of("a", "b"))
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["X-Request-Id"]
        assert [each["message"]["text"] for each in stage.produced()] == ["a", "b"]
        assert {each["meta_app_id"] for each in stage.produced()} == {APP}

    async def test_without_kafka_it_is_a_503_that_says_when_to_try_again(
        self, stage: Stage
    ) -> None:
        stage.broker.away = True
        answer = await stage.post(body_of("a"))
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/not-durable"
        assert int(answer.headers["Retry-After"]) >= 1
        assert stage.produced() == []

    @pytest.mark.parametrize(
        "signature",
        [
            "",
            "sha256=",
            "sha1=" + "0" * 40,
            "sha256=" + "0" * 64,
            "sha256=" + "g" * 64,
            "sha256=" + "0" * 63,
            "0" * 64,
            "sha256=" + "é" * 64,
            sign(body_of("a"), "another"),
            sign(body_of("b")),
            sign(body_of("a")) + ",",
            "x" * 8000,
        ],
    )
    async def test_forgeries_are_refused_alike_and_never_parsed(
        self, stage: Stage, signature: str
    ) -> None:
        body = body_of("a")
        request = stage.meta.build_request("POST", f"/webhooks/meta/{APP}", content=body)
        request.headers = httpx.Headers(
            [(b"x-hub-signature-256", signature.encode()), (b"content-length", b"%d" % len(body))]
        )
        answer = await stage.meta.send(request)
        problem = answer.json()
        assert answer.status_code == 401
        assert problem.pop("instance") == answer.headers["X-Request-Id"]
        assert problem["type"] == "/problems/invalid-signature"
        assert problem["detail"] == "The signature of the body is missing or wrong."
        assert sign(body).removeprefix("sha256=") not in answer.text
        assert stage.produced() == []

    async def test_an_unknown_app_looks_like_a_wrong_signature(self, stage: Stage) -> None:
        known = (await stage.post(body_of("a"), signature="sha256=" + "0" * 64)).json()
        unknown = (await stage.post(body_of("a"), app="999")).json()
        assert known | {"instance": ""} == unknown | {"instance": ""}

    async def test_an_app_that_no_database_could_name_is_unknown(self, stage: Stage) -> None:
        assert (await stage.post(b"{}", app="a%00b")).status_code == 401
        asked = {"hub.mode": "subscribe", "hub.verify_token": "x", "hub.challenge": "1"}
        answer = await stage.meta.get("/webhooks/meta/%00", params=asked)
        assert answer.status_code == 403

    async def test_all_first_webhooks_of_a_new_app_are_taken(self, stage: Stage) -> None:
        await stage.app("777", "other")
        async with asyncio.TaskGroup() as group:
            posts = [
                group.create_task(stage.post(body, app="777", signature=sign(body, "other")))
                for body in (body_of(f"a{n}") for n in range(64))
            ]
        # More than may be looked up in a second; they share one look-up.
        assert {post.result().status_code for post in posts} == {200}

    async def test_two_secrets_hold_while_one_is_rotated(self, stage: Stage) -> None:
        body = body_of("a")
        assert (await stage.post(body, signature=sign(body, OLD_SECRET))).status_code == 200
        await stage.app(APP, SECRET)
        await stage.bump()
        await stage.secrets.refresh()
        assert (await stage.post(body, signature=sign(body, OLD_SECRET))).status_code == 401
        assert (await stage.post(body)).status_code == 200

    async def test_what_cannot_be_understood_is_taken_all_the_same(self, stage: Stage) -> None:
        for body in (b"", b"{", b"null", b"\xff", b"[1]"):
            assert (await stage.post(body)).status_code == 200
        assert {each["unrecognised"]["reason"] for each in stage.produced()} == {"bad-json"}

    async def test_a_content_type_does_not_matter_but_an_encoding_does(self, stage: Stage) -> None:
        wrong = {"Content-Type": "text/plain; charset=utf-16"}
        assert (await stage.post(body_of("a"), headers=wrong)).status_code == 200
        answer = await stage.post(body_of("a"), headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 415

    async def test_a_body_over_the_limit_is_refused_declared_or_not(self, stage: Stage) -> None:
        exact = b" " * LIMIT
        assert (await stage.post(exact)).status_code == 200
        assert (await stage.post(exact + b" ")).status_code == 413

        async def dripped() -> AsyncIterator[bytes]:
            for _ in range(LIMIT // 1024 + 1):
                yield b" " * 1024

        answer = await stage.meta.post(f"/webhooks/meta/{APP}", content=dripped())
        assert answer.status_code == 413
        assert answer.headers["Connection"] == "close"

    async def test_other_methods_are_told_which_there_are(self, stage: Stage) -> None:
        answer = await stage.meta.put(f"/webhooks/meta/{APP}")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")
        assert answer.json()["instance"] == answer.headers["X-Request-Id"]
        assert (await stage.meta.post("/webhooks/meta/1/2")).status_code == 404


class TestHandshake:
    async def _get(self, stage: Stage, **query: Any) -> httpx.Response:
        return await stage.meta.get(
            f"/webhooks/meta/{APP}", params={f"hub.{name}": each for name, each in query.items()}
        )

    async def test_the_challenge_is_echoed_as_plain_text(self, stage: Stage) -> None:
        answer = await self._get(
            stage, mode="subscribe", verify_token=TOKEN, challenge="CHALLENGE_ACCEPTED"
        )
        assert (answer.status_code, answer.text) == (200, "CHALLENGE_ACCEPTED")
        assert answer.headers["Content-Type"].startswith("text/plain")

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ({"mode": "subscribe", "verify_token": "wrong", "challenge": "1"}, 403),
            ({"mode": "subscribe", "verify_token": TOKEN}, 400),
            ({"verify_token": TOKEN, "challenge": "1"}, 400),
            ({"mode": "unsubscribe", "verify_token": TOKEN, "challenge": "1"}, 400),
            ({"mode": "subscribe", "verify_token": TOKEN, "challenge": "<script>"}, 400),
            ({"mode": "subscribe", "verify_token": [TOKEN, TOKEN], "challenge": "1"}, 400),
        ],
    )
    async def test_what_is_refused(self, stage: Stage, query: dict[str, Any], status: int) -> None:
        answer = await self._get(stage, **query)
        assert answer.status_code == status
        assert "<script>" not in answer.text


class TestSecrets:
    async def test_before_anything_was_loaded_nobody_can_be_told_from_anybody(
        self, stage: Stage
    ) -> None:
        stage.secrets._version = None
        answer = await stage.post(body_of("a"))
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/not-ready"

    async def test_what_was_just_created_works_at_once(self, stage: Stage) -> None:
        assert (await stage.post(body_of("a"), app="42")).status_code == 401
        await stage.app("42", SECRET)
        assert (await stage.post(body_of("a"), app="42")).status_code == 401
        stage.now += 1.1  # a no is kept for a second
        assert (await stage.post(body_of("a"), app="42")).status_code == 200

    async def test_a_token_that_was_just_rotated_works_at_once(self, stage: Stage) -> None:
        async def post(token: str) -> int:
            answer = await stage.api.post(
                f"/incoming/{stage.channel}/typing",
                json={"contact_id": "c"},
                headers={"Authorization": f"Bearer {token}"},
            )
            return answer.status_code

        assert await post("cgt_fresh") == 401
        await stage.run(
            "UPDATE channels SET incoming_token_hash = :hash",
            hash=hashlib.sha256(b"cgt_fresh").digest(),
        )
        assert await post("cgt_fresh") == 401
        stage.now += 1.1  # a no is kept for a second
        assert await post("cgt_fresh") == 202
        assert await post(INCOMING) == 401
        stage.now += 1.1
        await stage.run("ALTER TABLE channels RENAME TO gone")
        assert await post("cgt_fresh") == 202

    async def test_what_was_loaded_outlives_the_database(self, stage: Stage) -> None:
        await stage.run("ALTER TABLE meta_apps RENAME TO gone")
        assert (await stage.post(body_of("a"))).status_code == 200


class TestThirdParty:
    def _message(self, **fields: Any) -> dict[str, Any]:
        return {"id": "x-1", "contact": {"id": "c-1"}, "type": "text", "text": "hi"} | fields

    async def test_one_message_or_many_are_taken_in_order(self, stage: Stage) -> None:
        path = f"/incoming/{stage.channel}/messages"
        one = await stage.api.post(path, json=self._message())
        assert one.status_code == 202, one.text
        assert one.json()["accepted"][0]["id"] == "x-1"
        many = [self._message(id=f"y-{n}", text=str(n)) for n in range(3)]
        answer = await stage.api.post(path, json={"messages": many})
        assert [each["id"] for each in answer.json()["accepted"]] == ["y-0", "y-1", "y-2"]
        assert [each["message"]["text"] for each in stage.produced()] == ["hi", "0", "1", "2"]
        again = await stage.api.post(path, json=self._message())
        assert again.json() == one.json()

    @pytest.mark.parametrize(
        ("fields", "pointer"),
        [
            ({"text": None}, "/text"),
            ({"type": "image"}, "/url"),
            ({"type": "image", "url": "ftp://x"}, "/url"),
            ({"type": "location", "latitude": 91, "longitude": 1}, "/latitude"),
            ({"type": "postback"}, "/payload"),
            ({"type": "dance"}, "/type"),
            ({"contact": {"id": "-"}}, "/contact/id"),
            ({"contact": {}}, "/contact/id"),
            ({"surprise": 1}, "/surprise"),
            ({"timestamp": "soon"}, "/timestamp"),
            ({"text": "a\0b"}, "/text"),
        ],
    )
    async def test_bad_fields_are_named(
        self, stage: Stage, fields: dict[str, Any], pointer: str
    ) -> None:
        path = f"/incoming/{stage.channel}/messages"
        message = {k: v for k, v in (self._message() | fields).items() if v is not None}
        answer = await stage.api.post(path, json=message)
        assert answer.status_code == 422, answer.text
        assert pointer in [fault["pointer"] for fault in answer.json()["errors"]]
        batch = await stage.api.post(path, json={"messages": [self._message(id="ok"), message]})
        assert f"/messages/1{pointer}" in [f["pointer"] for f in batch.json()["errors"]]
        assert stage.produced() == []

    async def test_the_token_opens_this_channel_alone(self, stage: Stage) -> None:
        path = f"/incoming/{stage.channel}/messages"
        for headers in ({"Authorization": "Bearer wrong"}, {"Authorization": ""}):
            answer = await stage.api.post(path, json=self._message(), headers=headers)
            assert answer.status_code == 401
        other = await stage.api.post(f"/incoming/{ids.new_id(ids.CHANNEL)}/messages", json={})
        assert other.status_code == 404

    async def test_a_suspended_channel_takes_messages_and_a_deleted_one_does_not(
        self, stage: Stage
    ) -> None:
        path = f"/incoming/{stage.channel}/messages"
        await stage.run("UPDATE channels SET status = 'suspended'")
        await stage.bump()
        await stage.secrets.refresh()
        assert (await stage.api.post(path, json=self._message())).status_code == 202
        await stage.run("UPDATE channels SET status = 'deleted'")
        await stage.bump()
        await stage.secrets.refresh()
        assert (await stage.api.post(path, json=self._message())).status_code == 404

    async def test_statuses_typing_and_profiles(self, stage: Stage) -> None:
        base = f"/incoming/{stage.channel}"
        answers = [
            await stage.api.post(f"{base}/statuses", json={"message_id": "m", "status": "read"}),
            await stage.api.post(f"{base}/typing", json={"contact_id": "c-1"}),
            await stage.api.put(f"{base}/contacts/c-1", json={"name": "Robin"}),
        ]
        assert [answer.status_code for answer in answers] == [202, 202, 202]
        assert {name for each in stage.produced() for name in each} >= {
            "status",
            "typing",
            "contact",
        }

    async def test_a_body_that_is_no_json_is_a_400_and_another_type_a_415(
        self, stage: Stage
    ) -> None:
        path = f"/incoming/{stage.channel}/messages"
        json_type = {"Content-Type": "application/json"}
        assert (await stage.api.post(path, content=b"{", headers=json_type)).status_code == 400
        assert (await stage.api.post(path, content=b"{}")).status_code == 415
        large = b'"' + b"x" * LIMIT + b'"'
        assert (await stage.api.post(path, content=large, headers=json_type)).status_code == 413

    async def test_an_uploaded_file_can_be_named_by_a_message(self, stage: Stage) -> None:
        png = b"\x89PNG\r\n\x1a\n" + b"0" * 100
        answer = await stage.api.post(
            f"/incoming/{stage.channel}/media", files={"file": ("a.png", png, "image/png")}
        )
        assert answer.status_code == 201, answer.text
        media = answer.json()
        assert (media["mime_type"], media["size"]) == ("image/png", len(png))
        message = self._message(type="image", media_id=media["id"]) | {"text": "look"}
        posted = await stage.api.post(f"/incoming/{stage.channel}/messages", json=message)
        assert posted.status_code == 202

    @pytest.mark.parametrize(
        ("files", "status"),
        [
            ({"file": ("a.png", b"GIF89a", "image/png")}, 422),
            ({"file": ("a.exe", b"MZ", "image/exe")}, 422),
            ({"other": ("a.png", b"GIF89a", "image/gif")}, 422),
            ({"file": ("a.gif", b"GIF89a" + b"0" * 8_000_000, "image/gif")}, 413),
            ({"file": ("a.pdf", b"%PDF-" + b"0" * 26_000_000, "application/pdf")}, 413),
        ],
    )
    async def test_what_is_no_media_is_refused(
        self, stage: Stage, files: dict[str, Any], status: int
    ) -> None:
        answer = await stage.api.post(f"/incoming/{stage.channel}/media", files=files)
        assert answer.status_code == status, answer.text
