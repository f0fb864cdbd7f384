"""The outermost layer of the HTTP process: request ids, one log line a request, and no leaks."""

import time
from typing import Any, Final

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.db.failures import is_transient, name_of
from gateway.domain import ids
from gateway.http.problems import INTERNAL_ERROR, plain_problem, problem_response
from gateway.http.refusals import unavailable

log = structlog.get_logger()

_REQUEST: Final = "req"


class Boundary:
    """Gives every request an id, every answer its headers, and every crash a fixed sentence.

    Handlers leave headers for the answer, whatever it will be, in `scope["state"]["headers"]`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = ids.new_id(_REQUEST)
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["headers"] = {"X-Request-Id": request_id}
        started = time.monotonic()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in state["headers"].items():
                    headers[name] = value
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_headers)
            # The edge of the process: nothing of what it says may get out.
            except Exception as error:
                if status:
                    # Too late for a problem; the server cuts the connection short.
                    raise
                await self._confess(error, scope, receive, send_with_headers)
            finally:
                route = scope.get("route")
                log.info(
                    "request.served",
                    method=scope["method"],
                    route=getattr(route, "path", None),
                    status=status,
                    duration_ms=round((time.monotonic() - started) * 1000, 1),
                )

    async def _confess(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        request_id: str = scope["state"]["request_id"]
        if not is_transient(error):
            log.error("request.failed", exc_info=error)
            response = plain_problem(
                INTERNAL_ERROR,
                "Something went wrong on our side. The instance names the request in the logs.",
                instance=request_id,
            )
        else:
            log.warning("request.unavailable", error=name_of(error))
            response = problem_response(unavailable(), instance=request_id)
        await response(scope, receive, send)
