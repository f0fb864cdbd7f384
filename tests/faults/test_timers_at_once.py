"""Ten thousand timers that are due within one minute, while routers die: each fires once."""

from datetime import timedelta

import pytest
from tests.faults.deployment import Deployment
from tests.faults.ledger import Ledger
from tests.faults.roles import Stage
from tests.faults.running import Run
from tests.support.expiring import Expiring

from gateway.clock import SystemClock

pytestmark = pytest.mark.faults

OFFERS = 10_000
SECONDS = 60.0
KILL_EVERY = 5.0
# Until the rows are written.
AHEAD = timedelta(seconds=10)
# The leases of who died last run out, and what waited for that is caught up with.
CATCH_UP_SECONDS = 90
# A shard may lose its owner several times in a row: each time a lease of eight seconds passes, and
# what came due meanwhile stands before it.
LONGEST_WAIT = 60.0

_OFFERS = "SELECT status AS name, count(*) AS count FROM offers GROUP BY 1"
_TOLD = """
    SELECT type AS name, count(*) AS count, count(DISTINCT enquiry_id) AS enquiries FROM events
    GROUP BY 1
"""
_LINES = "SELECT type AS name, count(*) AS count FROM timeline_entries GROUP BY 1"
_LATEST = """
    SELECT max(extract(epoch FROM settled_at - expires_at))::float AS seconds FROM offers
    WHERE status = 'expired'
"""


@pytest.mark.timeout(400)
async def test_each_fires_once_whoever_dies(three_routers: Stage) -> None:
    async with three_routers.gateway() as gateway:
        run = Run("timers-at-once", Deployment.of(gateway.description), Ledger())
        dsn = run.deployment.postgres_dsn
        begins = SystemClock().now() + AHEAD
        # Of one account, whose row all of them wait for.
        expiring = Expiring(accounts=1, offers=OFFERS, begins=begins, seconds=SECONDS)
        await expiring.write(dsn)
        times = int((AHEAD.total_seconds() + SECONDS) // KILL_EVERY)
        await three_routers.kill_in_turn(
            "routing", every=KILL_EVERY, times=times, ledger=run.ledger
        )
        await expiring.until_none_is_left(dsn, seconds=CATCH_UP_SECONDS)
        offers = {row["name"]: row["count"] for row in await run.fetch(_OFFERS)}
        lines = {row["name"]: row["count"] for row in await run.fetch(_LINES)}
        told = {row["name"]: (row["count"], row["enquiries"]) for row in await run.fetch(_TOLD)}
        [latest] = await run.fetch(_LATEST)
    # Each is offered to the second agent now.
    assert offers == {"expired": OFFERS, "pending": OFFERS}
    assert lines == {"offer_withdrawn": OFFERS, "offered": OFFERS}
    assert told == {
        "gateway.enquiry.offer_withdrawn.v1": (OFFERS, OFFERS),
        "gateway.enquiry.offered.v1": (OFFERS, OFFERS),
    }
    assert latest["seconds"] < LONGEST_WAIT
