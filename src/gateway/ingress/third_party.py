"""Where third parties post: `/incoming/{channel_id}/…`, with the channel's incoming token.

As for Meta's webhooks, no database is asked on the way: 202 is answered once the events are durable
on Kafka. A suspended channel's events wait for its return; a deleted channel takes nothing.
"""

import hashlib
import hmac
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from fastapi import APIRouter, Depends, Path, Request
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.responses import Response

from gateway.clock import Clock
from gateway.contracts.inbound import InboundEvent
from gateway.contracts.third_party import contact_event, message_event, status_event, typing_event
from gateway.db.ingress_secrets import IncomingChannel
from gateway.db.media import Media, insert_media
from gateway.db.unit_of_work import Database
from gateway.domain import ids
from gateway.errors import (
    FieldFault,
    InvalidFieldsError,
    NotFoundError,
    UnauthenticatedError,
)
from gateway.http.admission import (
    parse_body,
    read_body,
    refuse_encodings,
    refuse_impossible_ids,
    refuse_unknown_parameters,
)
from gateway.http.routes import ParsedRequest
from gateway.http.uploads import upload_of
from gateway.ingress.incoming_bodies import (
    Accepted,
    AcceptedEvent,
    AcceptedItem,
    ContactId,
    IncomingMessage,
    OneOrMany,
    Profile,
    Status,
    Typing,
    UploadedMedia,
)
from gateway.ingress.meta import Producer, record_of
from gateway.ingress.secrets import SecretCache
from gateway.media_store import MediaStore

_SCHEME: Final = HTTPBearer(
    scheme_name="IncomingToken",
    description="The incoming token of a third-party channel.",
    auto_error=False,
)
_NO_TOKEN: Final = b"\0" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingParts:
    """What the incoming calls work with; at `app.state.incoming`.

    `body_bytes` bounds a body, `produce_seconds` the wait for it to become durable. Uploads alone
    ask the database and the media store.
    """

    secrets: SecretCache
    producer: Producer
    clock: Clock
    body_bytes: int
    produce_seconds: float
    database: Database
    media: MediaStore
    new_traceparent: Callable[[], str | None] = lambda: None


class IncomingRoute(APIRoute):
    """A route that the channel's own token opens; its body is read by our parser.

    Attributes:
        reads_json: False where the function reads the body itself.
    """

    reads_json: ClassVar[bool] = True

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            parts: IncomingParts = request.app.state.incoming
            refuse_impossible_ids(request)
            request.state.channel = await _admit(request, parts)
            refuse_unknown_parameters(request, ())
            refuse_encodings(request)
            if self.reads_json:
                raw = await read_body(request, parts.body_bytes)
                request = ParsedRequest(request, raw, parse_body(request, raw))
            return await handle(request)

        return answer


class UploadRoute(IncomingRoute):
    """A route that takes a file."""

    reads_json: ClassVar[bool] = False


router = APIRouter(
    prefix="/incoming/{channel_id}",
    tags=["Incoming"],
    route_class=IncomingRoute,
    dependencies=[Depends(_SCHEME)],
)


def incoming_parts(request: Request) -> IncomingParts:
    """Return the parts of the application that serves a request."""
    parts: IncomingParts = request.app.state.incoming
    return parts


Parts = Annotated[IncomingParts, Depends(incoming_parts)]
ChannelId = Annotated[str, Path(examples=["chn_01kb9xkzfve8mtr2p7aa0q6k3d"])]


@router.post("/messages", status_code=202, summary="Post messages of people")
async def post_messages(channel_id: ChannelId, body: OneOrMany, parts: Parts) -> Accepted:
    """Take one message, or up to a hundred in the order in which they were written.

    A message is known by its `id`: posted again, it has no second effect. 202 means that it is
    durable; 503 that it may not be, and should be posted again.
    """
    one = isinstance(body, IncomingMessage)
    messages = [body] if isinstance(body, IncomingMessage) else body.messages
    _refuse_incomplete(messages, one=one)
    events = [
        message_event(
            channel_id,
            message.model_dump(exclude_none=True),
            parts.clock.now(),
            traceparent=parts.new_traceparent(),
        )
        for message in messages
    ]
    await _keep(parts, events)
    return Accepted(
        accepted=[
            AcceptedItem(id=message.id, event_id=event.id)
            for message, event in zip(messages, events, strict=True)
        ]
    )


@router.post("/statuses", status_code=202, summary="Tell what became of a message")
async def post_status(channel_id: ChannelId, body: Status, parts: Parts) -> AcceptedEvent:
    """Say that a message of ours was delivered or read, or could not be passed on."""
    event = status_event(channel_id, body.model_dump(exclude_none=True), parts.clock.now())
    await _keep(parts, [event])
    return AcceptedEvent(event_id=event.id)


@router.post("/typing", status_code=202, summary="Tell that a person is typing")
async def post_typing(channel_id: ChannelId, body: Typing, parts: Parts) -> AcceptedEvent:
    """Say that a person began or stopped typing."""
    event = typing_event(channel_id, body.model_dump(exclude_none=True), parts.clock.now())
    await _keep(parts, [event])
    return AcceptedEvent(event_id=event.id)


@router.put("/contacts/{contact_id}", status_code=202, summary="Tell about a person")
async def put_contact(
    channel_id: ChannelId,
    contact_id: Annotated[ContactId, Path(examples=["customer-42"])],
    body: Profile,
    parts: Parts,
) -> AcceptedEvent:
    """Write what is known of a person; what is left out stays as it is."""
    profile = body.model_dump(exclude_none=True) | {"id": contact_id}
    event = contact_event(channel_id, profile, parts.clock.now())
    await _keep(parts, [event])
    return AcceptedEvent(event_id=event.id)


async def post_media(request: Request, parts: Parts) -> UploadedMedia:
    """Take a file in the part `file`; its id then stands for it in a message's `media_id`."""
    channel: IncomingChannel = request.state.channel
    async with upload_of(request) as upload:
        media_id = ids.new_id(ids.MEDIA)
        path = await parts.media.put(channel.account_id, media_id, upload.file)
        async with parts.database.unit_of_work() as work:
            row = Media(
                account_id=channel.account_id,
                id=media_id,
                mime_type=upload.mime_type,
                name=upload.name,
                size=upload.size,
                sha256=upload.sha256.hex(),
                path=path,
                created_at=work.now,
            )
            await insert_media(work.connection, row)
        return UploadedMedia(id=media_id, mime_type=upload.mime_type, size=upload.size)


router.add_api_route(
    "/media",
    post_media,
    methods=["POST"],
    status_code=201,
    summary="Upload a file",
    route_class_override=UploadRoute,
    openapi_extra={
        "parameters": [
            {"name": "channel_id", "in": "path", "required": True, "schema": {"type": "string"}}
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {"file": {"type": "string", "format": "binary"}},
                    }
                }
            },
        },
    },
)


async def _admit(request: Request, parts: IncomingParts) -> IncomingChannel:
    """Return the channel whose token a request has.

    Raises:
        NotFoundError: There is no such channel, or it is deleted.
        UnauthenticatedError: The token is missing or is not the channel's.
    """
    channel = await parts.secrets.channel(request.path_params["channel_id"])
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
    holds = _holds(parts, channel, digest)
    if channel is not None and not holds:
        channel = await parts.secrets.channel_again(channel.id)
        holds = _holds(parts, channel, digest)
    if channel is None or channel.deleted:
        raise NotFoundError("There is no such channel.")
    if not holds or scheme.lower() != "bearer":
        raise UnauthenticatedError("This call needs the channel's incoming token.")
    return channel


def _holds(parts: IncomingParts, channel: IncomingChannel | None, digest: bytes) -> bool:
    hashes = [] if channel is None else channel.token_hashes(parts.clock.now())
    # Every one is compared, so that the time tells nothing.
    return sum(hmac.compare_digest(digest, each) for each in hashes or [_NO_TOKEN]) > 0


async def _keep(parts: IncomingParts, events: Sequence[InboundEvent]) -> None:
    now = parts.clock.now()
    await parts.producer.produce_all(
        [record_of(event, now) for event in events], timeout=parts.produce_seconds
    )


def _refuse_incomplete(messages: Sequence[IncomingMessage], *, one: bool) -> None:
    faults = [
        FieldFault(f"{'' if one else f'/messages/{n}'}/{lacking[0]}", "missing", lacking[1])
        for n, message in enumerate(messages)
        if (lacking := message.missing()) is not None
    ]
    if faults:
        raise InvalidFieldsError("Some messages lack what their type needs.", faults=faults[:20])
