"""How late timers fire, where ten thousand are due within the same minute.

Each is an offer that runs out, so that its enquiry is offered to somebody else: a dozen rows and
two public events. Counted from the moment at which it is due until its effect is committed, by the
database's own account. The timers are those of ten accounts, and then of a single one, whose
decisions come one after the other.

TIMERS_OFFERS says how many there are, TIMERS_SECONDS within how many seconds they are due.
"""

import asyncio
import os
from datetime import timedelta
from typing import Final

import asyncpg
from tests.support.expiring import Expiring

from benchmarks.figures import record
from benchmarks.stage import OTHER_CORE, Stage, cpu_seconds, pin, stage
from gateway.clock import SystemClock

_ACCOUNTS: Final = {"timers": 10, "timers.one_account": 1}
_OFFERS: Final = 10_000
_SECONDS: Final = 60.0
# Until the rows are written and the role has its leases.
_AHEAD: Final = timedelta(seconds=30)
_MOST_SECONDS: Final = 120.0


def main() -> None:
    """Measure and keep the figures."""
    for name, accounts in _ACCOUNTS.items():
        asyncio.run(_measure(name, accounts))


async def _measure(name: str, accounts: int) -> None:
    offers = int(_told("TIMERS_OFFERS", str(_OFFERS)))
    seconds = float(_told("TIMERS_SECONDS", str(_SECONDS)))
    async with stage() as ground:
        await _note_commits(ground)
        dsn = ground.database_url.replace("postgresql+asyncpg://", "postgresql://", 1)
        begins = SystemClock().now() + _AHEAD
        expiring = Expiring(accounts=accounts, offers=offers, begins=begins, seconds=seconds)
        await expiring.write(dsn)
        async with ground.role("routing", environment={"KAFKA_PARTITIONS": "8"}) as role:
            assert SystemClock().now() < begins, "the first were due before the role was ready"
            await asyncio.sleep((begins - SystemClock().now()).total_seconds())
            before = cpu_seconds(role.pid)
            await expiring.until_none_is_left(dsn, seconds=_MOST_SECONDS)
            cpu = cpu_seconds(role.pid) - before
        late = await expiring.lateness(dsn)
    assert len(late) == offers, "each fires once"
    record(f"{name}.lateness.p50", late[len(late) // 2], "s")
    record(f"{name}.lateness.p99", late[len(late) * 99 // 100], "s")
    record(f"{name}.lateness.most", late[-1], "s")
    record(f"{name}.cpu_per_timer", cpu / offers * 1e6, "µs")


async def _note_commits(ground: Stage) -> None:
    """Start the database anew so that it keeps the moment of each commit."""
    postgres = ground.postgres
    connection = await asyncpg.connect(postgres.kind.superuser_address(postgres.port))
    await connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    await connection.close()
    await postgres.stop()
    with pin(OTHER_CORE):
        await postgres.start()


def _told(name: str, otherwise: str) -> str:
    return os.environ.get(name, otherwise)  # noqa: TID251 - no setting of a role's
