"""A Graph call as it came: its path, its parameters wherever they stood, its token."""

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from gateway.sandbox.errors import GraphError, invalid_parameter
from gateway.sandbox.media import Upload

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
_SCHEMES: Final = frozenset({"bearer", "oauth"})


class BodyTooLargeError(Exception):
    """A body of more than `MAX_BODY_BYTES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. `path` is what follows the version; body parameters win over those of the query."""

    method: str
    path: tuple[str, ...]
    params: Mapping[str, Any]
    token: str | None
    base_url: str
    version: str
    upload: Upload | None = None

    def text(self, name: str) -> str | None:
        """Return a parameter as text; None when absent or empty."""
        value = self.params.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise invalid_parameter(name, "must be a string")
        return str(value)

    def mapping(self, name: str) -> dict[str, Any] | None:
        """Return a parameter that is an object, given as JSON or as JSON text in a form."""
        value = self.params.get(name)
        if isinstance(value, str):
            value = _json(value, name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise invalid_parameter(name, "must be a JSON object")
        return value

    def sequence(self, name: str) -> list[str]:
        """Return a parameter that is a list of names, as JSON or separated by commas."""
        value = self.params.get(name)
        if isinstance(value, str) and value.lstrip().startswith("["):
            value = _json(value, name)
        if isinstance(value, str):
            value = value.split(",")
        if value is None:
            return []
        if not isinstance(value, list) or any(not isinstance(each, str) for each in value):
            raise invalid_parameter(name, "must be an array")
        return [each.strip() for each in value if each.strip()]


async def read_body(request: Request) -> bytes:
    """Return a request's body; raises BodyTooLargeError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLargeError
    return bytes(body)


async def read_call(request: Request, version: str, path: str, body: bytes) -> Call:
    """Return the call that a request makes; raises GraphError when its body cannot be read."""
    given, upload = await _body_parameters(request.headers, body)
    params = {**dict(request.query_params), **given}
    return Call(
        method=request.method,
        path=tuple(part for part in path.split("/") if part),
        params=params,
        token=_token(request.headers, params),
        base_url=str(request.base_url),
        version=f"v{version}",
        upload=upload,
    )


def _token(headers: Headers, params: Mapping[str, Any]) -> str | None:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() in _SCHEMES and value.strip():
        return value.strip()
    given = params.get("access_token")
    return given if isinstance(given, str) and given else None


async def _body_parameters(headers: Headers, body: bytes) -> tuple[dict[str, Any], Upload | None]:
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if not body:
        return {}, None
    if content_type == "application/json":
        value = _json(body, "body")
        if not isinstance(value, dict):
            raise invalid_parameter("body", "must be a JSON object")
        return value, None
    if content_type == "multipart/form-data":
        return await _multipart(headers, body)
    if content_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)), None
    return {}, None


async def _multipart(headers: Headers, body: bytes) -> tuple[dict[str, Any], Upload | None]:
    params: dict[str, Any] = {}
    upload = None
    try:
        form = await MultiPartParser(headers, _once(body)).parse()
    except (MultiPartException, KeyError) as error:
        raise GraphError(100, message="(#100) The multipart body cannot be read") from error
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            upload = Upload(
                name=value.filename or name,
                content_type=value.content_type or "",
                content=await value.read(),
            )
        else:
            params[name] = value
    await form.close()
    return params, upload


async def _once(body: bytes) -> AsyncGenerator[bytes]:
    yield body


def _json(text: str | bytes, name: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid_parameter(name, "must be valid JSON") from error
