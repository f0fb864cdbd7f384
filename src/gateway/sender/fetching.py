"""Fetches files for messages: from an address, or from the media store, into a file of its own.

A file is read and written in parts and lies on disk meanwhile. What it is, its content tells.
"""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO, Final, cast
from urllib.parse import unquote, urlsplit

from gateway.db.media import Media
from gateway.domain.media import HEAD_BYTES, type_of_content
from gateway.media_store import MediaStore
from gateway.net.downloads import TooLargeError, download
from gateway.net.egress import Egress, NoAnswerError, UnreachableError

# Smaller ones stay in memory.
_SPOOL_BYTES: Final = 256 * 1024
_OK: Final = 200
_MAX_NAME: Final = 255
# Worth another try; every other answer but 200 stays.
_PASSING: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500


class FetchFailedError(Exception):
    """A file cannot be had.

    Attributes:
        reason: `address-not-allowed`, `gone`, `too-large`, `not-supported`, or `failed` for
            everything that another try may mend or nobody understands.
        retryable: Whether another try may help.
        slow: The server wasted our time.
    """

    def __init__(
        self, detail: str, *, reason: str, retryable: bool = False, slow: bool = False
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.retryable = retryable
        self.slow = slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file and what it is; `sha256` in hexadecimal."""

    file: BinaryIO
    mime_type: str
    size: int
    sha256: str
    name: str | None


class Fetching:
    """Fetches files under the guard for customers' addresses."""

    def __init__(self, egress: Egress, store: MediaStore, *, spool_dir: str = "") -> None:
        """Take what it works with; files lie in `spool_dir`, or where the system puts such."""
        self._egress = egress
        self._store = store
        self._spool_dir = spool_dir or None

    @asynccontextmanager
    async def from_address(self, url: str, *, limit: int, seconds: float) -> AsyncIterator[Fetched]:
        """Give what an address has, until the end of the block.

        Raises:
            FetchFailedError: It cannot be had, is larger than `limit` bytes, or nobody can tell
                what it is.
        """
        with self._spool() as spool:
            file = cast("BinaryIO", spool)
            budget = timedelta(seconds=seconds)
            try:
                found = await download(self._egress, url, file=file, limit=limit, budget=budget)
            except UnreachableError as error:
                reason = "address-not-allowed" if error.denied else "failed"
                # A name may resolve again, an address may be reached again.
                raise FetchFailedError(
                    str(error), reason=reason, retryable=not error.denied, slow=error.slow
                ) from error
            except NoAnswerError as error:
                raise FetchFailedError(
                    str(error), reason="failed", retryable=True, slow=error.slow
                ) from error
            except TooLargeError as error:
                raise FetchFailedError(
                    f"The file has more than {limit} bytes.", reason="too-large"
                ) from error
            except OSError as error:
                raise _no_room() from error
            _check_status(found.status)
            yield Fetched(
                file=file,
                mime_type=_type_of(file, found.content_type),
                size=found.size,
                sha256=found.sha256,
                name=_name_of(url),
            )

    @asynccontextmanager
    async def from_store(self, media: Media) -> AsyncIterator[Fetched]:
        """Give media that lies with us, until the end of the block.

        Raises:
            FetchFailedError: It is not kept any more.
        """
        with self._spool() as spool:
            try:
                async for part in self._store.read(media.path):
                    spool.write(part)
            except FileNotFoundError as error:
                raise FetchFailedError("The file is not kept any more.", reason="gone") from error
            except OSError as error:
                raise _no_room() from error
            yield Fetched(
                file=cast("BinaryIO", spool),
                mime_type=media.mime_type,
                size=media.size,
                sha256=media.sha256,
                name=media.name,
            )

    def _spool(self) -> tempfile.SpooledTemporaryFile[bytes]:
        return tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES, dir=self._spool_dir)


def _no_room() -> FetchFailedError:
    return FetchFailedError(
        "The gateway has no room for the file at the moment.", reason="failed", retryable=True
    )


def _check_status(status: int) -> None:
    if status == _OK:
        return
    passing = status in _PASSING or status >= _SERVER_ERROR
    raise FetchFailedError(
        f"The file's address answered {status}.",
        reason="failed" if passing else "gone",
        retryable=passing,
    )


def _type_of(file: BinaryIO, said: str) -> str:
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    mime_type = type_of_content(head, said=said) if head else None
    if mime_type is None:
        raise FetchFailedError(
            "The file is empty, or not what its type says.", reason="not-supported"
        )
    return mime_type


def _name_of(url: str) -> str | None:
    """Return the name that a file has in its address, for who gets it."""
    name = unquote(urlsplit(url).path.rpartition("/")[2]).strip()
    return name[:_MAX_NAME] if name and name.isprintable() else None
