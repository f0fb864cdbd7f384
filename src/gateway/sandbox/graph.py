"""Graph's front door: reads a call, lets a fault strike, performs it, notes it in the journal."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from gateway.sandbox import (
    accounts,
    attachments,
    handover,
    logins,
    personas,
    reads,
    send,
    subscriptions,
    tokens,
)
from gateway.sandbox.access import is_person_call
from gateway.sandbox.calls import BodyTooLargeError, Call, read_body, read_call
from gateway.sandbox.errors import GraphError, trace_id
from gateway.sandbox.faults import Fault, Faults
from gateway.sandbox.journal import Journal, Record, text_headers
from gateway.sandbox.lies import Answer, struck
from gateway.sandbox.platform import Platform
from gateway.sandbox.usage import CallLimits
from gateway.sandbox.world import App, Page

NEWEST_VERSION: Final = "v26.0"
_VERSION: Final = re.compile(r"v[0-9]{1,2}(\.[0-9])?")


@dataclass(frozen=True, slots=True)
class Operation:
    """What a call does, and the name that faults know it by."""

    kind: str
    run: Callable[[Platform, Call], Mapping[str, Any]]


_EDGES: Final[Mapping[tuple[str, str], Operation]] = {
    ("POST", "messages"): Operation("messages", send.send),
    ("GET", "messages"): Operation("conversations", reads.list_messages),
    ("POST", "message_attachments"): Operation("attachments", attachments.upload_attachment),
    ("GET", "conversations"): Operation("conversations", reads.list_conversations),
    ("GET", "subscribed_apps"): Operation("subscribed_apps", subscriptions.list_subscriptions),
    ("POST", "subscribed_apps"): Operation("subscribed_apps", subscriptions.subscribe),
    ("DELETE", "subscribed_apps"): Operation("subscribed_apps", subscriptions.unsubscribe),
    ("GET", "personas"): Operation("personas", personas.list_personas),
    ("POST", "personas"): Operation("personas", personas.create_persona),
    ("POST", "pass_thread_control"): Operation("thread_control", handover.pass_control),
    ("POST", "take_thread_control"): Operation("thread_control", handover.take_control),
    ("POST", "request_thread_control"): Operation("thread_control", handover.request_control),
    ("POST", "release_thread_control"): Operation("thread_control", handover.release_control),
    ("POST", "extend_thread_control"): Operation("thread_control", handover.extend_control),
    ("GET", "accounts"): Operation("accounts", accounts.list_accounts),
    ("GET", "businesses"): Operation("accounts", accounts.list_businesses),
    ("GET", "owned_pages"): Operation("accounts", accounts.list_owned_pages),
    ("GET", "thread_owner"): Operation("thread_control", handover.thread_owner),
}
_ROOTS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "oauth/access_token"): Operation("oauth", logins.exchange),
    ("POST", "oauth/access_token"): Operation("oauth", logins.exchange),
    ("GET", "debug_token"): Operation("debug_token", tokens.debug_token),
    ("POST", "debug_token"): Operation("debug_token", tokens.debug_token),
}
_DELETE_PERSONA: Final = Operation("personas", personas.delete_persona)


class Graph:
    """Answers calls under `/v{N}/…`."""

    def __init__(self, *, platform: Platform, faults: Faults, journal: Journal) -> None:
        self._platform = platform
        self._faults = faults
        self._journal = journal
        self._limits = CallLimits(platform.timeline)

    def router(self) -> APIRouter:
        """Return the route that takes every Graph path."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route(
            "/v{version}/{path:path}", self.answer, methods=["GET", "POST", "DELETE"]
        )
        return router

    async def answer(self, request: Request, version: str, path: str) -> Response:
        """Answer one call."""
        began = self._platform.timeline.now()
        try:
            body = await read_body(request)
        except BodyTooLargeError:
            body = b""
            outcome = _Outcome(self._refused(GraphError(100, status=413)))
        else:
            outcome = await self._outcome(request, version, path, body)
        response, status = (
            (outcome.answer.response(), outcome.answer.status)
            if outcome.fault is None
            else struck(outcome.fault, outcome.answer)
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
                notes=outcome.notes(),
            )
        )
        return response

    async def _outcome(self, request: Request, version: str, path: str, body: bytes) -> "_Outcome":
        try:
            _check_version(version)
            call = await read_call(request, version, path, body)
            page = self._page_of(call)
            operation = self._operation(call, page)
        except GraphError as error:
            return _Outcome(self._refused(error))
        fault = self._faults.strike(operation.kind, page.page_id if page else None)
        outcome = _Outcome(_NOTHING, kind=operation.kind, page=page, fault=fault)
        action = call.params.get("sender_action")
        outcome.action = action if isinstance(action, str) else None
        if fault is not None and fault.mode == "error":
            outcome.answer = self._fault_answer(fault)
        elif fault is None or fault.has_effect:
            outcome.answer = self._perform(operation, call, page)
        return outcome

    def _perform(self, operation: Operation, call: Call, page: Page | None) -> Answer:
        app = self._app_of(call)
        try:
            self._limits.count(app, page)
            value = operation.run(self._platform, call)
        except GraphError as error:
            return self._refused(error, app, page)
        return Answer(status=200, body=_encoded(value), headers=self._headers(app, page))

    def _operation(self, call: Call, page: Page | None) -> Operation:
        if (root := _ROOTS.get((call.method, "/".join(call.path)))) is not None:
            return root
        match call.path:
            case (node,) if call.method == "GET":
                as_person = is_person_call(self._platform.world, call)
                read = accounts.read_as_person if as_person else reads.read_node
                return Operation(_kind_of_read(self._platform, page, node), read)
            case (_,) if call.method == "DELETE":
                return _DELETE_PERSONA
            case (_, edge) if (call.method, edge) in _EDGES:
                return _EDGES[call.method, edge]
            case _:
                raise GraphError(
                    2500, message=f"Unknown path components: /{'/'.join(call.path[1:])}"
                )

    def _page_of(self, call: Call) -> Page | None:
        """Return the Page that a call is about: its token's, or the one it names."""
        world = self._platform.world
        for value in (call.token, call.params.get("input_token")):
            token = world.tokens.get(value) if isinstance(value, str) else None
            if token is not None and token.page_id is not None:
                return world.pages.get(token.page_id)
        return world.page_of(call.path[0]) if call.path else None

    def _app_of(self, call: Call) -> App | None:
        """Return the app whose token a call came with."""
        world = self._platform.world
        token = world.tokens.get(call.token) if call.token is not None else None
        return None if token is None else world.apps.get(token.app_id)

    def _fault_answer(self, fault: Fault) -> Answer:
        code = fault.code
        if code is None:
            code = 4 if fault.status == 429 else 2  # noqa: PLR2004 - Too Many Requests
        error = GraphError(code, fault.subcode, status=fault.status)
        refused = self._refused(error)
        return Answer(
            status=refused.status, body=refused.body, headers={**refused.headers, **fault.headers}
        )

    def _refused(
        self, error: GraphError, app: App | None = None, page: Page | None = None
    ) -> Answer:
        return Answer(
            status=error.status,
            body=_encoded(error.body()),
            headers={**self._headers(app, page), **error.headers()},
        )

    def _headers(self, app: App | None, page: Page | None) -> dict[str, str]:
        headers = {
            "facebook-api-version": NEWEST_VERSION,
            "X-FB-Trace-ID": trace_id(),
            "X-FB-Rev": "1029384756",
            "Cache-Control": "private, no-cache, no-store, must-revalidate",
        }
        return headers | self._limits.headers(app, page)


@dataclass(slots=True)
class _Outcome:
    answer: Answer
    kind: str | None = None
    page: Page | None = None
    fault: Fault | None = None
    action: str | None = None

    def notes(self) -> dict[str, Any]:
        notes: dict[str, Any] = {}
        if self.kind is not None:
            notes["call"] = self.kind
        if self.action is not None:
            notes["action"] = self.action
        if self.page is not None:
            notes["page_id"] = self.page.page_id
        if self.fault is not None:
            notes |= self.fault.notes
        return notes


_NOTHING: Final = Answer(status=200, body=b"{}", headers={})


def _check_version(version: str) -> None:
    if _VERSION.fullmatch(f"v{version}") is None:
        raise GraphError(2500, message=f"Unknown path components: /v{version}")


def _kind_of_read(platform: Platform, page: Page | None, node: str) -> str:
    if node == "me" or platform.world.page_of(node) is not None:
        return "page"
    if page is not None and node in page.personas:
        return "personas"
    known = page is not None and platform.world.thread_of(page, node) is not None
    return "conversations" if not known and node.startswith(("t_", "m_")) else "profile"


def _encoded(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
