"""How to reach the brokers."""

import ssl
from dataclasses import dataclass, field
from typing import Any, Final, Self

from pydantic import SecretStr

from gateway.settings import Settings

# Longer than a broker holds back its answer to who joins a group: until the others have let go.
_REQUEST_SECONDS: Final = 10
_METADATA_SECONDS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConnection:
    """Addresses and credentials, the same for every client of a process."""

    bootstrap_servers: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str = ""
    sasl_password: SecretStr = field(default_factory=lambda: SecretStr(""))
    ssl_cafile: str = ""
    ssl_certfile: str = ""
    ssl_keyfile: str = ""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take what the environment says."""
        return cls(
            bootstrap_servers=settings.kafka_bootstrap_servers,
            security_protocol=settings.kafka_security_protocol,
            sasl_mechanism=settings.kafka_sasl_mechanism,
            sasl_username=settings.kafka_sasl_username,
            sasl_password=settings.kafka_sasl_password,
            ssl_cafile=settings.kafka_ssl_cafile,
            ssl_certfile=settings.kafka_ssl_certfile,
            ssl_keyfile=settings.kafka_ssl_keyfile,
        )

    def arguments(
        self, client_id: str, *, request_seconds: float = _REQUEST_SECONDS
    ) -> dict[str, Any]:
        """Return the arguments that aiokafka's clients have in common.

        A broker that is silent for `request_seconds` is given up and connected to anew.

        Raises:
            OSError, ssl.SSLError: A file of the TLS settings cannot be read or used.
        """
        arguments: dict[str, Any] = {
            "bootstrap_servers": [
                server.strip() for server in self.bootstrap_servers.split(",") if server.strip()
            ],
            "client_id": client_id,
            "request_timeout_ms": round(request_seconds * 1000),
            "metadata_max_age_ms": _METADATA_SECONDS * 1000,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL"):
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password.get_secret_value(),
            }
        if self.security_protocol.endswith("SSL"):
            arguments["ssl_context"] = self._ssl_context()
        return arguments

    def _ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ssl_cafile or None)
        if self.ssl_certfile:
            context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile or None)
        return context
