"""Every variable of the environment, once, with its default.

`gateway settings` prints them with secrets masked. Composition roots read them and hand single
values on; nothing else imports this module's instance, because there is none.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

# A wait between two attempts; more than ten days is a slip of the keyboard.
_Seconds = Annotated[int, Field(ge=1, le=864_000)]


class Settings(BaseSettings):
    """The configuration of one process."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=False)

    environment: Literal["production", "development"] = Field(
        default="production", description="`development` relaxes the checks of replication."
    )

    # Storage
    database_url: SecretStr = Field(
        default=SecretStr("postgresql+asyncpg://localhost/gateway"),
        description="PostgreSQL 15 or later, as `postgresql+asyncpg://user:password@host/name`.",
    )
    database_pool_size: int = Field(default=10, ge=1, description="Connections a process keeps.")
    database_pool_overflow: int = Field(default=10, ge=0, description="Further ones under load.")
    encryption_keys: SecretStr = Field(
        default=SecretStr(""),
        description="Keys for secrets at rest: `id:base64` of 32 bytes, the first encrypts, "
        "all decrypt; separated by commas.",
    )

    # Kafka
    kafka_bootstrap_servers: str = Field(default="localhost:9092", description="host:port, …")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How brokers are spoken to."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="PLAIN", description="How brokers are told who we are, under SASL."
    )
    kafka_sasl_username: str = Field(default="", description="Under SASL.")
    kafka_sasl_password: SecretStr = Field(default=SecretStr(""), description="Under SASL.")
    kafka_ssl_cafile: str = Field(default="", description="PEM file of the broker's authority.")
    kafka_ssl_certfile: str = Field(default="", description="Client certificate, for mutual TLS.")
    kafka_ssl_keyfile: str = Field(default="", description="The client certificate's key.")
    kafka_group_id: str = Field(
        default="gateway-routing", description="The consumer group that spreads the partitions."
    )
    kafka_group_instance_id: str = Field(
        default="", description="Static membership; a StatefulSet's pod name is a good one."
    )
    kafka_partitions: int = Field(default=64, ge=1, description="Of topics made by us.")
    kafka_replication: int = Field(
        default=3,
        ge=1,
        description="Of topics made by us; fewer where the brokers are, if that is allowed.",
    )
    kafka_min_insync_replicas: int = Field(default=2, ge=1, description="Of topics made by us.")
    kafka_retention_hours: int = Field(default=168, ge=1, description="Of topics made by us.")
    kafka_max_message_bytes: int = Field(
        default=10 * 1024 * 1024,
        ge=1024 * 1024,
        description="The largest record; one item of the largest body must fit, twice.",
    )
    kafka_allow_low_replication: bool = Field(
        default=False,
        description="Start in production although replication is under 3 or in-sync under 2.",
    )

    # HTTP
    host: str = Field(default="127.0.0.1", description="Where the API listens.")
    port: int = Field(default=8080, ge=0, le=65535, description="Where the API listens.")
    listen_fd: int | None = Field(
        default=None,
        ge=0,
        description="An inherited listening socket's descriptor, instead of HOST and PORT: while a "
        "new process takes over from an old one, no connection is refused.",
    )
    ops_host: str = Field(default="127.0.0.1", description="Where probes and metrics are served.")
    ops_port: int = Field(default=9090, ge=0, le=65535, description="/livez, /readyz, /metrics.")
    public_url: str = Field(
        default="http://127.0.0.1:8080", description="How Meta and browsers reach this gateway."
    )
    gateway_admin_key: SecretStr = Field(
        default=SecretStr(""), description="The instance administrator's key; none, no access."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Addresses whose X-Forwarded-For is believed."
    )
    api_rate_limit_per_minute: int = Field(
        default=6000, ge=0, description="REST calls a key may make; 0 lifts the limit."
    )
    webhook_body_bytes: int = Field(
        default=4 * 1024 * 1024, ge=1024, description="The largest webhook."
    )
    api_body_bytes: int = Field(
        default=1024 * 1024, ge=1024, description="The largest body of a REST call."
    )
    header_bytes: int = Field(
        default=16 * 1024, ge=1024, description="The largest header of a request."
    )
    header_seconds: float = Field(default=5.0, gt=0, description="To a request's full header.")
    body_seconds: float = Field(default=10.0, gt=0, description="To a request's full body.")
    first_byte_seconds: float = Field(default=15.0, gt=0, description="On a new connection.")
    connections_per_peer: int = Field(
        default=512, ge=1, description="Open connections of one address."
    )
    ingress_produce_timeout: float = Field(
        default=4.0, gt=0, description="Seconds a webhook waits to become durable before a 503."
    )

    # Meta
    graph_base_url: str = Field(
        default="https://graph.facebook.com", description="Meta's Graph API, or a sandbox."
    )
    graph_version: str = Field(
        default="v26.0", pattern=r"^v\d+\.\d+$", description="Of calls, where an app names none."
    )

    facebook_dialog_base_url: str = Field(
        default="https://www.facebook.com", description="Where people log in, or a sandbox."
    )
    login_return_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Where a login may send a browser back to, as `https://host[:port]`, …",
    )

    # Channels
    channel_probe_seconds: float = Field(
        default=900,
        gt=0,
        description="Between two looks at a Page and its token, ± 20 %; longer where there are so "
        "many Pages that they would make more than a call a second.",
    )
    webhook_check_seconds: float = Field(
        default=3600,
        gt=0,
        description="Between two challenges of a third party's address, ± 20 %.",
    )

    # Sending
    sender_concurrency: int = Field(default=1000, ge=1, description="Calls in flight a process.")
    sender_page_concurrency: int = Field(
        default=50, ge=1, description="Of these, to one Page: conversations side by side."
    )
    sender_third_party_concurrency: int = Field(
        default=10, ge=1, description="Of these, to one third party's webhook."
    )
    sender_attempt_timeout: float = Field(
        default=15.0, gt=0, description="Seconds that a call may take in all."
    )
    sender_first_attempt_timeout: float = Field(
        default=10.0, gt=0, description="The same, for the first attempt."
    )
    sender_media_timeout: float = Field(
        default=60.0,
        gt=0,
        description="Seconds to get a message's file ready before its call: half of them to fetch "
        "it, the rest to pass it on to Meta.",
    )
    egress_allow_loopback: bool = Field(
        default=False, description="Customers' addresses may be loopback and plain http."
    )
    egress_ports: Annotated[tuple[int, ...], NoDecode] = Field(
        default=(443, 8443), description="Ports that customers' addresses may name."
    )
    sender_proxy_url: SecretStr = Field(
        default=SecretStr(""),
        description="Egress proxy for customers' addresses, `http://user:password@host:port`; "
        "Graph is called without it.",
    )
    endpoint_retry_seconds: Annotated[tuple[_Seconds, ...], NoDecode] = Field(
        default=(4, 56, 240, 1500, 5400, 14400, 36000, 86400, 115200),
        description="Waits between the attempts of an endpoint's delivery, ± 20 %; 72 h in all.",
    )

    # Media
    media_url: str = Field(default="", description="Object store; none, a folder in `data_dir`.")
    media_link_seconds: int = Field(
        default=3600, ge=60, description="How long the signed address of a file opens it."
    )
    spool_dir: str = Field(
        default="",
        description="Where files lie while the sender passes them on; none, a folder in `data_dir` "
        "where media lie there too, else the system's folder for temporary files.",
    )
    data_dir: str = Field(default=".data", description="Where local files go.")

    # Routing
    parked_per_source: int = Field(
        default=10_000, ge=1, description="Events that may wait for one source."
    )
    parked_days: int = Field(
        default=7, ge=1, description="How long events wait for a suspended channel."
    )
    window_closing_seconds: int = Field(
        default=3600,
        ge=0,
        lt=24 * 3600,
        description="How long before a messaging window closes that is told; 0: never.",
    )
    inbox_days: int = Field(default=8, ge=8, description="At least the inbound topic's retention.")
    events_days: int = Field(default=30, ge=1, description="How long the events feed looks back.")
    audit_days: int = Field(default=365, ge=1, description="How long the audit looks back.")
    reruns_per_second: int = Field(
        default=100,
        ge=1,
        le=1000,
        description="How many each redelivery or replay of many does again in a second.",
    )

    # Operations
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="From which level on lines are written."
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="One JSON object a line, or lines for people."
    )
    drain_seconds: float = Field(default=8.0, gt=0, description="To finish work on SIGTERM.")
    otel_exporter_otlp_endpoint: str = Field(default="", description="Traces; none, none.")
    clock_movable: bool = Field(default=False, description="`gateway dev` alone sets this.")

    @field_validator(
        "trusted_proxies",
        "egress_ports",
        "endpoint_retry_seconds",
        "login_return_origins",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("database_url")
    @classmethod
    def _driver(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        for scheme in ("postgresql://", "postgres://"):
            if text.startswith(scheme):
                return SecretStr("postgresql+asyncpg://" + text.removeprefix(scheme))
        return value

    @model_validator(mode="after")
    def _no_debug_in_production(self) -> Self:
        if self.environment == "production" and self.log_level == "DEBUG":
            message = "LOG_LEVEL=DEBUG is refused in production: it may show what people wrote."
            raise ValueError(message)
        return self
