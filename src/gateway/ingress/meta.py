"""Where Meta posts: `GET` and `POST /webhooks/meta/{app_id}`.

A plain ASGI application: this is the hot path, and nothing here needs a framework. The body is read
under a limit, its signature checked over the raw bytes, and only then is it parsed. 200 is answered
once every event is durable on Kafka. Refusals before the signature holds are fixed texts; after it
nothing is refused, as Meta would only send it again and in the end unsubscribe the Page.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import parse_qs, unquote

import structlog
import zttp
from prometheus_client import Counter
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from gateway.broker.records import NewRecord
from gateway.clock import Clock
from gateway.contracts.inbound import InboundEvent
from gateway.contracts.inbound_types import INBOUND_TYPES
from gateway.contracts.topics import INBOUND
from gateway.domain import ids
from gateway.errors import (
    BodyTooLargeError,
    GatewayError,
    InvalidSignatureError,
    MissingParameterError,
    NotDurableError,
    NotFoundError,
    UnsupportedMediaTypeError,
    VerifyTokenMismatchError,
)
from gateway.http.problems import (
    METHOD_NOT_ALLOWED,
    plain_problem,
    problem_response,
    problem_type_of,
)
from gateway.http.shortcut import Reply
from gateway.ingress.secrets import SecretCache
from gateway.meta.challenge import ChallengeRefusal, Echo, answer_challenge
from gateway.meta.normalise import Normalised, normalise
from gateway.meta.signature import verify
from gateway.quick_metrics import QuickCounter, QuickHistogram

PREFIX: Final = "/webhooks/meta/"
_PREFIX: Final = PREFIX.encode()
# Parsing a body of this size takes longer than other requests should wait.
_LARGE_BYTES: Final = 128 * 1024

_REQUESTS = QuickCounter(
    "gateway_ingress_requests_total", "Webhooks from Meta, by what was answered.", "answer"
)
_EVENTS = QuickCounter("gateway_ingress_events_total", "Events made of webhooks, by type.", "type")
_WITHOUT_EVENT = Counter(
    "gateway_ingress_without_event_total", "What held no item, by what it was.", ["what"]
)
_ODDITIES = Counter("gateway_ingress_oddities_total", "What was read all the same.", ["what"])
_SECONDS = QuickHistogram(
    "gateway_ingress_seconds",
    "From a webhook's header to its 200.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)

# Looked up once: a label's counter takes longer to find than to raise.
_TAKEN: Final = _REQUESTS.labels("ok")
_EVENTS_OF: Final = {type_: _EVENTS.labels(type_) for type_ in INBOUND_TYPES}

_NO_BODY: Final[Message] = {"type": "http.response.body", "body": b""}

log = structlog.get_logger()


class Producer(Protocol):
    """Makes records durable."""

    async def produce_all(self, records: Sequence[NewRecord], *, timeout: float) -> None:  # noqa: ASYNC109
        """Return once all are durable, or raise `NotDurableError` when time is up."""
        ...

    def write(
        self,
        records: Sequence[NewRecord],
        then: Callable[[NotDurableError | None], None],
        *,
        timeout: float,
    ) -> bool:
        """Call back where `produce_all` would return or raise; False: only that can help."""
        ...


class _ClientGoneError(Exception):
    """Who sent the request hung up before its end."""


class MetaWebhooks:
    """The ASGI application behind `/webhooks/meta/…`, and the shortcut to what it does most."""

    def __init__(
        self,
        *,
        secrets: SecretCache,
        producer: Producer,
        clock: Clock,
        body_bytes: int,
        produce_seconds: float,
        new_traceparent: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Take what it works with.

        Args:
            secrets: Tells the apps' secrets.
            producer: Makes events durable.
            clock: The product's.
            body_bytes: The largest body that is read.
            produce_seconds: How long events may take to become durable.
            new_traceparent: Begins a trace; what Meta's request says about one is not believed.
        """
        self._secrets = secrets
        self._producer = producer
        self._clock = clock
        self._body_bytes = body_bytes
        self._produce_seconds = produce_seconds
        self._new_traceparent = new_traceparent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request_id = ids.new_id("req")
        try:
            if scope["method"] == "POST":
                began = time.perf_counter()
                await self._take(_app_id(scope["path"]), scope["headers"], receive)
                await send(_ok(request_id))
                await send(_NO_BODY)
                _TAKEN.inc()
                _SECONDS.observe(time.perf_counter() - began)
                return
            response = await self._answer(scope, request_id)
        except _ClientGoneError:
            _REQUESTS.labels("client-gone").inc()
            return
        except GatewayError as error:
            response = _refusal(error, request_id)
        response.headers["X-Request-Id"] = request_id
        await response(scope, receive, send)

    def begin(self, path: bytes, headers: zttp.HeaderBlock) -> "_Post | None":
        """Take a webhook of ordinary form and size; all others come as to any ASGI application."""
        app_id = path.removeprefix(_PREFIX)
        if len(app_id) == len(path) or not app_id.isalnum():
            return None
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or int(length) >= min(_LARGE_BYTES, self._body_bytes):
            return None
        if headers.get(b"content-encoding") is not None:
            return None
        return _Post(self, app_id.decode(), headers.getall(b"x-hub-signature-256"))

    def take_at_once(
        self,
        app_id: str,
        signatures: list[bytes],
        body: bytes,
        then: Callable[[GatewayError | None], None],
    ) -> bool:
        """Take a body where that needs no waiting but for the broker; `then` is told how it went.

        False: nothing was done.
        """
        app = self._secrets.known_app(app_id)
        if app is None:
            return False
        if not verify(body, signatures, app.secrets):
            asyncio.get_running_loop().call_soon(then, _forged())
            return True
        received_at = self._clock.now()
        normalised = normalise(
            body,
            meta_app_id=app_id,
            received_at=received_at,
            traceparent=self._new_traceparent(),
        )
        records = [record_of(event, received_at) for event in normalised.events]
        if not records:
            asyncio.get_running_loop().call_soon(then, None)
        elif not self._producer.write(records, then, timeout=self._produce_seconds):
            return False
        _count(normalised)
        return True

    async def _answer(self, scope: Scope, request_id: str) -> Response:
        app_id = _app_id(scope["path"])
        if scope["method"] == "GET":
            return await self._shake_hands(app_id, scope)
        _REQUESTS.labels(METHOD_NOT_ALLOWED.slug).inc()
        response = plain_problem(
            METHOD_NOT_ALLOWED, "This address takes GET and POST.", instance=request_id
        )
        response.headers["Allow"] = "GET, POST"
        return response

    async def _take(
        self, app_id: str, headers: Sequence[tuple[bytes, bytes]], receive: Receive
    ) -> None:
        signatures: list[bytes] = []
        for name, value in headers:
            if name == b"x-hub-signature-256":
                signatures.append(value)
            elif name == b"content-length":
                self._refuse_length(value)
            elif name == b"content-encoding":
                _refuse_encoding(value)
        body = await self._body(receive)
        app = await self._secrets.app(app_id)
        if not verify(body, signatures, () if app is None else app.secrets):
            raise _forged()
        received_at = self._clock.now()
        traceparent = self._new_traceparent()

        if len(body) < _LARGE_BYTES:
            normalised = normalise(
                body, meta_app_id=app_id, received_at=received_at, traceparent=traceparent
            )
        else:
            normalised = await asyncio.to_thread(
                normalise,
                body,
                meta_app_id=app_id,
                received_at=received_at,
                traceparent=traceparent,
            )
        _count(normalised)
        if normalised.events:
            await self._producer.produce_all(
                [record_of(event, received_at) for event in normalised.events],
                timeout=self._produce_seconds,
            )

    def _refuse_length(self, declared: bytes) -> None:
        if declared.isdigit() and int(declared) > self._body_bytes:
            raise self._too_large()

    async def _body(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message: Message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientGoneError
            part = message.get("body", b"")
            size += len(part)
            if size > self._body_bytes:
                raise self._too_large()
            parts.append(part)
            more = message.get("more_body", False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"A webhook may have {self._body_bytes} bytes.")

    async def _shake_hands(self, app_id: str, scope: Scope) -> Response:
        query = parse_qs(
            scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=32
        )
        app = await self._secrets.app(app_id)
        answer = answer_challenge(
            modes=query.get("hub.mode", ()),
            tokens=query.get("hub.verify_token", ()),
            challenges=query.get("hub.challenge", ()),
            verify_token=None if app is None else app.verify_token,
        )
        match answer:
            case Echo(challenge):
                _REQUESTS.labels("handshake").inc()
                return PlainTextResponse(challenge)
            case ChallengeRefusal.TOKEN_MISMATCH:
                raise VerifyTokenMismatchError("The verify token is not the one of this app.")
            case _:
                raise MissingParameterError(
                    "A handshake has hub.mode=subscribe, hub.verify_token and a hub.challenge of up"
                    " to 256 letters, digits, - or _, once each."
                )


class _Post:
    """A webhook that came by the shortcut."""

    __slots__ = ("_app_id", "_began", "_reply", "_signatures", "_webhooks")

    def __init__(self, webhooks: MetaWebhooks, app_id: str, signatures: list[bytes]) -> None:
        self._webhooks = webhooks
        self._app_id = app_id
        self._signatures = signatures
        self._began = time.perf_counter()
        self._reply: Reply | None = None

    def serve(self, body: bytes, reply: Reply) -> bool:
        """Verify, normalise and write; the answer follows."""
        self._reply = reply
        return self._webhooks.take_at_once(self._app_id, self._signatures, body, self._answer)

    def abandon(self) -> None:
        """Take note that who sent the request hung up before its end."""
        _REQUESTS.labels("client-gone").inc()

    def _answer(self, error: GatewayError | None) -> None:
        reply, self._reply = self._reply, None
        assert reply is not None
        request_id = ids.new_id("req")
        if error is None:
            reply.ok(request_id)
            _TAKEN.inc()
            _SECONDS.observe(time.perf_counter() - self._began)
        else:
            response = _refusal(error, request_id)
            response.headers["X-Request-Id"] = request_id
            reply.answer(response.status_code, response.raw_headers, bytes(response.body))


def record_of(event: InboundEvent, received_at: datetime) -> NewRecord:
    """Return the record of an event that arrived at a moment."""
    key, value, headers = event.record()
    return NewRecord(INBOUND, key, value, headers, received_at)


def _forged() -> InvalidSignatureError:
    return InvalidSignatureError("The signature of the body is missing or wrong.")


def _refusal(error: GatewayError, request_id: str) -> Response:
    slug = problem_type_of(error).slug
    _REQUESTS.labels(slug).inc()
    log.info("webhook.refused", problem=slug, request_id=request_id)
    response = problem_response(error, instance=request_id)
    if isinstance(error, BodyTooLargeError):
        # The rest of the body is not read, so the connection cannot serve another request.
        response.headers["Connection"] = "close"
    return response


def _app_id(path: str) -> str:
    app_id = unquote(path.removeprefix(PREFIX))
    if "/" in app_id or not app_id:
        raise NotFoundError("There is nothing at this address.")
    return app_id


def _refuse_encoding(value: bytes) -> None:
    if value.strip().lower() not in (b"", b"identity"):
        raise UnsupportedMediaTypeError("A webhook's body must not be encoded.")


def _ok(request_id: str) -> Message:
    headers = [(b"content-length", b"0"), (b"x-request-id", request_id.encode())]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def _count(normalised: Normalised) -> None:
    for event in normalised.events:
        _EVENTS_OF[event.type].inc()
    if normalised.without_event:
        for what, count in normalised.without_event.items():
            _WITHOUT_EVENT.labels(what=what).inc(count)
    if normalised.oddities:
        for what, count in normalised.oddities.items():
            _ODDITIES.labels(what=what).inc(count)
