"""Files in multipart bodies: one part named `file`, checked, and never in memory whole."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from gateway.domain.media import HEAD_BYTES, LARGEST_BYTES, is_content_of, largest_bytes
from gateway.errors import (
    BodyTooLargeError,
    FieldFault,
    InvalidFieldsError,
    MalformedJsonError,
    MediaNotSupportedError,
    UnsupportedMediaTypeError,
)
from gateway.http.admission import MULTIPART

# Room for the part's headers and the boundaries.
_FRAME_BYTES: Final = 64 * 1024
_DIGEST_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that was uploaded and is what its type says; `sha256` is of its content."""

    mime_type: str
    name: str | None
    size: int
    sha256: bytes
    file: BinaryIO


class _TooLargeError(MultiPartException):
    """The parser closes its files on errors of this kind."""


@asynccontextmanager
async def upload_of(request: Request) -> AsyncIterator[Upload]:
    """Read the part `file` of a multipart body; its file is closed at the block's end.

    Raises:
        UnsupportedMediaTypeError: The body is no multipart.
        BodyTooLargeError: The file is larger than the platform takes.
        InvalidFieldsError: There is no part `file`, or more than it.
        MediaNotSupportedError: The content is not what the type says, or of a type not taken.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != MULTIPART:
        raise UnsupportedMediaTypeError(f"Send the file as {MULTIPART}, in a part named `file`.")
    try:
        form = await MultiPartParser(
            request.headers, _limited(request), max_files=1, max_fields=0
        ).parse()
    except _TooLargeError as error:
        raise BodyTooLargeError(error.message) from error
    except MultiPartException as error:
        raise MalformedJsonError("The multipart body cannot be read.") from error
    try:
        yield _checked(form.get("file"))
    finally:
        await form.close()


def _checked(part: UploadFile | str | None) -> Upload:
    if not isinstance(part, UploadFile):
        raise InvalidFieldsError(
            "The file is missing.",
            faults=[FieldFault("/file", "missing", "Send the file in a part named `file`.")],
        )
    mime_type = (part.content_type or "").partition(";")[0].strip().lower()
    size = part.size or 0
    if size > largest_bytes(mime_type):
        raise BodyTooLargeError(f"Media of this type may have {largest_bytes(mime_type)} bytes.")
    file = part.file
    file.seek(0)
    if size == 0 or not is_content_of(mime_type, file.read(HEAD_BYTES)):
        raise MediaNotSupportedError(
            "The file is not what its type says, or of a type that cannot be sent.",
            faults=[FieldFault("/file", "media-not-supported", "Check the part's Content-Type.")],
        )
    return Upload(
        mime_type=mime_type, name=part.filename or None, size=size, sha256=_digest(file), file=file
    )


def _digest(file: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    file.seek(0)
    while part := file.read(_DIGEST_CHUNK):
        digest.update(part)
    return digest.digest()


async def _limited(request: Request) -> AsyncGenerator[bytes, None]:
    limit = LARGEST_BYTES + _FRAME_BYTES
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _TooLargeError(f"A file may have {LARGEST_BYTES} bytes.")
        yield chunk
