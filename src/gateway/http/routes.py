"""Routes of the REST API: authenticated, limited and validated before their function is called."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

import structlog
from fastapi import Depends, Security
from fastapi.dependencies.models import Dependant
from fastapi.params import Depends as DependsParameter
from fastapi.params import Security as SecurityParameter
from fastapi.routing import APIRoute
from opentelemetry.trace import SpanKind
from starlette.requests import Request
from starlette.responses import Response

from gateway.contracts.canonical import Json
from gateway.db.idempotency import KeyName
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.errors import FieldFault, ForbiddenError, InvalidFieldsError
from gateway.http.admission import (
    JSON,
    parse_body,
    read_body,
    refuse_encodings,
    refuse_impossible_ids,
    refuse_unacceptable,
    refuse_unknown_parameters,
)
from gateway.http.auth import ApiKeyScheme, Authenticator, Principal
from gateway.http.exchange import Exchange
from gateway.http.faults import pointer_to
from gateway.http.idempotency import HEADER, IdempotentRequest, ReplayedError, check_key
from gateway.http.limits import CallLimit
from gateway.tracing import Tracing

_SCHEME: Final = ApiKeyScheme()
_BODILESS: Final = ("GET", "DELETE")

READ: Final = Security(_SCHEME, scopes=["read"])
WRITE: Final = Security(_SCHEME, scopes=["write"])
SEND: Final = Security(_SCHEME, scopes=["send"])
ADMIN: Final = Security(_SCHEME, scopes=["admin"])
INSTANCE: Final = Security(_SCHEME, scopes=["instance"])
# Either the account's own administrator or the instance's.
ADMIN_OR_INSTANCE: Final = Security(_SCHEME, scopes=["admin", "instance"])
READ_OR_INSTANCE: Final = Security(_SCHEME, scopes=["read", "instance"])
WRITE_OR_INSTANCE: Final = Security(_SCHEME, scopes=["write", "instance"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RestParts:
    """What every route of the API needs; at `app.state.rest`."""

    database: Database
    authenticator: Authenticator
    call_limit: CallLimit
    body_bytes: int
    tracing: Tracing


class GatewayRoute(APIRoute):
    """A route of the API.

    Refusals come in the order credential, rate, scope, Accept, query, body. Its function gets the
    transaction of its effect by `Work`, which commits once the answer is there.

    Attributes:
        answers: The media types on offer; none, whatever the thing asked for is.
        reads_json: False where the function reads the body itself.
    """

    answers: ClassVar[tuple[str, ...]] = (JSON,)
    reads_json: ClassVar[bool] = True

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handle = super().get_route_handler()
        scopes = tuple(_scopes(self.dependencies))
        parameters = frozenset(_query_parameters(self.dependant))

        async def answer(request: Request) -> Response:
            parts: RestParts = request.app.state.rest
            principal = await _admit(request, parts, scopes)
            if self.answers:
                refuse_unacceptable(request, self.answers)
            refuse_impossible_ids(request)
            refuse_unknown_parameters(request, parameters)
            refuse_encodings(request)
            idempotent = _idempotent(request, principal)
            if self.reads_json and request.method not in _BODILESS:
                request = await _read(request, parts, idempotent, body=self.body_field is not None)
            span = parts.tracing.span(
                f"{request.method} {self.path}",
                parent=request.headers.get("traceparent"),
                kind=SpanKind.SERVER,
            )
            with (
                structlog.contextvars.bound_contextvars(account_id=principal.account_id),
                span as request.state.traceparent,
            ):
                current = Exchange(
                    parts.database, idempotent, traceparent=request.state.traceparent
                )
                return await _answer(request, handle, current)

        return answer


class ParsedRequest(Request):
    """A request whose body our own parser has read."""

    def __init__(self, request: Request, body: bytes, document: Json) -> None:
        super().__init__(request.scope, request.receive)
        self._read = (body, document)

    async def body(self) -> bytes:
        """Return the bytes that were read."""
        return self._read[0]

    async def json(self) -> Json:
        """Return what they say."""
        return self._read[1]


async def caller(request: Request) -> Principal:
    """Return who calls."""
    principal: Principal = request.state.principal
    return principal


async def account_id(principal: Annotated[Principal, Depends(caller)]) -> str:
    """Return the account whose key it is.

    Raises:
        ForbiddenError: It is the administrator's.
    """
    if principal.account_id is None:
        raise ForbiddenError("This call needs an API key of an account.")
    return principal.account_id


async def exchange(request: Request) -> Exchange:
    """Return the request's exchange, for functions that call the outside world."""
    current: Exchange = request.state.exchange
    return current


async def work(current: Annotated[Exchange, Depends(exchange)]) -> UnitOfWork:
    """Return the transaction of the effect."""
    return await current.effect()


async def outside(current: Annotated[Exchange, Depends(exchange)]) -> Exchange:
    """Return the exchange, its idempotency key reserved while calls go outside."""
    await current.announce_calls()
    return current


async def trace(request: Request) -> str:
    """Return the `traceparent` of what this request does."""
    traceparent: str = request.state.traceparent
    return traceparent


Caller = Annotated[Principal, Depends(caller)]
AccountId = Annotated[str, Depends(account_id)]
Work = Annotated[UnitOfWork, Depends(work)]
Glances = Annotated[Exchange, Depends(exchange)]
Outside = Annotated[Exchange, Depends(outside)]
Trace = Annotated[str, Depends(trace)]


async def _admit(request: Request, parts: RestParts, scopes: tuple[str, ...]) -> Principal:
    principal = await parts.authenticator.principal(request)
    request.state.principal = principal
    headers, refusal = await parts.call_limit.take(principal.key_id)
    request.state.headers.update(headers)
    if refusal is not None:
        raise refusal
    principal.require(scopes)
    return principal


def _idempotent(request: Request, principal: Principal) -> IdempotentRequest | None:
    if request.method != "POST":
        return None
    key = check_key(request.headers.getlist(HEADER))
    if key is None:
        return None
    route = f"{request.method} {request.url.path}"
    return IdempotentRequest(KeyName(scope=principal.owner, route=route, key=key))


async def _read(
    request: Request, parts: RestParts, idempotent: IdempotentRequest | None, *, body: bool
) -> Request:
    raw = await read_body(request, parts.body_bytes)
    document = parse_body(request, raw) if raw else None
    if not body and document not in (None, {}):
        names = list(document) if isinstance(document, dict) else [""]
        raise InvalidFieldsError(
            "This call takes no body.",
            faults=[
                FieldFault(
                    pointer_to([name], None) if name else "",
                    "unknown-field",
                    "There is no such field here.",
                )
                for name in names[:20]
            ],
        )
    if idempotent is not None:
        idempotent.describe(document)
    return ParsedRequest(request, raw, document)


async def _answer(
    request: Request, handle: Callable[[Request], Awaitable[Response]], current: Exchange
) -> Response:
    request.state.exchange = current
    try:
        async with current:
            response = await handle(request)
            await current.keep(response)
    except ReplayedError as replayed:
        return replayed.response
    return response


def _scopes(dependencies: Iterable[DependsParameter]) -> Iterator[str]:
    for dependency in dependencies:
        if isinstance(dependency, SecurityParameter):
            yield from dependency.scopes or ()


def _query_parameters(dependant: Dependant) -> Iterator[str]:
    yield from (parameter.alias for parameter in dependant.query_params)
    for dependency in dependant.dependencies:
        yield from _query_parameters(dependency)
