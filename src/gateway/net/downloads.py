"""GETs of files from addresses that customers, contacts or Meta named, streamed to a file.

Under the same guard as `gateway.net.egress`: every address vetted, the vetted one dialled, no
redirects, no decompression, one budget for all of it. Each download has a connection of its own.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO, Final

import httpcore

from gateway import __version__
from gateway.errors import InvalidFieldsError
from gateway.net.egress import Egress, NoAnswerError, UnreachableError

_CONNECT_BUDGET: Final = timedelta(seconds=5)
_OK: Final = 200


class TooLargeError(Exception):
    """The file is larger than may be, or says so."""


@dataclass(frozen=True, slots=True)
class Download:
    """What was written to the file; of an answer that is not 200, nothing.

    `sha256` is of the content, in hexadecimal; `content_type` what the server said, perhaps
    nothing.
    """

    status: int
    content_type: str
    size: int
    sha256: str


async def download(
    egress: Egress, url: str, *, file: BinaryIO, limit: int, budget: timedelta
) -> Download:
    """Write what an address has to a file, within the budget whatever the server does.

    Args:
        egress: Says where calls may go.
        url: The address.
        file: Where to; it is written from where it stands.
        limit: How many bytes there may be.
        budget: For all of it.

    Raises:
        UnreachableError: Nothing left.
        NoAnswerError: No answer that could be read.
        TooLargeError: There are more bytes than may be.
    """
    try:
        async with asyncio.timeout(budget.total_seconds()):
            return await _download(egress, url, file, limit)
    except InvalidFieldsError as error:
        raise UnreachableError(error.detail, denied=True, slow=False) from error
    except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.ProxyError) as error:
        raise UnreachableError("It takes no connection.") from error
    except TimeoutError as error:
        raise NoAnswerError("The file did not come in time.", slow=True) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
        raise NoAnswerError("The connection broke before the file had come.") from error


async def _download(egress: Egress, url: str, file: BinaryIO, limit: int) -> Download:
    place, connection = await egress.connect(url, answer_bytes=limit)
    request = httpcore.Request(
        "GET",
        httpcore.URL(scheme=place.scheme, host=place.host, port=place.port, target=place.target),
        headers=[
            ("Host", place.host_header),
            ("Accept", "*/*"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", f"channel-gateway/{__version__}"),
        ],
        extensions={"timeout": {"connect": _CONNECT_BUDGET.total_seconds()}},
    )
    try:
        response = await connection.handle_async_request(request)
        try:
            return await _write(response, file, limit)
        finally:
            await response.aclose()
    finally:
        await connection.aclose()


async def _write(response: httpcore.Response, file: BinaryIO, limit: int) -> Download:
    headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
    content_type = headers.get(b"content-type", "")
    if response.status != _OK:
        return Download(response.status, content_type, 0, "")
    if headers.get(b"content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise NoAnswerError("The file came packed, although it was asked for as it is.")
    said = headers.get(b"content-length", "")
    if said.isascii() and said.isdigit() and int(said[:20]) > limit:
        raise TooLargeError
    digest, size = hashlib.sha256(), 0
    async for chunk in response.aiter_stream():
        size += len(chunk)
        if size > limit:
            raise TooLargeError
        digest.update(chunk)
        file.write(chunk)
    return Download(response.status, content_type, size, digest.hexdigest())
