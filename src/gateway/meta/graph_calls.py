"""Calls to Graph whose answer somebody waits for: connecting, probing, looking up.

Secrets travel in headers and forms, never in an address. Passing faults are tried once more.
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import httpx
from pydantic import SecretStr
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from gateway.errors import UpstreamFailedError
from gateway.meta.error_classes import GraphClass
from gateway.meta.error_rules import find_rule
from gateway.meta.errors import GraphFault, parse_fault

_CALL_BUDGET: Final = timedelta(seconds=10)
_ATTEMPTS: Final = 2
_MAX_ANSWER_BYTES: Final = 256 * 1024
_SERVER_ERROR: Final = 500
_PASSING: Final = (GraphClass.RETRY, GraphClass.THROTTLE)


class GraphRefusedError(Exception):
    """Graph answered with an error that another try would meet again."""

    def __init__(self, fault: GraphFault) -> None:
        super().__init__(fault.slug)
        self.fault = fault


class GraphCalls:
    """Calls Graph and waits for its answer."""

    def __init__(self, client: httpx.AsyncClient, *, base_url: str) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        token: SecretStr | None = None,
        once: bool = False,
    ) -> dict[str, Any]:
        """Call a path below the address, its version first, and return the answer's JSON object.

        `once`: a repeat would do something else, so there is none, and every error that Graph
        answers is told as it is.

        Raises:
            GraphRefusedError: Graph answered with an error that stays.
            UpstreamFailedError: Graph did not answer, or not sensibly, or has a passing fault.
        """
        headers = {}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        url = f"{self._base_url}/{path}"
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_PassingError),
            stop=stop_after_attempt(1 if once else _ATTEMPTS),
            wait=wait_exponential(multiplier=0.2, max=1),
            reraise=True,
        )
        try:
            return await retrying(
                self._exchange, method, url, query=query, form=form, headers=headers
            )
        except _PassingError as error:
            if once and error.fault is not None:
                raise GraphRefusedError(error.fault) from error
            raise UpstreamFailedError("Meta could not be reached, or had a fault.") from error

    async def _exchange(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str] | None,
        form: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> dict[str, Any]:
        request = self._client.build_request(method, url, params=query, data=form, headers=headers)
        try:
            async with asyncio.timeout(_CALL_BUDGET.total_seconds()):
                response = await self._client.send(request, stream=True)
                try:
                    body = b""
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if len(body) > _MAX_ANSWER_BYTES:
                            break
                finally:
                    await response.aclose()
        except (httpx.HTTPError, TimeoutError) as error:
            raise _PassingError from error
        return _read_answer(response.status_code, body)


class _PassingError(Exception):
    """Another try may well succeed; `fault` is what Graph said, if it said anything."""

    def __init__(self, fault: GraphFault | None = None) -> None:
        super().__init__()
        self.fault = fault


def _read_answer(status: int, body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    fault = parse_fault(document)
    if fault is not None:
        rule = find_rule(fault.code, fault.subcode)
        if fault.transient or (rule is not None and rule.graph_class in _PASSING):
            raise _PassingError(fault)
        raise GraphRefusedError(fault)
    if not isinstance(document, dict) or status >= _SERVER_ERROR or "error" in document:
        raise _PassingError
    return document
