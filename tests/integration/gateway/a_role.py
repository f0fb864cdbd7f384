"""A role with parts that misbehave on request; run by `test_roles` in a process of its own."""

import asyncio
import os
import sys

import structlog

from gateway.roles import RoleParts, run_role
from gateway.settings import Settings

log = structlog.get_logger()


async def compose(parts: RoleParts) -> None:
    """Do what the first argument says."""
    conduct = sys.argv[1]
    leases = parts.leases("sender")
    parts.lifecycle.supervise("work", lambda: work(conduct))
    parts.lifecycle.on_drain("work", lambda: drain(conduct))
    leases.on_gained(lambda _shards: None)


async def work(conduct: str) -> None:
    match conduct:
        case "fails":
            raise RuntimeError("a secret: EAAtokentokentoken")
        case "ends":
            return
        case "stubborn":
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    continue
        case _:
            await asyncio.sleep(3600)


async def drain(conduct: str) -> None:
    log.info("draining")
    if conduct == "drains":
        await asyncio.sleep(0.5)
        log.info("drained")
    if conduct == "slow":
        await asyncio.sleep(60)


if __name__ == "__main__":
    os.chdir("/")
    run_role(Settings(), "sender", compose)
