"""What the resources work with, put together by the composition root; at `app.state.api`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from gateway.api.ports import Engagement, PartitionOf, Reach, RoutingChanges, RoutingRules
from gateway.meta.graph import GraphClient
from gateway.meta.login import FacebookLogin
from gateway.meta.pages import PageConnector
from gateway.net.egress import Egress


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginSettings:
    """Where logins lead: to the dialog, and back to which origins."""

    dialog_base_url: str = "https://www.facebook.com"
    return_origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    """The parts behind the resources."""

    public_url: str
    egress: Egress
    pages: PageConnector
    graph: GraphClient
    login: FacebookLogin
    engagement: Engagement
    routing_rules: RoutingRules
    routing_changes: RoutingChanges
    reach: Reach
    inbound_partition: PartitionOf
    endpoint_retry_seconds: Sequence[int]
    login_settings: LoginSettings = LoginSettings()
    kafka_retention_hours: int = 168


def api_parts(request: Request) -> ApiParts:
    """Return the parts of the application that serves a request."""
    parts: ApiParts = request.app.state.api
    return parts


Parts = Annotated[ApiParts, Depends(api_parts)]
