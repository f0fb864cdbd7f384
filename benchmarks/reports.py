"""How long reports and lists take in an account of a million enquiries, asked by REST.

`python -m benchmarks reports` fills an embedded PostgreSQL of its own with enquiries of ninety
days, twenty channels and a hundred agents, which takes some minutes, and calls the application in
this process. A report may take a second, a page of a list 50 milliseconds.

REPORTS_ENQUIRIES says how many there are.
"""

import asyncio
import itertools
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
from pydantic import SecretStr

from benchmarks.database import superuser_address
from benchmarks.figures import record
from gateway.api.parts import ApiParts
from gateway.asgi import AppParts, create_app
from gateway.clock import SystemClock
from gateway.db.engine import PLANNED_EACH_TIME, create_engine
from gateway.db.migrate import upgrade
from gateway.db.secrets import KeyRing, generate_key
from gateway.db.unit_of_work import Database
from gateway.embedded import Postgres, Server
from gateway.settings import Settings
from gateway.telemetry import configure_logging
from routing import api as routing_api
from routing.reach import Reach

_ENQUIRIES: Final = 1_000_000
_DAYS: Final = 90
_ROUNDS: Final = 5
_ADMIN: Final = "benchmark"
_GROUPS: Final = (
    "",
    "channel",
    "status",
    "destination",
    "agent",
    "day",
    "day,channel",
    "agent,status",
    "channel,agent",
    "agent,day",
    "channel,status,destination,agent",
)
# What a list can be asked for: often, seldom, and never found.
_FILTERS: Final = {
    "status": ("closed", "missed", "open"),
    "channel_id": ("chn_0001", "chn_0020", "chn_none"),
    "agent_id": ("agt_0050", "agt_0003"),
    "destination_id": ("tem_0003", "agt_0050"),
    "contact_id": ("con_00500000",),
    "opened_after": ("{middle}",),
    "opened_before": ("{early}",),
}
# A third of the enquiries goes through teams. Agents of one half never serve the second channel.
_FILL: Final = """
INSERT INTO enquiries (account_id, id, channel_id, conversation_id, contact_id, status, destination,
  agent_id, agent_name, handled_by, assignment, opened_at, entered_at, offered_at, accepted_at,
  first_response_at, closed_at, missed_at, updated_at)
SELECT $1, 'enq_' || lpad(n::text, 8, '0'), 'chn_' || lpad(c::text, 4, '0'), 'cnv_' || n,
  'con_' || lpad(n::text, 8, '0'), s,
  CASE WHEN s = 'closed' THEN jsonb_build_object('kind', 'agent', 'name', 'Ann Lee', 'id',
    CASE WHEN a % 3 = 0 THEN 'tem_' || lpad((a % 10)::text, 4, '0')
         ELSE 'agt_' || lpad(a::text, 4, '0') END) END,
  CASE WHEN s = 'closed' THEN 'agt_' || lpad(a::text, 4, '0') END,
  CASE WHEN s = 'closed' THEN 'Ann Lee' END, CASE WHEN s = 'closed' THEN 'agent' END,
  jsonb_build_object('rule', 'alternative', 'routing_version', 3, 'inputs',
    jsonb_build_object('presence', repeat(md5(n::text), 8)), 'considered', '[]'::jsonb),
  o, o, o, CASE WHEN s = 'closed' THEN o + w END, CASE WHEN s = 'closed' THEN o + w + f END,
  CASE WHEN s = 'closed' THEN o + w + h END,
  CASE WHEN s = 'missed' THEN o + interval '300 seconds' END, o + w
FROM (
  SELECT n, c, CASE WHEN c = 2 THEN a / 2 ELSE a END AS a, $2::timestamptz + n * $3::interval AS o,
    make_interval(secs => exp(6 * random())) AS w, make_interval(secs => exp(5 * random())) AS f,
    make_interval(secs => exp(9 * random())) AS h,
    CASE WHEN random() < 0.05 THEN 'missed' ELSE 'closed' END AS s
  FROM generate_series(0, $4 - 1) AS n
  CROSS JOIN LATERAL (SELECT least(20, exp(3.04 * random() + n * 0))::integer AS c,
                             (99 * random() + n * 0)::integer AS a) AS x) AS y
"""
_INDEXES: Final = """
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i WHERE i.indrelid = 'enquiries'::regclass AND NOT i.indisprimary
"""


def main() -> None:
    """Measure and keep the figures."""
    configure_logging(
        level="WARNING",
        console=True,
        show_exception_messages=True,
        redaction_key=b"benchmark",
        role="api",
    )
    asyncio.run(_measure())


async def _measure() -> None:
    count = int(os.environ.get("REPORTS_ENQUIRIES", _ENQUIRIES))  # noqa: TID251 - no setting of a role's
    directory = Path(tempfile.mkdtemp(prefix="gateway-reports-"))
    directory.chmod(0o711)
    try:
        async with Server(Postgres(directory / "postgres", durable=False)) as server:
            await asyncio.to_thread(upgrade, server.address)
            async with _application(server.address) as client:
                account_id = await _account(client)
                began = time.perf_counter()
                await _fill(superuser_address(server), account_id, count)
                print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
                await _measure_reports(client, count)
                await _measure_lists(client)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _measure_reports(client: httpx.AsyncClient, count: int) -> None:
    span = _span()
    longest = 0.0
    for groups in _GROUPS:
        query = span | ({"group_by": groups} if groups else {})
        # Once before, for what is loaded at first.
        found = [await _timed(client, "/v1/reports/enquiries", query) for _ in range(_ROUNDS + 1)]
        rows = found[0][1].json()["data"]
        assert sum(row["count"] for row in rows) == count, groups
        milliseconds = statistics.median(taken for taken, _ in found[1:])
        longest = max(longest, milliseconds)
        record(f"reports.by.{groups.replace(',', '_') or 'nothing'}", milliseconds, "ms")
    record("reports.longest", longest, "ms")


async def _measure_lists(client: httpx.AsyncClient) -> None:
    taken = []
    for query in _queries():
        first, answer = await _timed(client, "/v1/enquiries", query)
        assert answer.status_code == 200, answer.text
        again, _ = await _timed(client, "/v1/enquiries", query)
        taken.append((min(first, again), query))
    taken.sort(key=lambda each: each[0])
    print(f"the longest of {len(taken)} lists: {taken[-1][1]}")
    record("reports.lists.p50", taken[len(taken) // 2][0], "ms")
    record("reports.lists.p99", taken[len(taken) * 99 // 100][0], "ms")
    record("reports.lists.longest", taken[-1][0], "ms")


def _queries() -> Iterator[dict[str, str]]:
    """Yield every combination of filters."""
    now = SystemClock().now()
    moments = {
        "middle": (now - timedelta(days=_DAYS / 2)).isoformat(),
        "early": (now - timedelta(days=_DAYS * 0.9)).isoformat(),
    }
    for size in range(len(_FILTERS) + 1):
        for names in itertools.combinations(_FILTERS, size):
            for values in itertools.product(*(_FILTERS[name] for name in names)):
                yield {
                    name: value.format(**moments) for name, value in zip(names, values, strict=True)
                }


def _span() -> dict[str, str]:
    today = SystemClock().now().date()
    return {
        "from": (today - timedelta(days=_DAYS)).isoformat(),
        "to": (today + timedelta(days=1)).isoformat(),
        "zone": "Europe/London",
    }


async def _timed(
    client: httpx.AsyncClient, path: str, query: dict[str, str]
) -> tuple[float, httpx.Response]:
    began = time.perf_counter()
    answer = await client.get(path, params=query)
    return (time.perf_counter() - began) * 1000, answer


async def _account(client: httpx.AsyncClient) -> str:
    client.headers["Authorization"] = f"Bearer {_ADMIN}"
    made = await client.post("/v1/accounts", json={"name": "Large"})
    account_id: str = made.json()["id"]
    key = await client.post(
        f"/v1/accounts/{account_id}/api-keys", json={"name": "benchmark", "scopes": ["read"]}
    )
    client.headers["Authorization"] = f"Bearer {key.json()['secret']}"
    return account_id


async def _fill(address: str, account_id: str, count: int) -> None:
    connection = await asyncpg.connect(address)
    try:
        # Foreign keys are not looked at; the figures are noted all the same.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("ALTER TABLE enquiries ENABLE ALWAYS TRIGGER note_first_figures")
        await connection.execute("SET maintenance_work_mem = '512MB'")
        indexes = await connection.fetch(_INDEXES)
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['name']}")
        span = timedelta(days=_DAYS)
        began = SystemClock().now() - span
        await connection.execute(_FILL, account_id, began, span / count, count, timeout=600)
        for index in indexes:
            await connection.execute(index["definition"], timeout=300)
        await connection.execute("VACUUM (ANALYZE) enquiries", timeout=300)
        await connection.execute("VACUUM (ANALYZE) enquiry_figures", timeout=300)
        await connection.execute("CHECKPOINT", timeout=300)
    finally:
        await connection.close()


@asynccontextmanager
async def _application(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    unused: Any = None
    engine = create_engine(
        database_url,
        pool_size=2,
        max_overflow=0,
        application_name="gateway-reports",
        planning=PLANNED_EACH_TIME,
    )
    parts = AppParts(
        database=Database(
            engine, clock=SystemClock(), keyring=KeyRing.from_text(generate_key("benchmark"))
        ),
        api=ApiParts(
            public_url="https://gateway.example",
            egress=unused,
            pages=unused,
            graph=unused,
            login=unused,
            engagement=unused,
            routing_rules=unused,
            routing_changes=unused,
            reach=Reach(),
            inbound_partition=unused,
            endpoint_retry_seconds=(4, 56),
        ),
        routers=(routing_api.router,),
    )
    settings = Settings(gateway_admin_key=SecretStr(_ADMIN), api_rate_limit_per_minute=0)
    transport = httpx.ASGITransport(app=create_app(settings, parts))
    try:
        async with httpx.AsyncClient(
            transport=transport, base_url="https://gateway.example", timeout=60
        ) as client:
            yield client
    finally:
        await engine.dispose()
