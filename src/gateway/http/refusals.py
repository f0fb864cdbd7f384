"""Turns what goes wrong on the way of a request into problems."""

from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match

from gateway.db.failures import is_transient
from gateway.errors import (
    BodyTooLargeError,
    GatewayError,
    InvalidFieldsError,
    MissingParameterError,
    NotFoundError,
    NotReadyError,
)
from gateway.http.faults import faults_of
from gateway.http.problems import METHOD_NOT_ALLOWED, plain_problem, problem_response

_RETRY_AFTER: Final = timedelta(seconds=1)
# Nobody is there any more to read it; nginx's number for that.
_CLIENT_CLOSED_REQUEST: Final = 499


def install(app: FastAPI) -> None:
    """Make every refusal leave the app as application/problem+json."""
    app.add_exception_handler(GatewayError, _refused)
    app.add_exception_handler(HTTPException, _framework_refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DBAPIError, _database_failed)
    app.add_exception_handler(PoolTimeoutError, _database_failed)
    app.add_exception_handler(ClientDisconnect, _gone)


def unavailable() -> NotReadyError:
    """Return the error for a database that cannot be reached at the moment."""
    return NotReadyError(
        "The gateway cannot reach its database at the moment.", retry_after=_RETRY_AFTER
    )


def request_id_of(request: Request) -> str:
    """Return the id that the boundary gave a request."""
    request_id: str = request.state.request_id
    return request_id


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    return problem_response(error, instance=request_id_of(request))


async def _framework_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, GatewayError):
        return await _refused(request, error.__cause__)
    instance = request_id_of(request)
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return problem_response(NotFoundError("There is nothing here."), instance=instance)
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(sorted(set(_methods_at(request))))
            return plain_problem(
                METHOD_NOT_ALLOWED,
                f"This address takes {allowed}.",
                instance=instance,
                headers={"Allow": allowed},
            )
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return problem_response(
                BodyTooLargeError("The body is over the limit."), instance=instance
            )
        case _:
            return problem_response(
                MissingParameterError("The body could not be read."), instance=instance
            )


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    refusal = InvalidFieldsError(
        "Some fields do not hold; `errors` names them.",
        faults=faults_of(error.errors(), body=error.body),
    )
    return problem_response(refusal, instance=request_id_of(request))


async def _database_failed(request: Request, error: Exception) -> Response:
    if not is_transient(error):
        raise error
    return problem_response(unavailable(), instance=request_id_of(request))


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=_CLIENT_CLOSED_REQUEST)


def _methods_at(request: Request) -> Iterator[str]:
    app: FastAPI = request.app
    scope: dict[str, Any] = {
        "type": "http",
        "path": request.url.path,
        "root_path": "",
        "method": "",
        "path_params": {},
    }
    for context in iter_route_contexts(app.routes):
        match, _ = context.matches(scope)
        if match is not Match.NONE:
            yield from context.methods or ()
