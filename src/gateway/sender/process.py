"""Composition root of `gateway sender`, the outbound process."""

from datetime import timedelta
from typing import Final

from gateway.db.errands import TOPIC as ERRANDS
from gateway.db.leases import ShardLeases
from gateway.domain.backoff import endpoint_schedule
from gateway.domain.delivery import TargetKind
from gateway.media_store import MediaStore
from gateway.messaging.backfill import BACKFILL
from gateway.messaging.files import REMOVE_FILE
from gateway.meta.graph import GraphClient
from gateway.net.egress import Egress
from gateway.net.operator_http import operator_http_client
from gateway.net.places import EgressPolicy
from gateway.net.resolver import SystemResolver
from gateway.roles import RoleParts, run_role
from gateway.sender.backfill import Backfill
from gateway.sender.claiming import Budgets
from gateway.sender.duties import Duty
from gateway.sender.errands import Errands
from gateway.sender.file_removal import FileRemoval
from gateway.sender.lanes import SLOW_SHARE
from gateway.sender.page import GraphTransport
from gateway.sender.webhook import EndpointTransport, ThirdPartyTransport
from gateway.sender.worker import Sender, SenderPlan
from gateway.settings import Settings

# So many names may be looked up at once beside those of slow targets.
_RESOLVER_THREADS: Final = 64
# What the drain leaves of its time to what comes after it.
_DRAIN_MARGIN: Final = 0.5


def run(settings: Settings) -> None:
    """Run the role until it is told to end."""
    run_role(settings, "sender", _compose)


async def _compose(parts: RoleParts) -> None:
    settings, lifecycle = parts.settings, parts.lifecycle
    leases = parts.leases("sender")
    client = operator_http_client()
    lifecycle.on_close("graph", client.aclose)
    graph = GraphClient(client, base_url=settings.graph_base_url)
    sender = _sender(parts, leases, graph)
    errands = Errands(parts.database, leases, _duties(parts, graph))
    parts.wakeups.listen("sender", sender.wake)
    parts.wakeups.listen(ERRANDS, errands.wake)
    seconds = settings.drain_seconds - _DRAIN_MARGIN
    lifecycle.on_drain("sender", lambda: sender.drain(seconds=seconds))
    lifecycle.on_drain("errands", lambda: errands.drain(seconds=seconds))
    lifecycle.supervise("sender", sender.run)
    lifecycle.supervise("errands", errands.run)


def _duties(parts: RoleParts, graph: GraphClient) -> dict[str, Duty]:
    """Return what errands of each kind do."""
    settings = parts.settings
    return {
        BACKFILL: Backfill(parts.database, graph).duty(),
        REMOVE_FILE: FileRemoval(
            lambda: MediaStore.at(settings.media_url, data_dir=settings.data_dir)
        ).duty(),
    }


def _sender(parts: RoleParts, leases: ShardLeases, graph: GraphClient) -> Sender:
    settings, database, life = parts.settings, parts.database, parts.lifecycle
    slow_slots = int(settings.sender_concurrency * SLOW_SHARE)
    resolver = SystemResolver(threads=slow_slots + _RESOLVER_THREADS)
    egress = Egress(
        EgressPolicy(
            ports=frozenset(settings.egress_ports), allow_loopback=settings.egress_allow_loopback
        ),
        resolver=resolver,
        proxy_url=settings.sender_proxy_url.get_secret_value(),
    )
    life.on_close("egress", egress.aclose)
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
