"""What every call refuses in the same way, before it looks at what is wanted."""

import gzip
import json
from contextlib import contextmanager
from html import escape

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from tests.support.api import ADMIN_KEY, Caller, pointers, problem
from tests.support.graph_codes import DOCUMENTED, OF_A_RANGE

from gateway import errors
from gateway.api.failure_reasons import OWN_REASONS
from gateway.db.engine import create_engine
from gateway.http.api_keys import new_key
from gateway.http.problems import ALL_PROBLEM_TYPES, PROBLEM_TYPES
from gateway.settings import Settings


def subclasses(cls):
    for each in cls.__subclasses__():
        yield each
        yield from subclasses(each)


def test_every_error_has_its_own_row_of_the_table():
    documented = {
        "malformed-json": 400, "missing-parameter": 400, "unauthenticated": 401,
        "invalid-signature": 401, "forbidden": 403, "insufficient-scope": 403,
        "verify-token-mismatch": 403, "not-found": 404, "method-not-allowed": 405,
        "recall-not-supported": 405, "not-acceptable": 406, "conflict": 409,
        "page-already-connected": 409, "channel-suspended": 409, "channel-deleted": 409,
        "messaging-window-closed": 409, "contact-blocked": 409, "thread-owned-elsewhere": 409,
        "illegal-transition": 409, "not-assignee": 409, "idempotency-key-in-use": 409,
        "departments-exhausted": 409, "cursor-expired": 410, "version-mismatch": 412,
        "body-too-large": 413, "unsupported-media-type": 415, "validation-failed": 422,
        "text-too-long": 422, "challenge-failed": 422, "address-not-allowed": 422,
        "not-supported-by-channel": 422, "media-not-supported": 422,
        "idempotency-key-reused": 422, "rate-limited": 429, "internal-error": 500,
        "upstream-failed": 502, "not-durable": 503, "not-ready": 503,
    }  # fmt: skip
    assert set(subclasses(errors.GatewayError)) == set(PROBLEM_TYPES)
    table = {kind.slug: kind.status for kind in ALL_PROBLEM_TYPES}
    assert documented.items() <= table.items()
    assert len(ALL_PROBLEM_TYPES) == len(table)


async def test_problems_are_explained_to_programs_and_to_people(api):
    listed = (await api.client.get("/problems")).json()["data"]
    slugs = [each["slug"] for each in listed]
    refusals = len(ALL_PROBLEM_TYPES)
    assert slugs[:refusals] == [kind.slug for kind in ALL_PROBLEM_TYPES]
    assert set(slugs[refusals:]) == {
        *(kind.slug for kind in OWN_REASONS),
        *(row.name for row in DOCUMENTED if (row.code, row.subcode) not in OF_A_RANGE),
    }
    assert len(slugs) == len(set(slugs))
    for kind in ALL_PROBLEM_TYPES:
        explained = await api.client.get(kind.type)
        assert explained.status_code == 200
        assert explained.json()["remedy"] == kind.remedy
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = await api.client.get("/problems/not-found", headers=browser)
    assert page.headers["content-type"].startswith("text/html")
    assert "There is no such thing" in page.text
    assert "messaging-window-closed" in (await api.client.get("/problems", headers=browser)).text
    problem(await api.client.get("/problems/nonsense"), "not-found", 404)


async def test_why_a_message_failed_can_be_looked_up(api):
    for slug in ("cancelled", "meta-190-463", "meta-190-99999", "meta-4711-5"):
        explained = (await api.client.get(f"/problems/{slug}")).json()
        assert (explained["slug"], explained["type"]) == (slug, f"/problems/{slug}")
        assert all(explained[words] for words in ("title", "cause", "remedy"))
        page = await api.client.get(f"/problems/{slug}", headers={"Accept": "text/html"})
        assert escape(explained["cause"]) in page.text
    problem(await api.client.get("/problems/meta-1-2-3"), "not-found", 404)


async def test_the_reference_needs_nothing_from_elsewhere(api):
    page = await api.client.get("/docs")
    assert page.status_code == 200
    assert "https://" not in page.text
    assert (await api.client.get("/docs/assets/swagger-ui-bundle.js")).status_code == 200
    assert (await api.client.get("/docs/assets/swagger-ui.css")).status_code == 200
    assert (await api.client.get("/openapi.json")).json()["openapi"].startswith("3.1")
    assert (await api.client.get("/")).headers["location"] == "/docs"


class TestCredentials:
    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            "Bearer",
            "Bearer ",
            "Basic dTpw",
            "Bearer cgk_nonsense",
            "Bearer \xff\xfe",
            "Bearer " + "x" * 8000,
        ],
    )
    async def test_nobody_gets_in_without_a_key(self, api, header):
        headers = {} if header is None else {"Authorization": header.encode("latin-1")}
        refused = await api.client.get("/v1/agents", headers=headers)
        problem(refused, "unauthenticated", 401)
        assert refused.headers["www-authenticate"].startswith("Bearer")

    async def test_unknown_and_mistyped_keys_are_answered_alike(self, api):
        acme = await api.account()
        unknown = str(new_key("key_01kb2x5h8ve0xrn1y2z3a4b5c6"))
        wrong_secret = str(new_key(await _key_id(acme)))
        mistyped = acme.key[:-1] + ("0" if acme.key[-1] != "0" else "1")
        bodies = set()
        for key in (unknown, wrong_secret, mistyped):
            refused = await Caller(api.client, key).get("/v1/agents")
            body = problem(refused, "unauthenticated", 401)
            bodies.add((body["detail"], body["title"]))
        assert len(bodies) == 1

    async def test_keys_do_not_belong_in_addresses(self, api):
        acme = await api.account()
        for key in (acme.key, ADMIN_KEY):
            refused = await acme.get("/v1/agents", params={"api_key": key})
            assert key not in json.dumps(problem(refused, "unauthenticated", 401))
        assert (await acme.get("/v1/agents")).status_code == 200

    async def test_scopes_are_asked_for_by_what_a_call_does(self, api):
        acme = await api.account()
        reader = await api.key(acme.account_id, ["read"])
        writer = await api.key(acme.account_id, ["write"])
        assert (await reader.get("/v1/agents")).status_code == 200
        refused = problem(await reader.post("/v1/agents", {}), "insufficient-scope", 403)
        assert "`write`" in refused["detail"]
        problem(await writer.get("/v1/agents"), "insufficient-scope", 403)
        problem(await writer.post("/v1/conversations/x/messages", {}), "insufficient-scope", 403)
        problem(await api.admin.get("/v1/agents"), "forbidden", 403)
        administrator = await api.key(acme.account_id, ["admin"])
        assert (await administrator.get("/v1/agents")).status_code == 200
        assert (await administrator.get("/v1/dead-letters")).status_code == 200

    async def test_keys_of_a_deleted_account_end_with_it(self, api):
        acme = await api.account()
        await api.admin.delete(f"/v1/accounts/{acme.account_id}")
        problem(await acme.get("/v1/agents"), "unauthenticated", 401)


class TestRequests:
    @pytest.mark.parametrize(
        ("body", "slug", "status"),
        [
            (b"{", "malformed-json", 400),
            (b'{"name": NaN}', "malformed-json", 400),
            (b'\xef\xbb\xbf{"name": "x"}', "malformed-json", 400),
            ('{"name": "x"}'.encode("utf-16"), "malformed-json", 400),
            (b'{"name": "\xff"}', "malformed-json", 400),
            (b"[" * 65 + b"]" * 65, "malformed-json", 400),
            (b'{"name": ' + b"9" * 5000 + b"}", "malformed-json", 400),
            (b"null", "validation-failed", 422),
            (b"[]", "validation-failed", 422),
            (b"", "validation-failed", 422),
            (b'{"name": "\\ud800"}', "validation-failed", 422),
            (b'{"name": "a\\u0000b"}', "validation-failed", 422),
            (b'{"name": 5}', "validation-failed", 422),
            (b'{"name": "' + b"x" * 1024 * 1024 + b'"}', "body-too-large", 413),
        ],
    )
    async def test_bad_bodies(self, api, body, slug, status):
        headers = {"Content-Type": "application/json"}
        refused = await api.admin.call("POST", "/v1/accounts", content=body, headers=headers)
        problem(refused, slug, status)
        assert (await api.admin.get("/v1/accounts")).json()["data"] == []

    async def test_a_body_that_grows_is_cut_off_at_the_limit(self, api):
        read = 0

        async def endless():
            nonlocal read
            while True:
                read += 64 * 1024
                yield b" " * 64 * 1024

        headers = {"Content-Type": "application/json"}
        refused = await api.admin.call("POST", "/v1/accounts", content=endless(), headers=headers)
        problem(refused, "body-too-large", 413)
        assert read <= 1024 * 1024 + 2 * 64 * 1024

    async def test_types_and_encodings(self, api):
        body = b'{"name": "x"}'
        for headers in (
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/x-www-form-urlencoded"},
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
            {},
        ):
            content = gzip.compress(body) if "Content-Encoding" in headers else body
            refused = await api.admin.call("POST", "/v1/accounts", content=content, headers=headers)
            problem(refused, "unsupported-media-type", 415)
        for media_type in ("application/json; charset=utf-8", "application/merge-patch+json"):
            made = await api.admin.call(
                "POST", "/v1/accounts", content=body, headers={"Content-Type": media_type}
            )
            assert made.status_code == 201

    @pytest.mark.parametrize(
        ("accept", "acceptable"),
        [
            ("application/json", True),
            ("*/*", True),
            ("application/*;q=0.1", True),
            ("text/html, */*;q=0.5", True),
            ("application/xml", False),
            ("text/html", False),
            ("application/json;q=0", False),
            ("application/json;q=0, */*", False),
            ("nonsense", False),
        ],
    )
    async def test_accept(self, api, accept, acceptable):
        answer = await api.admin.get("/v1/accounts", headers={"Accept": accept})
        if acceptable:
            assert answer.status_code == 200
        else:
            problem(answer, "not-acceptable", 406)

    async def test_paths_and_methods(self, api):
        acme = await api.account()
        problem(await acme.get("/v1/nothing"), "not-found", 404)
        problem(await acme.get("/v1/agents/"), "not-found", 404)
        problem(await acme.get("/v1/agents/%00"), "not-found", 404)
        problem(await acme.get("/v1/agents/agt_x%0d%0aSet-Cookie:x"), "not-found", 404)
        refused = await acme.put("/v1/agents", {})
        problem(refused, "method-not-allowed", 405)
        assert refused.headers["allow"] == "GET, POST"
        refused = await acme.call("TRACE", f"/v1/accounts/{acme.account_id}")
        assert refused.headers["allow"] == "DELETE, GET, PATCH"

    async def test_parameters(self, api):
        acme = await api.account()
        for query, pointer in [
            ("limit=0", "/query/limit"),
            ("limit=201", "/query/limit"),
            ("limit=x", "/query/limit"),
            ("cursor=nonsense", "/query/cursor"),
            ("colour=red", "/query/colour"),
            ("limit=1&limit=2", "/query/limit"),
            ("search=%00", "/query/search"),
            ("search=", "/query/search"),
        ]:
            refused = await acme.get(f"/v1/agents?{query}")
            assert pointers(problem(refused, "validation-failed", 422)) == [pointer]

    async def test_a_cursor_belongs_to_its_list(self, api):
        acme = await api.account()
        for name in ("a", "b"):
            await acme.post("/v1/agents", {"first_name": name})
        cursor = (await acme.get("/v1/agents?limit=1")).json()["next_cursor"]
        assert (await acme.get("/v1/agents", params={"cursor": cursor})).status_code == 200
        for foreign in (cursor + "=", cursor[:-1], cursor + "A"):
            refused = await acme.get("/v1/agents", params={"cursor": foreign})
            assert pointers(problem(refused, "validation-failed", 422)) == ["/query/cursor"]
        refused = await acme.get("/v1/endpoints", params={"cursor": cursor})
        problem(refused, "validation-failed", 422)

    async def test_a_call_without_a_body_takes_none(self, api):
        acme = await api.account()
        channel = await api.third_party(acme)
        path = f"/v1/channels/{channel['id']}/suspend"
        refused = await acme.post(path, {"why": "a/b"})
        assert pointers(problem(refused, "validation-failed", 422)) == ["/why"]
        assert (await acme.post(path, {})).status_code == 200

    async def test_every_answer_has_an_id(self, api):
        seen = set()
        for path in ("/v1/accounts", "/nothing", "/docs", "/problems"):
            seen.add((await api.client.get(path)).headers["x-request-id"])
        assert len(seen) == 4


class TestRateLimit:
    @pytest.fixture
    def settings(self):
        return Settings(gateway_admin_key=SecretStr(ADMIN_KEY), api_rate_limit_per_minute=5)

    async def test_a_key_has_its_calls_a_minute(self, api):
        acme = await api.account()
        other = await api.key(acme.account_id, ["read"])
        answers = [await acme.get("/v1/agents") for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        assert answers[0].headers["ratelimit-limit"] == "5"
        assert answers[0].headers["ratelimit-remaining"] == "4"
        assert answers[0].headers["ratelimit-policy"] == '"calls";q=5;w=60'
        problem(answers[-1], "rate-limited", 429)
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert answers[-1].headers["ratelimit-remaining"] == "0"
        assert (await other.get("/v1/agents")).status_code == 200


class TestFaults:
    async def test_nothing_of_a_crash_gets_out(self, api):
        async def crash():
            raise RuntimeError("postgresql://user:password@host")

        with _route(api.app, "/crash", crash):
            answer = await api.client.get("/crash")
        body = problem(answer, "internal-error", 500)
        assert "password" not in json.dumps(body)

    async def test_a_database_that_is_away_is_a_503(self, api):
        async def wait_in_vain():
            raise PoolTimeoutError("QueuePool limit")

        with _route(api.app, "/wait", wait_in_vain):
            answer = await api.client.get("/wait")
        problem(answer, "not-ready", 503)
        assert answer.headers["retry-after"] == "1"
        acme = await api.account()
        await api.database.engine.dispose()
        api.database.engine = create_engine(
            "postgresql+asyncpg://127.0.0.1:1/none",
            pool_size=1,
            max_overflow=0,
            application_name="test",
        )
        answer = await acme.get("/v1/agents")
        problem(answer, "not-ready", 503)


@contextmanager
def _route(app, path, endpoint):
    app.add_api_route(path, endpoint)
    try:
        yield
    finally:
        app.router.routes.pop()


async def _key_id(caller):
    keys = (await caller.get(f"/v1/accounts/{caller.account_id}/api-keys")).json()
    return keys["data"][0]["id"]
