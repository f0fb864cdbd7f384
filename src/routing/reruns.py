"""Does the parts of redeliveries and replays of many, wherever a process died in one.

A part and its place are one transaction, under the rerun's own lock: any number of processes may
look, each part is done by one.
"""

import asyncio
from typing import Final

import structlog
from prometheus_client import Counter

from gateway.db.failures import is_transient, name_of
from gateway.db.reruns import Rerun, get_rerun, save_rerun, take_due_rerun
from gateway.db.unit_of_work import Database
from gateway.messaging.reruns import do_part

_SWEEP_SECONDS: Final = 1.0
_FAILURES: Final = 5

_PARTS = Counter("gateway_rerun_parts_total", "Parts of reruns, by what became of them.", ["kind"])

log = structlog.get_logger()


class Reruns:
    """Looks each second for reruns whose next part is due."""

    def __init__(self, database: Database, *, per_second: int) -> None:
        """Take how many things each rerun does again in a second."""
        self._database = database
        self._per_second = per_second
        self._failures: dict[str, int] = {}

    async def run(self) -> None:
        """Work until cancelled; a database that goes away comes back."""
        while True:
            try:
                await self.run_due()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("reruns.wait", error=name_of(error))
            await asyncio.sleep(_SWEEP_SECONDS)

    async def run_due(self) -> int:
        """Do all parts that are due now; return how many."""
        done = 0
        while await self._one():
            done += 1
        return done

    async def _one(self) -> bool:
        rerun: Rerun | None = None
        try:
            async with self._database.unit_of_work() as work:
                rerun = await take_due_rerun(work.connection, now=work.now)
                if rerun is None:
                    return False
                await do_part(work, rerun, per_second=self._per_second)
                await work.flush()
        except Exception as error:
            if rerun is None or is_transient(error):
                raise
            await self._failed(rerun, error)
            return False
        self._failures.pop(rerun.id, None)
        _PARTS.labels(kind=rerun.kind).inc()
        if rerun.status != "running":
            log.info(
                "rerun.ended",
                rerun_id=rerun.id,
                status=rerun.status,
                redelivered=rerun.redelivered,
                passed_over=rerun.passed_over,
            )
        return True

    async def _failed(self, rerun: Rerun, error: Exception) -> None:
        failures = self._failures.get(rerun.id, 0) + 1
        self._failures[rerun.id] = failures
        log.warning("rerun.failed", rerun_id=rerun.id, failures=failures, exc_info=error)
        if failures < _FAILURES:
            return
        async with self._database.unit_of_work() as work:
            current = await get_rerun(work.connection, rerun.account_id, rerun.id, lock=True)
            if current is not None and current.status == "running":
                current.end("failed", now=work.now)
                await save_rerun(work.connection, current)
        self._failures.pop(rerun.id, None)
