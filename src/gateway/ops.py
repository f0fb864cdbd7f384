"""What operators' tools ask a process: `/livez`, `/readyz` and `/metrics`, on a port of their own.

`/livez` answers for as long as the event loop turns; a process that does not answer should be
started again. `/readyz` says, check by check, whether traffic should come here now.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.domain import ids
from gateway.errors import NotFoundError
from gateway.http.problems import METHOD_NOT_ALLOWED, plain_problem, problem_response
from gateway.http.server import HttpServer

Check = Callable[[], bool]

_JSON: Final = "application/json"
_READY: Final = Gauge("gateway_ready", "1 while the process is ready for traffic, else 0.")
_PATHS: Final = ("/livez", "/readyz", "/metrics")


class OpsApp:
    """The ASGI application behind `OPS_PORT`."""

    def __init__(
        self, checks: Mapping[str, Check], *, registry: CollectorRegistry = REGISTRY
    ) -> None:
        """Take what has to hold for the process to be ready, by name.

        Checks must not wait; more of them may be added to the mapping later.
        """
        self._checks = checks
        self._registry = registry
        _READY.set_function(lambda: all(check() for check in self._checks.values()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        request_id = ids.new_id("req")
        response = self._answer(Request(scope), request_id)
        response.headers["X-Request-Id"] = request_id
        await response(scope, receive, send)

    def _answer(self, request: Request, request_id: str) -> Response:
        path = request.url.path
        if path not in _PATHS:
            return problem_response(
                NotFoundError(f"There is {', '.join(_PATHS)} here."), instance=request_id
            )
        if request.method not in ("GET", "HEAD"):
            return plain_problem(
                METHOD_NOT_ALLOWED,
                "This address takes GET and HEAD.",
                instance=request_id,
                headers={"Allow": "GET, HEAD"},
            )
        match path:
            case "/livez":
                return _json(200, {"status": "alive"})
            case "/readyz":
                return self._readiness()
            case _:
                return self._metrics(request)

    def _readiness(self) -> Response:
        results = {name: check() for name, check in self._checks.items()}
        ready = all(results.values())
        return _json(
            200 if ready else 503,
            {
                "status": "ready" if ready else "not-ready",
                "checks": {name: "ok" if holds else "failed" for name, holds in results.items()},
            },
        )

    def _metrics(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), headers={"Content-Type": content_type})


def ops_server(checks: Mapping[str, Check], *, host: str, port: int) -> HttpServer:
    """Return the server of a process; it should start first and end last."""
    return HttpServer(OpsApp(checks), host=host, port=port, stop_seconds=1.0)


def _json(status: int, document: Mapping[str, object]) -> Response:
    return Response(
        json.dumps(document).encode(),
        status_code=status,
        media_type=_JSON,
        headers={"Cache-Control": "no-store"},
    )
