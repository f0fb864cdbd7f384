"""Endpoints: addresses of the customer's that events are POSTed to."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from fastapi import Body as FromBody
from pydantic import Field, SecretStr, TypeAdapter

from gateway.api.channel_lists import check_channel_ids
from gateway.api.connecting import challenge_address
from gateway.api.endpoint_bodies import Authentication, EndpointChanges, NewEndpoint, OwnHeaders
from gateway.api.filters import Search
from gateway.api.parts import Parts
from gateway.api.retry_schedule import RetryScheduleResource, retry_schedule
from gateway.contracts.resources import Endpoint as EndpointResource
from gateway.db.endpoints import (
    HEALTHY,
    Endpoint,
    change_endpoint,
    get_endpoint,
    insert_endpoint,
    list_endpoints,
    secret_row,
)
from gateway.db.links import is_linked
from gateway.db.secrets import KeyRing
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.errors import ConflictError, NotFoundError
from gateway.http.pagination import Paging
from gateway.http.patches import Patch, merge_patch, validated_type
from gateway.http.routes import READ, WRITE, AccountId, GatewayRoute, Glances, Outside, Work
from gateway.http.schemas import Page
from gateway.http.versions import IfMatch, tag_version
from gateway.messaging.endpoint_events import endpoint_resource
from gateway.messaging.endpoint_headers import headers_for
from gateway.messaging.settlement import drop_target
from gateway.net.signing import generate_signing_secret

router = APIRouter(prefix="/v1/endpoints", tags=["Endpoints"], route_class=GatewayRoute)

_AUTHENTICATION: TypeAdapter[Authentication] = TypeAdapter(Authentication)
_HEADERS: TypeAdapter[dict[str, SecretStr]] = TypeAdapter(OwnHeaders)
# Kept encrypted, and never shown.
_SEALED: Final = {"authentication", "headers"}
EndpointStatus = Literal["active", "paused", "disabled"]


class CreatedEndpoint(EndpointResource):
    """An endpoint that was just made, with its secret."""

    signing_secret: str = Field(
        description="By which the endpoint verifies what we post. It is not shown again.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwr3mGbZ7k1Yo="],
    )


@router.post("", status_code=201, dependencies=[WRITE])
async def create_endpoint(
    body: NewEndpoint, account_id: AccountId, parts: Parts, outside: Outside, response: Response
) -> CreatedEndpoint:
    """Make an endpoint, once its address has answered the challenge."""
    async with outside.glance() as work:
        await check_channel_ids(work, account_id, body.channel_ids)
    secret = generate_signing_secret()
    headers = {name: value.get_secret_value() for name, value in body.headers.items()}
    authentication = body.authentication.model_dump(exclude={"kind"})
    await challenge_address(
        parts,
        body.url,
        [secret],
        pointer="/url",
        own_headers=headers_for(body.authentication.kind, authentication, headers),
    )
    work = await outside.effect()
    endpoint_id = ids.new_id(ids.ENDPOINT)
    sealed = work.keyring.encrypt(secret, row=secret_row(endpoint_id, "signing_secret"))
    nothing: dict[str, Any] = dict.fromkeys(Endpoint.__dataclass_fields__)
    values = nothing | {
        "account_id": account_id,
        "id": endpoint_id,
        "status": "active",
        "signing_secret": sealed,
        "version": 1,
        "created_at": work.now,
        **body.model_dump(exclude={"authentication", "headers"}),
        **_authentication_columns(work.keyring, endpoint_id, body.authentication),
        **_header_columns(work.keyring, endpoint_id, headers),
    }
    endpoint = Endpoint(**values)
    await insert_endpoint(work.connection, endpoint, now=work.now)
    tag_version(response, endpoint.version)
    return CreatedEndpoint.model_validate(endpoint_resource(endpoint) | {"signing_secret": secret})


@router.get("", dependencies=[READ])
async def list_all_endpoints(
    account_id: AccountId,
    work: Work,
    paging: Paging,
    search: Search = None,
    status: Annotated[EndpointStatus | None, Query(description="Only of this status.")] = None,
) -> Page[EndpointResource]:
    """List endpoints, the newest first."""
    place = paging.place("endpoints", str)
    rows = await list_endpoints(
        work.connection,
        account_id,
        status=status,
        search=search,
        before=None if place is None else place[0],
        limit=paging.limit + 1,
    )
    shown, cursor = paging.page(rows, "endpoints", lambda endpoint: [endpoint.id])
    return Page(data=[_resource(endpoint) for endpoint in shown], next_cursor=cursor)


@router.get("/retry-schedule", dependencies=[READ])
async def read_retry_schedule(_account_id: AccountId, parts: Parts) -> RetryScheduleResource:
    """Read when a delivery that fails is tried again, and when a failing endpoint is disabled."""
    return retry_schedule(parts.endpoint_retry_seconds)


@router.get("/{endpoint_id}", dependencies=[READ])
async def read_endpoint(
    endpoint_id: str, account_id: AccountId, work: Work, response: Response
) -> EndpointResource:
    """Read an endpoint."""
    return shown_endpoint(await existing_endpoint(work, account_id, endpoint_id), response)


@router.patch("/{endpoint_id}", dependencies=[WRITE])
async def change_endpoint_settings(
    endpoint_id: str,
    body: Annotated[Patch[EndpointChanges], FromBody()],
    account_id: AccountId,
    parts: Parts,
    exchange: Glances,
    if_match: IfMatch,
    response: Response,
) -> EndpointResource:
    """Change an endpoint; a new address is challenged before it is used."""
    async with exchange.glance() as work:
        endpoint = await existing_endpoint(work, account_id, endpoint_id)
        if_match.check(endpoint.version)
        wanted = body.apply_to(_changes_of(endpoint))
        await check_channel_ids(work, account_id, wanted.channel_ids)
        secrets = endpoint.open_signing_secrets(work.keyring, work.now)
        authentication = _authentication_in(body)
        own = _own_headers_after(work.keyring, endpoint, body, authentication)
    if wanted.url != endpoint.url:
        await challenge_address(parts, wanted.url, secrets, pointer="/url", own_headers=own)
    work = await exchange.effect()
    endpoint = await existing_endpoint(work, account_id, endpoint_id, lock=True)
    if_match.check(endpoint.version)
    columns = body.apply_to(_changes_of(endpoint)).model_dump(exclude=_SEALED)
    if columns["url"] != endpoint.url:
        # What the old address did says nothing about the new one.
        columns |= HEALTHY
    if authentication is not None:
        columns |= _authentication_columns(work.keyring, endpoint_id, authentication)
    if "headers" in body.changes:
        headers = _headers_after(work.keyring, endpoint, body)
        columns |= _header_columns(work.keyring, endpoint_id, headers)
    endpoint = await change_endpoint(work.connection, endpoint, now=work.now, **columns)
    return shown_endpoint(endpoint, response)


@router.delete("/{endpoint_id}", status_code=204, dependencies=[WRITE])
async def delete_endpoint(
    endpoint_id: str, account_id: AccountId, parts: Parts, work: Work
) -> None:
    """Delete an endpoint that no channel is linked to; what it has not got yet is cancelled."""
    endpoint = await existing_endpoint(work, account_id, endpoint_id, lock=True)
    if await is_linked(work.connection, account_id, endpoint_id):
        raise ConflictError("A channel sends everything to this endpoint; change its link first.")
    await change_endpoint(work.connection, endpoint, now=work.now, deleted_at=work.now)
    await drop_target(work, endpoint_id)
    await parts.routing_changes.destination_changed(work, account_id, endpoint_id)


async def existing_endpoint(
    work: UnitOfWork, account_id: str, endpoint_id: str, *, lock: bool = False
) -> Endpoint:
    """Return an endpoint of an account.

    Raises:
        NotFoundError: There is none.
    """
    endpoint = await get_endpoint(work.connection, account_id, endpoint_id, lock=lock)
    if endpoint is None:
        raise NotFoundError("There is no such endpoint.")
    return endpoint


def shown_endpoint(endpoint: Endpoint, response: Response) -> EndpointResource:
    """Return an endpoint's public form; its version goes into the answer's header."""
    tag_version(response, endpoint.version)
    return _resource(endpoint)


def _resource(endpoint: Endpoint) -> EndpointResource:
    return EndpointResource.model_validate(endpoint_resource(endpoint))


def _changes_of(endpoint: Endpoint) -> EndpointChanges:
    given = {
        name: getattr(endpoint, name)
        for name in EndpointChanges.model_fields
        if name not in _SEALED
    }
    return EndpointChanges.model_validate(given)


def _authentication_in(body: Patch[EndpointChanges]) -> Authentication | None:
    if "authentication" not in body.changes:
        return None
    given = body.changes["authentication"]
    return validated_type(
        _AUTHENTICATION, {"kind": "none"} if given is None else given, prefix="/authentication"
    )


def _headers_after(
    keyring: KeyRing, endpoint: Endpoint, body: Patch[EndpointChanges]
) -> dict[str, str]:
    """Return an endpoint's own headers after a patch: those that it names replace others."""
    present = endpoint.open_headers(keyring)
    changes = body.changes.get("headers", {})
    if not isinstance(changes, dict):
        return {}
    # Capitals make no other header.
    named = {name.lower() for name in changes}
    kept = {name: value for name, value in present.items() if name.lower() not in named}
    headers = validated_type(_HEADERS, merge_patch({**kept}, changes), prefix="/headers")
    return {name: value.get_secret_value() for name, value in headers.items()}


def _own_headers_after(
    keyring: KeyRing,
    endpoint: Endpoint,
    body: Patch[EndpointChanges],
    authentication: Authentication | None,
) -> dict[str, str]:
    """Return what a challenge after a patch says beside the signature."""
    headers = _headers_after(keyring, endpoint, body)
    if authentication is None:
        kind, secret = endpoint.authentication_kind, endpoint.open_authentication(keyring)
    else:
        kind, secret = authentication.kind, authentication.model_dump(exclude={"kind"})
    return headers_for(kind, secret, headers)


def _header_columns(
    keyring: KeyRing, endpoint_id: str, headers: Mapping[str, str]
) -> dict[str, Any]:
    if not headers:
        return {"headers": None, "header_names": []}
    sealed = keyring.encrypt(json.dumps(dict(headers)), row=secret_row(endpoint_id, "headers"))
    return {"headers": sealed, "header_names": sorted(headers)}


def _authentication_columns(
    keyring: KeyRing, endpoint_id: str, authentication: Authentication
) -> dict[str, Any]:
    if authentication.kind == "none":
        return {"authentication_kind": "none", "authentication": None}
    plain = json.dumps(authentication.model_dump(exclude={"kind"}))
    return {
        "authentication_kind": authentication.kind,
        "authentication": keyring.encrypt(plain, row=secret_row(endpoint_id, "authentication")),
    }
