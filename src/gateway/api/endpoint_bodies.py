"""What can be said of an endpoint."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, field_serializer

from gateway.api.agents import ChannelIds
from gateway.api.channel_bodies import Address
from gateway.contracts.events import PUBLIC_TYPES
from gateway.http.schemas import Body, Line, Whole

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
# What the gateway or the protocol itself says.
_RESERVED: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "cookie2",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "via",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
_RESERVED_BEGINNINGS: Final = ("webhook-", "x-gateway-", "x-forwarded-", "proxy-", "sec-")


def _is_header_value(value: SecretStr) -> SecretStr:
    plain = value.get_secret_value()
    if not plain.isascii() or not plain.isprintable() or plain != plain.strip():
        raise ValueError("It has to be printable ASCII, without spaces around")
    return value


def _is_free_header(name: str) -> str:
    if _HEADER_NAME.fullmatch(name) is None:
        raise ValueError("It is not the name of a header")
    if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_BEGINNINGS):
        raise ValueError("This header says something else already")
    return name


def _is_own_header(name: str) -> str:
    if name.lower() == "authorization":
        raise ValueError("Who we are to the endpoint is said by `authentication`")
    return _is_free_header(name)


def _each_header_once(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("The names of headers differ by more than capitals")
    return headers


def _is_username(name: str) -> str:
    if not name.isascii() or not name.isprintable() or ":" in name:
        raise ValueError("It has to be printable ASCII without a colon")
    return name


def _stands_for_something(pattern: str) -> str:
    beginning = pattern.removesuffix("*")
    found = (
        any(name.startswith(beginning) for name in PUBLIC_TYPES)
        if pattern.endswith("*")
        else pattern in PUBLIC_TYPES
    )
    if not found:
        raise ValueError("No event is called so")
    return pattern


def _each_once(patterns: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(patterns))


HeaderSecret = Annotated[
    SecretStr, Field(min_length=1, max_length=2000), AfterValidator(_is_header_value)
]
# Only what is named here is said: nothing of the connection's, of the body's or of ours.
OwnHeaders = Annotated[
    dict[Annotated[str, AfterValidator(_is_own_header)], HeaderSecret],
    Field(max_length=10),
    AfterValidator(_each_header_once),
]
EventPattern = Annotated[
    str, StringConstraints(max_length=100), AfterValidator(_stands_for_something)
]


class NoAuthentication(Body):
    """The signature is enough."""

    kind: Literal["none"] = "none"


class BearerAuthentication(Body):
    """`Authorization: Bearer <token>`."""

    kind: Literal["bearer"]
    token: HeaderSecret

    @field_serializer("token")
    def _plain(self, value: SecretStr) -> str:
        return value.get_secret_value()


class BasicAuthentication(Body):
    """`Authorization: Basic …`."""

    kind: Literal["basic"]
    username: Annotated[
        str, StringConstraints(min_length=1, max_length=255), AfterValidator(_is_username)
    ]
    password: HeaderSecret

    @field_serializer("password")
    def _plain(self, value: SecretStr) -> str:
        return value.get_secret_value()


class HeaderAuthentication(Body):
    """A header of the endpoint's own."""

    kind: Literal["header"]
    name: Annotated[str, AfterValidator(_is_free_header)] = Field(examples=["X-Api-Key"])
    value: HeaderSecret

    @field_serializer("value")
    def _plain(self, value: SecretStr) -> str:
        return value.get_secret_value()


Authentication: TypeAlias = Annotated[
    NoAuthentication | BearerAuthentication | BasicAuthentication | HeaderAuthentication,
    Field(discriminator="kind"),
]


class EndpointSettings(Body):
    """What can be set of an endpoint, but for how it authenticates us."""

    name: Line = Field(examples=["Acme CRM"])
    url: Address = Field(
        description="Challenged before it is used.", examples=["https://crm.acme.example/events"]
    )
    event_types: Annotated[
        list[EventPattern], Field(max_length=100), AfterValidator(_each_once)
    ] = Field(
        default=["*"],
        description="Types of events, or beginnings of types that end in `*`.",
        examples=[["gateway.message.*", "gateway.enquiry.*"]],
    )
    channel_ids: ChannelIds = Field(default=[], description="None named, every channel.")
    ordering: Literal["conversation", "endpoint", "none"] = Field(
        default="conversation", description="What has to arrive one after the other."
    )
    lane_hold_seconds: Annotated[Whole, Field(ge=1, le=86_400)] = Field(
        default=900, description="For how long a delivery that fails keeps those behind it waiting."
    )
    max_concurrency: Annotated[Whole, Field(ge=1, le=100)] = 10
    rate_limit: Annotated[Whole, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Deliveries a second; null for no limit."
    )


class NewEndpoint(EndpointSettings):
    """An endpoint to be made."""

    authentication: Authentication = NoAuthentication()
    headers: OwnHeaders = Field(
        default={},
        description="Headers of the endpoint's own in each call. Their values are never shown.",
        examples=[{"X-Tenant": "acme"}],
    )


class EndpointChanges(EndpointSettings):
    """What can be changed of an endpoint.

    Authentication is given anew as a whole, headers one by one.
    """

    authentication: dict[str, Any] | None = Field(
        default=None,
        description="As at creation. What is shown of it holds no secret, so it does not merge.",
        examples=[{"kind": "bearer", "token": "…"}],
    )
    headers: dict[str, str | None] | None = Field(
        default=None,
        description="Those that are named; null takes one away, and all of them in place of this.",
        examples=[{"X-Tenant": "acme", "X-Old": None}],
    )
