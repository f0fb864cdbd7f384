"""JSON answers of the sandbox's own calls."""

import json
from typing import Any

from starlette.responses import Response


class AsciiJson(Response):
    """JSON with everything but ASCII escaped: what visitors write may hold lone surrogates."""

    media_type: str | None = "application/json"

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - any JSON value
        """Return the content as bytes."""
        return json.dumps(content, separators=(",", ":")).encode("ascii")
