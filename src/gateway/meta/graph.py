"""Graph's Send API and conversations: bodies out, answers in, what they come to.

Shapes: `POST /{page}/messages` and `GET /{page}/conversations` of the Messenger Platform, which
serve Instagram accounts through their Page, too. Sends have no idempotency key: what left and got
no parseable error may have had its effect.
"""

import asyncio
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, lru_cache
from typing import Any, Final
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from gateway.clock import true_now
from gateway.domain.backoff import parse_retry_after
from gateway.domain.channel import ChannelKind
from gateway.domain.delivery import (
    TRIED_AGAIN,
    Accepted,
    Answer,
    NotAttempted,
    Outcome,
    Refused,
    SendError,
    Unknown,
    printable,
)
from gateway.errors import UpstreamFailedError
from gateway.meta.conversations import THREAD_FIELDS, ThreadMessage, read_messages
from gateway.meta.errors import GraphFault, classify, is_familiar, parse_fault
from gateway.meta.history import HISTORY_FIELDS, THREADS, HistoryPage, Source, read_history
from gateway.meta.sending import (
    PageAction,
    PageMessage,
    UnsendableContentError,
    action_body,
    message_body,
)
from gateway.meta.thread_control import ThreadControl, control_body
from gateway.meta.usage import app_usage, page_usage

# Answers are small; what is longer is cut off, and does not parse then.
MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_THREAD_BYTES: Final = 1024 * 1024
MAX_HISTORY_BYTES: Final = 8 * 1024 * 1024
# By this extension of a request, the client for operators' addresses reads no more than is of use.
_ANSWER_BYTES: Final = "gateway_answer_bytes"
# What errors are counted as that the table does not know.
OTHER_FAULT: Final = "other"
_MAX_MID: Final = 1000
_OK: Final = range(200, 300)

_UNREACHABLE: Final = SendError(
    "upstream-failed",
    "Meta could not be reached.",
    TRIED_AGAIN,
    retryable=True,
)
_NO_ANSWER: Final = SendError(
    "upstream-failed",
    "Meta's answer did not arrive, so nobody can tell yet whether the message was sent.",
    "Look into the Page's inbox, then send the message again if it is not there.",
    retryable=True,
)


@dataclass(frozen=True, kw_only=True)
class PageAccess:
    """What a call in the name of a Page needs."""

    page_id: str
    token: SecretStr
    app_secret: SecretStr
    version: str

    @cached_property
    def proof(self) -> str:
        """The `appsecret_proof`: it shows that whoever has the token has the app's secret, too."""
        key = self.app_secret.get_secret_value().encode()
        token = self.token.get_secret_value().encode()
        return hmac.new(key, token, hashlib.sha256).hexdigest()


class GraphClient:
    """Calls Graph in the name of Pages."""

    def __init__(self, client: httpx.AsyncClient, *, base_url: str) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")

    async def send_message(
        self, access: PageAccess, message: PageMessage, *, budget: timedelta
    ) -> Answer:
        """Send a message and return what came of it, within the budget whatever Meta does."""
        try:
            body = message_body(message)
        except UnsendableContentError as error:
            return Answer(outcome=Refused(error.error))
        return await self._post(access, "messages", body, budget=budget, wants_mid=True)

    async def send_action(
        self, access: PageAccess, action: PageAction, *, budget: timedelta
    ) -> Answer:
        """Show typing, seen or a reaction."""
        body = action_body(action)
        return await self._post(access, "messages", body, budget=budget, wants_mid=False)

    async def take_thread(
        self, access: PageAccess, contact_id: str, *, budget: timedelta
    ) -> Answer:
        """Take a contact's thread from whoever has it; doing so twice does no harm."""
        return await self.control_thread(access, contact_id, ThreadControl("take"), budget=budget)

    async def control_thread(
        self, access: PageAccess, contact_id: str, control: ThreadControl, *, budget: timedelta
    ) -> Answer:
        """Take, pass, request or release a contact's thread; doing so twice does no harm."""
        body = control_body(control, contact_id)
        return await self._post(access, control.edge, body, budget=budget, wants_mid=False)

    async def read_thread(
        self, access: PageAccess, contact_id: str, *, instagram: bool, budget: timedelta
    ) -> list[ThreadMessage]:
        """Return the newest messages of a contact's thread, at most 20.

        Raises:
            UpstreamFailedError: Graph did not answer, or refused.
        """
        query = {
            "platform": "instagram" if instagram else "messenger",
            "user_id": contact_id,
            "fields": THREAD_FIELDS,
        }
        document = await self._read(access, "conversations", query, budget, MAX_THREAD_BYTES)
        return read_messages(document, contact_id)

    async def read_history(
        self, access: PageAccess, source: Source, *, after: str | None, budget: timedelta
    ) -> HistoryPage:
        """Return some of a Page's threads with their newest messages, the latest thread first.

        Raises:
            UpstreamFailedError: Graph did not answer, or refused.
        """
        instagram = source.kind is ChannelKind.INSTAGRAM
        query = {
            "platform": "instagram" if instagram else "messenger",
            "fields": HISTORY_FIELDS,
            "limit": str(THREADS),
        }
        if after is not None:
            query["after"] = after
        document = await self._read(access, "conversations", query, budget, MAX_HISTORY_BYTES)
        return read_history(document, source)

    async def _read(
        self,
        access: PageAccess,
        edge: str,
        query: dict[str, str],
        budget: timedelta,
        limit: int,
    ) -> dict[str, Any]:
        request = self._client.build_request(
            "GET",
            self._url(access, edge),
            params=query | {"appsecret_proof": access.proof},
            headers=_authorization(access),
        )
        try:
            async with asyncio.timeout(budget.total_seconds()):
                response, body = await self._exchange(request, limit=limit)
        except (httpx.HTTPError, TimeoutError) as error:
            raise UpstreamFailedError("Meta's conversation could not be read.") from error
        document = _parse(body)
        if response.status_code not in _OK or not isinstance(document, dict):
            raise UpstreamFailedError("Meta did not show the conversation.")
        return document

    async def _post(
        self,
        access: PageAccess,
        edge: str,
        body: dict[str, Any],
        *,
        budget: timedelta,
        wants_mid: bool,
    ) -> Answer:
        content = json.dumps(body | {"appsecret_proof": access.proof}).encode()
        request = _post_request(self._url(access, edge), access, content)
        started = time.monotonic()
        slow = False
        try:
            async with asyncio.timeout(budget.total_seconds()):
                response, answer = await self._exchange(request, limit=MAX_ANSWER_BYTES)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            outcome: Outcome = NotAttempted(_UNREACHABLE)
            slow = True
        except (httpx.HTTPError, TimeoutError) as error:
            outcome = Unknown(_NO_ANSWER)
            slow = isinstance(error, TimeoutError)
        else:
            return Answer(
                outcome=judge(response.status_code, answer, response.headers, wants_mid=wants_mid),
                status=response.status_code,
                milliseconds=_since(started),
                body=printable(answer, secrets=(access.token.get_secret_value(), access.proof)),
                fault_code=counted_code(_parse(answer)),
                usage=page_usage(response.headers),
                app_usage=app_usage(response.headers),
            )
        return Answer(outcome=outcome, milliseconds=_since(started), slow=slow)

    async def _exchange(
        self, request: httpx.Request, *, limit: int
    ) -> tuple[httpx.Response, bytes]:
        response = await self._client.send(request, stream=True)
        try:
            body = b""
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > limit:
                    break
        finally:
            await response.aclose()
        return response, body[:limit]

    def _url(self, access: PageAccess, edge: str) -> httpx.URL:
        return _url_of(self._base_url, access.version, access.page_id, edge)


def judge(status: int, body: bytes, headers: httpx.Headers, *, wants_mid: bool = True) -> Outcome:
    """Return what an answer to a send comes to.

    Whatever its status, an error in Graph's shape is believed; without one, only an answer of 2xx
    that names the message is a success, and everything else is unknown.
    """
    document = _parse(body)
    fault = parse_fault(document)
    if fault is not None:
        return _judge_fault(fault, status, headers)
    if status not in _OK or not isinstance(document, dict) or "error" in document:
        return Unknown(_NO_ANSWER)
    if not wants_mid:
        return Accepted()
    mid = document.get("message_id")
    if isinstance(mid, str) and 0 < len(mid) <= _MAX_MID and mid.isprintable():
        return Accepted(mid)
    return Unknown(_NO_ANSWER)


def counted_code(document: object) -> str | None:
    """Return the code that an answer's error is counted by, `other` for one that is not known.

    Known ones are few, so that they may be labels of a metric.
    """
    fault = parse_fault(document)
    if fault is None:
        return None
    return str(fault.code) if is_familiar(fault) else OTHER_FAULT


def _judge_fault(fault: GraphFault, status: int, headers: httpx.Headers) -> Outcome:
    usage = page_usage(headers)
    return classify(
        fault,
        http_status=status,
        retry_after=parse_retry_after(headers.get_list("retry-after"), now=true_now()),
        regain_after=None if usage is None else usage.regain_after,
    )


def _parse(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


# httpx takes longer over reading an address than the exchange takes; Pages' addresses stay.
@lru_cache(maxsize=4096)
def _url_of(base_url: str, version: str, page_id: str, edge: str) -> httpx.URL:
    return httpx.URL(f"{base_url}/{version}/{quote(page_id, safe='')}/{edge}")


def _post_request(url: httpx.URL, access: PageAccess, content: bytes) -> httpx.Request:
    # Given a stream, httpx takes the headers as they are.
    return httpx.Request(
        "POST",
        url,
        headers=[
            (b"Host", url.netloc),
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", b"channel-gateway"),
            (b"Authorization", b"Bearer " + access.token.get_secret_value().encode()),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", str(len(content)).encode()),
        ],
        stream=httpx.ByteStream(content),
        extensions={_ANSWER_BYTES: MAX_ANSWER_BYTES},
    )


def _authorization(access: PageAccess) -> dict[str, str]:
    return {"Authorization": f"Bearer {access.token.get_secret_value()}"}


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
