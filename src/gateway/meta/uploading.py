"""Uploads of files to be sent by a Page: `POST /{page}/message_attachments`.

An upload shows nobody anything, so one that failed in whatever way may be made again. The id that
comes back is the Page's alone and is good for 90 days, in as many messages as are sent with it.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO, Final

import httpx

from gateway.domain.delivery import (
    Accepted,
    Answer,
    NotAttempted,
    Outcome,
    Retry,
    SendError,
    Unknown,
    printable,
)
from gateway.meta.graph import MAX_ANSWER_BYTES, PageAccess, counted_code, judge

# How long Meta keeps them, with time to spare for the message.
ATTACHMENT_LIFE: Final = timedelta(days=89)
_MAX_ID: Final = 100

_NOT_UPLOADED: Final = SendError(
    "upstream-failed",
    "The file could not be passed on to Meta.",
    "It is tried again by itself.",
    retryable=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFile:
    """A file to be uploaded; `kind` is as what it is sent: image, audio, video or file."""

    kind: str
    mime_type: str
    name: str | None
    file: BinaryIO


class AttachmentUploads:
    """Uploads files in the name of Pages."""

    def __init__(self, client: httpx.AsyncClient, *, base_url: str) -> None:
        """Take a client that sends bodies as they are read."""
        self._client = client
        self._base_url = base_url.rstrip("/")

    async def upload(
        self, access: PageAccess, file: PageFile, *, budget: timedelta
    ) -> str | Answer:
        """Upload a file and return Meta's id of it, or what came of the attempt instead.

        Within the budget, whatever Meta does. The answer's outcome is never `Unknown`.
        """
        attachment = {"type": file.kind, "payload": {"is_reusable": True}}
        request = self._client.build_request(
            "POST",
            f"{self._base_url}/{access.version}/{access.page_id}/message_attachments",
            data={
                "message": json.dumps({"attachment": attachment}),
                "appsecret_proof": access.proof,
            },
            files={"filedata": (file.name or file.kind, file.file, file.mime_type)},
            headers={"Authorization": f"Bearer {access.token.get_secret_value()}"},
        )
        started = time.monotonic()
        slow = False
        try:
            async with asyncio.timeout(budget.total_seconds()):
                response = await self._client.send(request, stream=True)
                try:
                    body = await _read(response)
                finally:
                    await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            outcome: Outcome = NotAttempted(_NOT_UPLOADED)
            slow = True
        except (httpx.HTTPError, TimeoutError) as error:
            outcome = Retry(_NOT_UPLOADED)
            slow = isinstance(error, TimeoutError)
        else:
            return _judge(access, response, body, _since(started))
        return Answer(outcome=outcome, milliseconds=_since(started), slow=slow)


async def _read(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            break
    return body[:MAX_ANSWER_BYTES]


def _judge(
    access: PageAccess, response: httpx.Response, body: bytes, milliseconds: int
) -> str | Answer:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    outcome = judge(response.status_code, body, response.headers, wants_mid=False)
    if isinstance(outcome, Accepted) and isinstance(document, dict):
        attachment_id = str(document.get("attachment_id") or "")
        if attachment_id.isalnum() and attachment_id.isascii() and len(attachment_id) <= _MAX_ID:
            return attachment_id
    if isinstance(outcome, Accepted | Unknown):
        outcome = Retry(_NOT_UPLOADED)
    return Answer(
        outcome=outcome,
        status=response.status_code,
        milliseconds=milliseconds,
        body=printable(body, secrets=(access.token.get_secret_value(), access.proof)),
        fault_code=counted_code(document),
    )


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
