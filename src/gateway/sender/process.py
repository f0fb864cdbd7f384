"""Composition root of `gateway sender`, the outbound process."""

from datetime import timedelta
from pathlib import Path
from typing import Final

from gateway.db.errands import TOPIC as ERRANDS
from gateway.db.lanes import LANES
from gateway.db.leases import ShardLeases
from gateway.domain.backoff import endpoint_schedule
from gateway.domain.delivery import TargetKind
from gateway.media_store import MediaStore
from gateway.messaging.backfill import BACKFILL
from gateway.messaging.contact_profiles import CONTACT_PROFILE
from gateway.messaging.files import REMOVE_FILE
from gateway.messaging.inbound_media import FETCH_ERRAND
from gateway.messaging.leaving import PAGE_LEAVE
from gateway.messaging.probing import PROBE, WEBHOOK_CHECK
from gateway.meta.graph import GraphClient
from gateway.meta.graph_calls import GraphCalls
from gateway.meta.pages import PageConnector
from gateway.meta.profiles import Profiles
from gateway.meta.uploading import AttachmentUploads
from gateway.net.egress import Egress
from gateway.net.operator_http import operator_http_client, operator_upload_client
from gateway.net.places import EgressPolicy
from gateway.net.resolver import SystemResolver
from gateway.roles import RoleParts, run_role
from gateway.sender.backfill import Backfill
from gateway.sender.claiming import Budgets
from gateway.sender.contact_profiles import ContactProfiles
from gateway.sender.errands import Errands
from gateway.sender.fetching import Fetching
from gateway.sender.file_removal import FileRemoval
from gateway.sender.lanes import SLOW_SHARE
from gateway.sender.leaving import PageLeaving
from gateway.sender.media_desk import MediaDesk
from gateway.sender.media_fetch import MediaFetch
from gateway.sender.page import GraphTransport
from gateway.sender.probing import ChannelProbes, Watch, WebhookChecks
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
    egress = _egress(parts)
    store = MediaStore.at(settings.media_url, data_dir=settings.data_dir)
    fetching = Fetching(egress, store, spool_dir=_spool_dir(settings))
    sender = _sender(parts, leases, graph, egress, _media_desk(parts, store, fetching))
    calls = GraphCalls(client, base_url=settings.graph_base_url)
    pages = PageConnector(calls)
    duties = {
        BACKFILL: Backfill(parts.database, graph).duty(),
        CONTACT_PROFILE: ContactProfiles(parts.database, Profiles(calls)).duty(),
        FETCH_ERRAND: MediaFetch(parts.database, store, fetching).duty(),
        REMOVE_FILE: FileRemoval(lambda: store).duty(),
        PAGE_LEAVE: PageLeaving(parts.database, pages).duty(),
        PROBE: ChannelProbes(parts.database, pages, seconds=settings.channel_probe_seconds).duty(),
        WEBHOOK_CHECK: WebhookChecks(
            parts.database, egress, seconds=settings.webhook_check_seconds
        ).duty(),
    }
    errands = Errands(parts.database, leases, duties)
    watch = Watch(
        parts.database,
        probe_seconds=settings.channel_probe_seconds,
        check_seconds=settings.webhook_check_seconds,
    )
    parts.wakeups.listen("sender", sender.wake)
    parts.wakeups.listen(LANES, sender.wake_lanes)
    parts.wakeups.listen(ERRANDS, errands.wake)
    seconds = settings.drain_seconds - _DRAIN_MARGIN
    lifecycle.on_drain("sender", lambda: sender.drain(seconds=seconds))
    lifecycle.on_drain("errands", lambda: errands.drain(seconds=seconds))
    lifecycle.supervise("sender", sender.run)
    lifecycle.supervise("errands", errands.run)
    lifecycle.supervise("watch", watch.run)


def _spool_dir(settings: Settings) -> str:
    """Return where files lie on their way: beside the media, where these have a folder here."""
    if settings.spool_dir or settings.media_url:
        return settings.spool_dir
    folder = Path(settings.data_dir).resolve() / "spool"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _media_desk(parts: RoleParts, store: MediaStore, fetching: Fetching) -> MediaDesk:
    settings = parts.settings
    client = operator_upload_client()
    parts.lifecycle.on_close("uploads", client.aclose)
    uploads = AttachmentUploads(client, base_url=settings.graph_base_url)
    return MediaDesk(
        parts.database, store, fetching, uploads, seconds=settings.sender_media_timeout
    )


def _egress(parts: RoleParts) -> Egress:
    settings = parts.settings
    slow_slots = int(settings.sender_concurrency * SLOW_SHARE)
    resolver = SystemResolver(threads=slow_slots + _RESOLVER_THREADS)
    egress = Egress(
        EgressPolicy(
            ports=frozenset(settings.egress_ports), allow_loopback=settings.egress_allow_loopback
        ),
        resolver=resolver,
        proxy_url=settings.sender_proxy_url.get_secret_value(),
    )
    parts.lifecycle.on_close("egress", egress.aclose)
    return egress


def _sender(
    parts: RoleParts, leases: ShardLeases, graph: GraphClient, egress: Egress, desk: MediaDesk
) -> Sender:
    settings, database = parts.settings, parts.database
    keyring, clock = database.keyring, database.clock
    return Sender(
        database,
        leases,
        {
            TargetKind.PAGE: GraphTransport(graph, keyring=keyring),
            TargetKind.THIRD_PARTY: ThirdPartyTransport(
                egress, keyring=keyring, clock=clock, links=database.links
            ),
            TargetKind.ENDPOINT: EndpointTransport(egress, keyring=keyring, clock=clock),
        },
        graph,
        desk=desk,
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
