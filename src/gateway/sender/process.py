"""Composition root of the outbound process."""

import sys
from datetime import timedelta
from functools import partial
from typing import Final

from gateway.clock import SystemClock
from gateway.db.engine import create_engine
from gateway.db.leases import ShardLeases
from gateway.db.processes import Process
from gateway.db.schema import SchemaRevision
from gateway.db.secrets import KeyRing
from gateway.db.unit_of_work import Database
from gateway.db.wakeups import Wakeups
from gateway.domain import ids
from gateway.domain.backoff import endpoint_schedule
from gateway.domain.delivery import TargetKind
from gateway.lifecycle import Lifecycle, run_process
from gateway.meta.graph import GraphClient, graph_http_client
from gateway.net.egress import Egress
from gateway.net.places import EgressPolicy
from gateway.net.resolver import SystemResolver
from gateway.ops import Check, ops_server
from gateway.sender.claiming import Budgets
from gateway.sender.lanes import SLOW_SHARE
from gateway.sender.page import GraphTransport
from gateway.sender.webhook import EndpointTransport, ThirdPartyTransport
from gateway.sender.worker import Sender, SenderPlan
from gateway.settings import Settings
from gateway.telemetry import configure_telemetry

_ROLE: Final = "sender"
# Leases and heart-beats have connections of their own, so that no load delays them.
_OWN_CONNECTIONS: Final = 2
# So many names may be looked up at once beside those of slow targets.
_RESOLVER_THREADS: Final = 64
# What the drain leaves of its time to what comes after it.
_DRAIN_MARGIN: Final = 0.5


def run(settings: Settings) -> None:
    """Run the process until it is told to end; exits with its code."""
    configure_telemetry(settings, role=_ROLE)
    main = partial(_main, settings=settings)
    sys.exit(run_process(main, drain_seconds=settings.drain_seconds))


async def _main(life: Lifecycle, *, settings: Settings) -> None:
    checks: dict[str, Check] = {"not-ending": lambda: not life.is_ending}
    ops = ops_server(checks, host=settings.ops_host, port=settings.ops_port)
    life.supervise("ops", ops.run)
    await ops.listening()

    url = settings.database_url.get_secret_value()
    clock, wakeups = SystemClock(), Wakeups(url)
    keyring = KeyRing.from_text(settings.encryption_keys.get_secret_value())
    engine = create_engine(
        url,
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_pool_overflow,
        application_name=f"gateway-{_ROLE}",
    )
    life.on_close("database", engine.dispose)
    database = Database(engine, clock=clock, keyring=keyring, wake=wakeups.wake)
    own_engine = create_engine(
        url,
        pool_size=_OWN_CONNECTIONS,
        max_overflow=0,
        application_name=f"gateway-{_ROLE}-leases",
    )
    life.on_close("leases' database", own_engine.dispose)
    own_database = Database(own_engine, clock=clock, keyring=keyring)

    process_id = ids.new_id("prc")
    process = Process(
        own_database,
        process_id=process_id,
        role=_ROLE,
        clock=clock if settings.clock_movable else None,
        wakeups=wakeups,
    )
    schema = SchemaRevision(database)
    checks |= {
        "database": lambda: process.database_is_there,
        "clock": lambda: process.clock_is_right,
        "schema": lambda: schema.fits,
    }
    leases = ShardLeases(
        "sender",
        own_database,
        process_id=process_id,
        process_role=_ROLE,
        wakeups=wakeups,
    )
    sender = _sender(life, settings, database, leases)
    wakeups.listen("sender", sender.wake)

    life.supervise("schema", schema.run)
    await schema.wait()
    await process.join()
    life.on_close("leases", leases.release_all)
    life.on_close("process", process.leave)
    life.on_drain("sender", lambda: sender.drain(seconds=settings.drain_seconds - _DRAIN_MARGIN))
    life.supervise("heart-beat", process.run)
    life.supervise("wakeups", wakeups.run)
    life.supervise("sender", sender.run)
    life.supervise("leases", leases.run)


def _sender(life: Lifecycle, settings: Settings, database: Database, leases: ShardLeases) -> Sender:
    slow_slots = int(settings.sender_concurrency * SLOW_SHARE)
    resolver = SystemResolver(threads=slow_slots + _RESOLVER_THREADS)
    egress = Egress(
        EgressPolicy(
            ports=frozenset(settings.egress_ports), allow_loopback=settings.egress_allow_loopback
        ),
        resolver=resolver,
        proxy_url=settings.sender_proxy_url,
    )
    life.on_close("egress", egress.aclose)
    client = graph_http_client()
    life.on_close("graph", client.aclose)
    graph = GraphClient(client, base_url=settings.graph_base_url)
    keyring, clock = database.keyring, database.clock
    return Sender(
        database,
        leases,
        {
            TargetKind.PAGE: GraphTransport(graph, keyring=keyring),
            TargetKind.THIRD_PARTY: ThirdPartyTransport(egress, keyring=keyring, clock=clock),
            TargetKind.ENDPOINT: EndpointTransport(egress, keyring=keyring, clock=clock),
        },
        graph,
        plan=SenderPlan(
            slots=settings.sender_concurrency,
            concurrency={
                TargetKind.PAGE: settings.sender_page_concurrency,
                TargetKind.THIRD_PARTY: settings.sender_third_party_concurrency,
                TargetKind.ENDPOINT: settings.sender_third_party_concurrency,
            },
            budgets=Budgets(
                first=timedelta(seconds=settings.sender_first_attempt_timeout),
                later=timedelta(seconds=settings.sender_attempt_timeout),
            ),
            endpoint_schedule=endpoint_schedule(settings.endpoint_retry_seconds),
        ),
    )
