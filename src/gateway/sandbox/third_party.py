"""A third party's webhook, for demos and drills: answers challenges, keeps what it gets."""

import hashlib
import json
from collections import OrderedDict, deque
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response

from gateway.contracts.moments import rfc3339
from gateway.sandbox.answers import AsciiJson
from gateway.sandbox.calls import BodyTooLargeError, read_body
from gateway.sandbox.errors import GraphError
from gateway.sandbox.faults import Fault, Faults
from gateway.sandbox.journal import Journal, Record, text_headers
from gateway.sandbox.lies import Answer, struck
from gateway.sandbox.timeline import Timeline

KEPT: Final = 1_000
RECEIVERS: Final = 1_000

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class ThirdParties:
    """As many receivers as there are names; each keeps its last 1,000 messages.

    Faults for the call `third_party`, with the receiver's name as `page_id`, strike here.
    """

    def __init__(self, *, timeline: Timeline, journal: Journal, faults: Faults) -> None:
        self._timeline = timeline
        self._journal = journal
        self._faults = faults
        self._kept: OrderedDict[str, deque[dict[str, Any]]] = OrderedDict()
        self._seen: dict[str, set[str]] = {}
        self._count = 0

    def router(self) -> APIRouter:
        """Return the routes under `/third-party`."""
        router = APIRouter(prefix="/third-party/{name}", tags=["third party"])
        router.add_api_route("/webhook", self.receive, methods=["POST"], response_model=None)
        router.add_api_route("/messages", self.read, methods=["GET"], response_model=None)
        return router

    async def receive(self, name: Name, request: Request) -> Response:
        """Take a webhook: a challenge is answered, anything else kept and acknowledged.

        The same `webhook-id` again gets the same `message_id` and is kept once.
        """
        began = self._timeline.now()
        try:
            body = await read_body(request)
        except BodyTooLargeError:
            return Response(status_code=413)
        fault = self._faults.strike("third_party", name)
        answer = _NOTHING
        if fault is not None and fault.mode == "error":
            answer = _error(fault)
        elif fault is None or fault.has_effect:
            answer = self._take(name, request.headers.get("webhook-id"), body)
        response, status = (
            (answer.response(), answer.status) if fault is None else struck(fault, answer)
        )
        self._journal.add(
            Record(
                at=began,
                kind="call",
                method=request.method,
                path=request.url.path,
                query=request.url.query,
                headers=text_headers(request.headers.raw),
                body=body,
                status=status,
                notes={"call": "third_party", "name": name, **(fault.notes if fault else {})},
            )
        )
        return response

    async def read(self, name: Name, after: Annotated[int, Query(ge=0)] = 0) -> Response:
        """Read back what a receiver got, after a message's number."""
        kept = self._kept.get(name, ())
        return AsciiJson({"data": [message for message in kept if message["n"] > after]})

    def _take(self, name: str, webhook_id: str | None, body: bytes) -> Answer:
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return Answer(status=400, body=b'{"error":"not JSON"}', headers={})
        if not isinstance(value, dict):
            return Answer(status=400, body=b'{"error":"not an object"}', headers={})
        if value.get("type") == "challenge":
            return _answer({"challenge": value.get("challenge")})
        identity = hashlib.sha256((webhook_id or "").encode() or body).hexdigest()
        self._keep(name, identity, webhook_id, value)
        return _answer({"message_id": f"tp_{identity[:24]}"})

    def _keep(
        self, name: str, identity: str, webhook_id: str | None, value: dict[str, Any]
    ) -> None:
        kept = self._kept.setdefault(name, deque())
        seen = self._seen.setdefault(name, set())
        if identity in seen:
            return
        self._count += 1
        seen.add(identity)
        kept.append(
            {
                "n": self._count,
                "at": rfc3339(self._timeline.now()),
                "identity": identity,
                "message_id": f"tp_{identity[:24]}",
                "webhook_id": webhook_id,
                "type": value.get("type"),
                "data": value.get("data"),
            }
        )
        if len(kept) > KEPT:
            seen.discard(kept.popleft()["identity"])
        if len(self._kept) > RECEIVERS:
            gone, _ = self._kept.popitem(last=False)
            del self._seen[gone]


_NOTHING: Final = Answer(status=200, body=b"{}", headers={})


def _answer(value: dict[str, Any]) -> Answer:
    return Answer(status=200, body=json.dumps(value).encode(), headers={})


def _error(fault: Fault) -> Answer:
    status = fault.status or GraphError(fault.code or 2, fault.subcode).status
    return Answer(status=status, body=b'{"error":"refused"}', headers=dict(fault.headers))
