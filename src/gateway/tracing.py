"""One trace from a webhook to what leaves because of it, carried as W3C `traceparent` texts.

Ids are made whether or not anybody collects spans, so that a trace can be followed through Kafka's
headers, the tables and the logs in any case. Spans are exported where an address is configured.
"""

import os
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
# Ids have to differ, not to be hard to guess; asking the system for each would take longer.
_IDS: Final = random.Random(os.urandom(32))  # noqa: S311 - nothing is guarded by them
_NO_ATTRIBUTES: Final[Mapping[str, AttributeValue]] = {}


class Tracing:
    """The spans of one process."""

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        """Take what exports spans; None: nothing does."""
        self._provider = provider
        self._tracer: Tracer | None = None if provider is None else provider.get_tracer("gateway")

    @classmethod
    def exporting_to(cls, endpoint: str, *, role: str) -> "Tracing":
        """Return the tracing of a role; an empty endpoint exports nothing."""
        if not endpoint:
            return cls()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - most export nothing
            OTLPSpanExporter,
        )

        return cls.through(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces"), role=role)

    @classmethod
    def through(cls, exporter: "SpanExporter", *, role: str) -> "Tracing":
        """Return the tracing of a role through an exporter."""
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - most export nothing
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - see above
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - see above

        # Not the global provider: libraries that find one add spans of their own, with addresses.
        resource = Resource.create({"service.name": f"gateway-{role}"})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider)

    @contextmanager
    def span(
        self,
        name: str,
        *,
        parent: str | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, AttributeValue] = _NO_ATTRIBUTES,
    ) -> Iterator[str]:
        """Time a block and give the `traceparent` of what happens in it.

        Without a parent, or with one that is malformed, a new trace begins.
        """
        if self._tracer is None:
            yield child_of(parent)
            return
        context = None if parent is None else _context(parent)
        parent_context = set_span_in_context(NonRecordingSpan(context)) if context else None
        span = self._tracer.start_span(
            name, context=parent_context, kind=kind, attributes=attributes
        )
        try:
            yield _text(span.get_span_context())
        except Exception as error:
            # Its type alone: what it says may quote what people wrote.
            span.set_status(StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            span.end()

    def close(self) -> None:
        """Export what is left; blocks for as long as the exporter's time-out at most."""
        if self._provider is not None:
            self._provider.shutdown()


def new_traceparent() -> str:
    """Return the beginning of a new trace."""
    # A quarter of the time of formatting the number.
    both = _IDS.getrandbits(192).to_bytes(24, "big").hex()
    return f"00-{both[:32]}-{both[32:]}-01"


def child_of(parent: str | None) -> str:
    """Return a new step of a trace; of a new one where there is none or it is malformed."""
    match = None if parent is None else _TRACEPARENT.fullmatch(parent)
    if match is None:
        return new_traceparent()
    return f"00-{match[1]}-{os.urandom(8).hex()}-{match[3]}"


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the trace's id, for a log line."""
    match = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    return None if match is None else match[1]


def _context(traceparent: str) -> SpanContext | None:
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    return SpanContext(
        trace_id=int(match[1], 16),
        span_id=int(match[2], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(match[3], 16)),
    )


def _text(context: SpanContext) -> str:
    flags = int(context.trace_flags)
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"
