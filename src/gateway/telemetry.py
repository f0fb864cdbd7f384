"""Sets up what a process says of itself: log lines, metrics and spans.

Log lines go to standard output, one JSON object each (or coloured text where `LOG_FORMAT=console`),
those of libraries too. Metrics are prometheus-client's default registry.
"""

import logging
import sys
from typing import Final

import structlog
from structlog.typing import EventDict, Processor

from gateway.redaction import ExceptionFormatter, Redactor
from gateway.settings import Settings
from gateway.tracing import Tracing

# These write addresses with their queries, keys of records, or a line for every packet.
_TALKATIVE: Final = ("aiokafka", "asyncio", "httpcore", "httpx", "sqlalchemy", "uvicorn")


def configure_telemetry(settings: Settings, *, role: str) -> Tracing:
    """Set up logging for the process and return its tracing."""
    configure_logging(
        level=settings.log_level,
        console=settings.log_format == "console",
        show_exception_messages=settings.environment == "development",
        redaction_key=settings.encryption_keys.get_secret_value().encode(),
        role=role,
    )
    return Tracing.exporting_to(settings.otel_exporter_otlp_endpoint, role=role)


def configure_logging(
    *, level: str, console: bool, show_exception_messages: bool, redaction_key: bytes, role: str
) -> None:
    """Let every log line of the process, ours and the libraries', leave in one form."""

    def add_role(_logger: object, _method: str, event: EventDict) -> EventDict:
        event.setdefault("role", role)
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        add_role,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        ExceptionFormatter(show_messages=show_exception_messages),
        Redactor(redaction_key),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            keep_exc_info=False,
            keep_stack_info=False,
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
