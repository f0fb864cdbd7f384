"""Composition root of `gateway api`: the ingress and the REST API on one port.

The only place where the gateway meets routing, which brings the REST of its own resources.
"""

import asyncio
from collections.abc import Awaitable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api.feed_watch import FeedWatch
from gateway.api.meta_callbacks import CALLBACKS
from gateway.api.parts import ApiParts, LoginSettings
from gateway.asgi import AppParts, create_app
from gateway.broker.partitioning import partition_of
from gateway.broker.topics import Topics
from gateway.contracts.topics import INBOUND
from gateway.errors import NotReadyError
from gateway.http.guard import Limits
from gateway.http.server import HttpServer
from gateway.ingress import third_party
from gateway.ingress.meta import PREFIX, MetaWebhooks
from gateway.ingress.secrets import SecretCache
from gateway.ingress.third_party import IncomingParts
from gateway.media_store import MediaStore
from gateway.meta.graph import GraphClient
from gateway.meta.graph_calls import GraphCalls
from gateway.meta.login import FacebookLogin
from gateway.meta.pages import PageConnector
from gateway.net.egress import Egress
from gateway.net.operator_http import operator_http_client
from gateway.net.places import EgressPolicy
from gateway.net.resolver import SystemResolver
from gateway.ops import Check
from gateway.roles import RoleParts, run_role
from gateway.settings import Settings
from gateway.tracing import new_traceparent
from routing import api as routing_api
from routing.acceptance import RoutingRules
from routing.changes import RoutingChanges
from routing.engagement import Engagement
from routing.reach import Reach

# What the REST API has beside the gateway's own resources; its published contract has them too.
ROUTERS: Final = (routing_api.router, third_party.router)

_RESOLVER_THREADS: Final = 16
_STOP_MARGIN_SECONDS: Final = 0.5
# How long a new process waits for what it needs before it accepts without.
_FIRST_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.02


def run(settings: Settings) -> None:
    """Run the role until it is told to end."""
    run_role(settings, "api", _compose)


async def _compose(parts: RoleParts) -> None:
    settings, lifecycle = parts.settings, parts.lifecycle
    topics = parts.topics()
    producer = parts.producer(topics)
    secrets = SecretCache(parts.database)
    parts.checks["secrets"] = lambda: secrets.loaded
    lifecycle.supervise("secrets", secrets.run)
    media = MediaStore.at(settings.media_url, data_dir=settings.data_dir)
    feed = FeedWatch(parts.wakeups)
    app = create_app(
        settings,
        AppParts(
            database=parts.database,
            api=_api_parts(parts, topics),
            tracing=parts.tracing,
            routers=ROUTERS,
            feed=feed,
            media=media,
        ),
    )
    app.state.incoming = IncomingParts(
        secrets=secrets,
        producer=producer,
        clock=parts.clock,
        body_bytes=settings.api_body_bytes,
        produce_seconds=settings.ingress_produce_timeout,
        database=parts.database,
        media=media,
        new_traceparent=new_traceparent,
    )
    webhooks = MetaWebhooks(
        secrets=secrets,
        producer=producer,
        clock=parts.clock,
        body_bytes=settings.webhook_body_bytes,
        produce_seconds=settings.ingress_produce_timeout,
        new_traceparent=new_traceparent,
    )
    server = HttpServer(
        _Front(webhooks, app),
        host=settings.host,
        port=settings.port,
        limits=Limits.from_settings(settings, is_upload=_is_upload),
        shortcut=webhooks,
        trusted_proxies=settings.trusted_proxies,
        listen_fd=settings.listen_fd,
        stop_seconds=settings.drain_seconds - _STOP_MARGIN_SECONDS,
    )
    # Readers that wait for events are let go first, so that the server need not wait for them.
    lifecycle.on_drain("feed", feed.close)
    lifecycle.on_drain("http", server.stop)
    await _until(parts.checks["secrets"], parts.checks["kafka"], seconds=_FIRST_SECONDS)
    lifecycle.supervise("http", server.run)
    await server.listening()


def _api_parts(parts: RoleParts, topics: Topics) -> ApiParts:
    settings, lifecycle = parts.settings, parts.lifecycle
    policy = EgressPolicy(
        ports=frozenset(settings.egress_ports), allow_loopback=settings.egress_allow_loopback
    )
    egress = Egress(
        policy,
        resolver=SystemResolver(threads=_RESOLVER_THREADS),
        proxy_url=settings.sender_proxy_url.get_secret_value(),
    )
    lifecycle.on_close("egress", egress.aclose)
    client = operator_http_client()
    lifecycle.on_close("graph", client.aclose)
    base_url = settings.graph_base_url
    calls = GraphCalls(client, base_url=base_url)
    return ApiParts(
        public_url=settings.public_url,
        egress=egress,
        pages=PageConnector(calls),
        login=FacebookLogin(calls),
        login_settings=LoginSettings(
            dialog_base_url=settings.facebook_dialog_base_url,
            return_origins=settings.login_return_origins,
        ),
        kafka_retention_hours=settings.kafka_retention_hours,
        graph=GraphClient(client, base_url=base_url),
        engagement=Engagement(),
        routing_rules=RoutingRules(),
        routing_changes=RoutingChanges(),
        reach=Reach(),
        inbound_partition=_InboundPartition(topics),
        endpoint_retry_seconds=settings.endpoint_retry_seconds,
    )


async def _until(*checks: Check, seconds: float) -> None:
    """Wait until checks hold, or for so long: whoever asks is told then what is missing.

    A process that accepted before could only refuse what another one on the same socket serves.
    """
    try:
        async with asyncio.timeout(seconds):
            while not all(check() for check in checks):  # noqa: ASYNC110 - checks only answer
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        pass


class _Front:
    """Leads Meta's webhooks past everything that the REST API needs and they do not."""

    def __init__(self, webhooks: ASGIApp, rest: ASGIApp) -> None:
        self._webhooks = webhooks
        self._rest = rest

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path = scope["path"] if scope["type"] == "http" else ""
        is_webhook = path.startswith(PREFIX) and not path.endswith(CALLBACKS)
        return (self._webhooks if is_webhook else self._rest)(scope, receive, send)


class _InboundPartition:
    """Knows which partition of the inbound topic carries a contact's events."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    async def __call__(self, key: str) -> int:
        partitions = self._topics.known
        if partitions is None:
            raise NotReadyError("The gateway has not reached Kafka yet. Try again in a moment.")
        return partition_of(key.encode(), partitions[INBOUND])


def _is_upload(path: str) -> bool:
    return path.endswith("/media") and path.startswith(("/v1/media", "/incoming/"))
