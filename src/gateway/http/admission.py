"""What a request has to be like before anything of it is believed: its headers, size and form."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from starlette.requests import Request

from gateway.contracts.canonical import Json, parse_json
from gateway.errors import (
    BodyTooLargeError,
    FieldFault,
    InvalidFieldsError,
    NotAcceptableError,
    NotFoundError,
    UnsupportedMediaTypeError,
)

JSON: Final = "application/json"
MULTIPART: Final = "multipart/form-data"


def refuse_unknown_parameters(request: Request, known: Collection[str]) -> None:
    """Pass where a query has no parameter that the call does not know, and none twice.

    Raises:
        InvalidFieldsError: It has.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    faults = [
        FieldFault(f"/query/{name[:100]}", "unknown-parameter", "There is no such parameter here.")
        for name in dict.fromkeys(names)
        if name not in known
    ]
    faults += [
        FieldFault(f"/query/{name}", "not-text", "This cannot hold such characters.")
        for name, value in request.query_params.items()
        if name in known and not value.isprintable()
    ]
    faults += [
        FieldFault(f"/query/{name}", "repeated", "This parameter can be given once.")
        for name in dict.fromkeys(names)
        if name in known and names.count(name) > 1
    ]
    if faults:
        raise InvalidFieldsError("Some parameters do not hold.", faults=faults[:20])


def refuse_impossible_ids(request: Request) -> None:
    """Pass where the path could name something.

    Raises:
        NotFoundError: It has characters that no id has.
    """
    if not all(str(value).isprintable() for value in request.path_params.values()):
        raise NotFoundError("There is nothing here.")


def refuse_unacceptable(request: Request, offered: Sequence[str]) -> None:
    """Pass where the caller accepts one of the media types on offer.

    Raises:
        NotAcceptableError: It does not.
    """
    preferred(request, offered)


def preferred(request: Request, offered: Sequence[str]) -> str:
    """Return the media type on offer that the caller likes best; of several, the first.

    Raises:
        NotAcceptableError: It accepts none of them.
    """
    accept = ",".join(request.headers.getlist("accept"))
    if not accept.strip():
        return offered[0]
    ranges = [_weighed(part) for part in accept.split(",") if part.strip()]
    weights = {media_type: _weight(media_type, ranges) for media_type in offered}
    best = max(offered, key=lambda media_type: weights[media_type])
    if weights[best] > 0:
        return best
    raise NotAcceptableError(f"This call answers with {' or '.join(offered)}.")


def refuse_encodings(request: Request) -> None:
    """Pass where the body is not compressed.

    Raises:
        UnsupportedMediaTypeError: It is.
    """
    encodings = ",".join(request.headers.getlist("content-encoding")).strip().lower()
    if encodings not in ("", "identity"):
        raise UnsupportedMediaTypeError("Compressed bodies are not read.")


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body.

    Raises:
        BodyTooLargeError: It is over the limit, or says so.
    """
    refusal = BodyTooLargeError(f"The body is over {limit} bytes.")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        raise refusal
    chunks = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise refusal
        chunks.append(chunk)
    return b"".join(chunks)


def parse_body(request: Request, body: bytes) -> Json:
    """Return the JSON document of a body.

    Raises:
        UnsupportedMediaTypeError: The body says that it is something else.
        MalformedJsonError: It is no JSON.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaTypeError(f"Send the body as {JSON}.")
    return parse_json(body)


def _weighed(part: str) -> tuple[str, float]:
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weight = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
    return media_range, weight


def _weight(media_type: str, ranges: Iterable[tuple[str, float]]) -> float:
    """Return the weight of the range that covers a media type most precisely."""
    matching = [found for found in ranges if _covers(found[0], media_type)]
    return max(matching, key=lambda found: _precision(found[0]), default=("", 0.0))[1]


def _covers(media_range: str, media_type: str) -> bool:
    if media_range in ("*/*", media_type):
        return True
    main, _, sub = media_range.partition("/")
    return sub == "*" and media_type.startswith(main + "/")


def _precision(media_range: str) -> int:
    return 2 - media_range.count("*")
