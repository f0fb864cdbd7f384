"""The sandbox beside a gateway whose clock it may move: `python -m gateway.dev.sandbox_process`.

DATABASE_URL names the gateway's database; everything else comes from `SANDBOX_…`.
"""

import asyncio

from sqlalchemy import text

from gateway.clock import SystemClock
from gateway.db.engine import create_engine
from gateway.db.processes import advance_clock
from gateway.db.secrets import KeyRing
from gateway.db.unit_of_work import Database
from gateway.db.wakeups import Wakeups
from gateway.sandbox.app import create_sandbox
from gateway.sandbox.server import serve
from gateway.sandbox.settings import SandboxSettings
from gateway.settings import Settings


async def run(settings: SandboxSettings, *, database_url: str, encryption_keys: str) -> None:
    """Serve until SIGTERM, with the product's clock where the database says that it stands."""
    engine = create_engine(
        database_url, pool_size=2, max_overflow=0, application_name="gateway-sandbox"
    )
    wakeups = Wakeups(database_url)
    clock = SystemClock()
    database = Database(
        engine, clock=clock, keyring=KeyRing.from_text(encryption_keys), wake=wakeups.wake
    )
    async with engine.connect() as connection:
        offset = (
            await connection.execute(text("SELECT gateway_now() - clock_timestamp()"))
        ).scalar_one()
    clock.offset = offset

    async def advance(seconds: float) -> None:
        await advance_clock(database, seconds)

    app = create_sandbox(settings, clock=clock, advance_clock=advance)
    async with asyncio.TaskGroup() as group:
        waking = group.create_task(wakeups.run())
        await serve(app, host=settings.host, port=settings.port)
        waking.cancel()
    await engine.dispose()


if __name__ == "__main__":
    _settings = Settings()
    asyncio.run(
        run(
            SandboxSettings(),
            database_url=_settings.database_url.get_secret_value(),
            encryption_keys=_settings.encryption_keys.get_secret_value(),
        )
    )
