"""`gateway replay`: puts the messages of a time into this release's words."""

import asyncio
import json
from dataclasses import asdict
from datetime import datetime

import typer

from gateway.broker.connection import KafkaConnection
from gateway.broker.past import TopicUnreadableError, read_past
from gateway.clock import SystemClock
from gateway.contracts.topics import INBOUND
from gateway.db.audit import AuditEntry, write_audit
from gateway.db.engine import create_engine
from gateway.db.secrets import KeyRing
from gateway.db.unit_of_work import Database
from gateway.settings import Settings
from routing.replaying import Tally, replay_some


def run(settings: Settings, *, since: datetime, until: datetime, dry_run: bool) -> None:
    """Replay, and print what it came to as one JSON object."""
    try:
        tally = asyncio.run(_replay(settings, since, until, dry_run=dry_run))
    except TopicUnreadableError as error:
        typer.echo(f"Kafka cannot be read: {error}.", err=True)
        raise typer.Exit(1) from None
    typer.echo(json.dumps(asdict(tally) | {"dry_run": dry_run}))


async def _replay(settings: Settings, since: datetime, until: datetime, *, dry_run: bool) -> Tally:
    engine = create_engine(
        settings.database_url.get_secret_value(),
        pool_size=1,
        max_overflow=0,
        application_name="gateway-replay",
    )
    # No secret is read.
    database = Database(engine, clock=SystemClock(), keyring=KeyRing({"none": bytes(32)}))
    connection = KafkaConnection.from_settings(settings)
    tally = Tally()
    try:
        async for records in read_past(connection, INBOUND, since=since, until=until):
            async with database.unit_of_work() as work:
                await replay_some(work, records, tally, dry_run=dry_run)
        if not dry_run:
            async with database.unit_of_work() as work:
                entry = AuditEntry(
                    account_id=None,
                    at=work.now,
                    actor="operator",
                    action="messages.replayed",
                    subject_id=INBOUND,
                    details={
                        "from": since.isoformat(),
                        "to": until.isoformat(),
                        **asdict(tally),
                    },
                )
                await write_audit(work.connection, [entry])
    finally:
        await engine.dispose()
    return tally
