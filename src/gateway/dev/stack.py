"""Everything that `gateway dev` starts, in order, and what `dev.json` says of it."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from gateway.db.migrate import upgrade
from gateway.dev.identity import Identity, write_private
from gateway.embedded import (
    ApacheKafka,
    EmbeddedError,
    ExternalKafka,
    ExternalPostgres,
    Noida,
    Postgres,
    Program,
    Server,
    Supervisor,
)
from gateway.embedded.ports import free_port

ROLES: Final = ("api", "routing", "sender")
_READY_SECONDS: Final = 60.0
# Where the environment says nothing, a laptop needs fewer of everything.
_DEFAULTS: Final = {
    "ENVIRONMENT": "development",
    "EGRESS_ALLOW_LOOPBACK": "true",
    "KAFKA_PARTITIONS": "8",
    "API_RATE_LIMIT_PER_MINUTE": "0",
    "LOG_FORMAT": "json",
}


@dataclass(slots=True)
class Stack:
    """The parts of one `gateway dev` in one data directory."""

    directory: Path
    api_port: int | None
    broker: str
    supervisor: Supervisor = field(init=False)
    identity: Identity = field(init=False)
    database_url: str = ""
    kafka: str = ""
    api_url: str = ""
    sandbox_url: str = ""
    _ops_ports: dict[str, int] = field(default_factory=dict)
    _ready: bool = False

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.identity = Identity.of(self.directory)
        self.supervisor = Supervisor(on_restart=self._restarted)

    @property
    def logs(self) -> Path:
        """Where each part writes what it says."""
        return self.directory / "logs"

    async def start(self) -> None:
        """Start everything and wait until all of it is ready; then `dev.json` tells where it is.

        Raises:
            EmbeddedError: A part does not start here; the message says what a person can do.
        """
        self.logs.mkdir(exist_ok=True)
        (self.directory / "dev.json").unlink(missing_ok=True)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._start_postgres())
            group.create_task(self._start_kafka())
        await asyncio.to_thread(upgrade, self.database_url)
        sandbox_port = free_port()
        api_port = self.api_port or free_port()
        self.sandbox_url = f"http://127.0.0.1:{sandbox_port}"
        self.api_url = f"http://127.0.0.1:{api_port}"
        self._ops_ports = {role: free_port() for role in ROLES}
        await self._start_program(
            "sandbox",
            [sys.executable, "-m", "gateway.dev.sandbox_process"],
            self._sandbox_environment(sandbox_port, api_port),
            stage=1,
        )
        for role in ROLES:
            await self._start_program(
                role,
                [sys.executable, "-m", "gateway", role],
                self._role_environment(role, api_port),
                stage=2,
            )
        await self._wait_until_ready()
        await self._register_app()
        self._ready = True
        self.write_description()

    def write_description(self) -> None:
        """Write `dev.json` anew, whole or not at all."""
        write_private(self.directory / "dev.json", self.description())

    def description(self) -> dict[str, object]:
        """Return where everything is, secrets included."""
        return {
            "api_url": self.api_url,
            "sandbox_url": self.sandbox_url,
            "database_url": self.database_url,
            "kafka_bootstrap_servers": self.kafka,
            "admin_key": self.identity.admin_key,
            "meta_app": {
                "app_id": self.identity.app_id,
                "app_secret": self.identity.app_secret,
                "verify_token": self.identity.verify_token,
            },
            "ops_urls": {
                role: f"http://127.0.0.1:{port}" for role, port in self._ops_ports.items()
            },
            "pids": self.supervisor.pids,
        }

    async def _restarted(self, _name: str) -> None:
        if self._ready:
            self.write_description()

    async def _start_postgres(self) -> None:
        given = _environment().get("DATABASE_URL")
        server: ExternalPostgres | Server[Postgres] = (
            ExternalPostgres(given) if given else Server(Postgres(self.directory / "postgres"))
        )
        await self.supervisor.start("postgres", server, stage=0, restart=True)
        self.database_url = server.address

    async def _start_kafka(self) -> None:
        given = _environment().get("KAFKA_BOOTSTRAP_SERVERS")
        if given:
            server: ExternalKafka | Server[ApacheKafka] | Server[Noida] = ExternalKafka(given)
        elif self.broker == "apache":
            cache = self.directory.parent / "kafka-jars"
            server = Server(ApacheKafka(self.directory / "kafka-apache", cache=cache))
        else:
            server = Server(Noida(self.directory / "kafka"))
        await self.supervisor.start("kafka", server, stage=0, restart=True)
        self.kafka = server.address

    async def _start_program(
        self, name: str, command: list[str], environment: Mapping[str, str], *, stage: int
    ) -> None:
        program = Program(
            command, env=environment, output=self.logs / f"{name}.log", ending_seconds=12.0
        )
        await self.supervisor.start(name, program, stage=stage, restart=True)

    def _sandbox_environment(self, port: int, api_port: int) -> dict[str, str]:
        return self._environment_of_all() | {
            "SANDBOX_HOST": "127.0.0.1",
            "SANDBOX_PORT": str(port),
            "SANDBOX_APP_ID": self.identity.app_id,
            "SANDBOX_APP_SECRET": self.identity.app_secret,
            "SANDBOX_VERIFY_TOKEN": self.identity.verify_token,
            "SANDBOX_WEBHOOK_URL": f"http://127.0.0.1:{api_port}/webhooks/meta/{{app_id}}",
        }

    def _role_environment(self, role: str, api_port: int) -> dict[str, str]:
        return self._environment_of_all() | {
            "HOST": "127.0.0.1",
            "PORT": str(api_port),
            "PUBLIC_URL": _environment().get("PUBLIC_URL", self.api_url),
            "OPS_HOST": "127.0.0.1",
            "OPS_PORT": str(self._ops_ports[role]),
            "FACEBOOK_DIALOG_BASE_URL": _environment().get(
                "FACEBOOK_DIALOG_BASE_URL", self.sandbox_url
            ),
            "GRAPH_BASE_URL": _environment().get("GRAPH_BASE_URL", self.sandbox_url),
            # The embedded broker never evicts a dead member: who comes back is the same one.
            "KAFKA_GROUP_INSTANCE_ID": f"{role}-dev",
        }

    def _environment_of_all(self) -> dict[str, str]:
        return (
            _DEFAULTS
            | _environment()
            | {
                "DATABASE_URL": self.database_url,
                "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
                "ENCRYPTION_KEYS": self.identity.encryption_keys,
                "GATEWAY_ADMIN_KEY": self.identity.admin_key,
                "DATA_DIR": str(self.directory / "files"),
                "CLOCK_MOVABLE": "true",
            }
        )

    async def _wait_until_ready(self) -> None:
        addresses = [f"http://127.0.0.1:{port}/readyz" for port in self._ops_ports.values()]
        addresses.append(f"{self.sandbox_url}/control/pages")
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
            try:
                async for attempt in AsyncRetrying(
                    stop=stop_after_delay(_READY_SECONDS),
                    wait=wait_fixed(0.1),
                    retry=retry_if_exception_type(httpx.HTTPError),
                    reraise=True,
                ):
                    with attempt:
                        for address in addresses:
                            (await client.get(address)).raise_for_status()
            except httpx.HTTPError as error:
                raise EmbeddedError(
                    f"Not all parts became ready within {_READY_SECONDS:.0f} s ({error});"
                    f" their logs are in {self.logs}."
                ) from error

    async def _register_app(self) -> None:
        """Tell the gateway of the sandbox's Meta app, or of its present secrets."""
        identity = self.identity
        secrets = {"app_secrets": [identity.app_secret], "verify_token": identity.verify_token}
        async with httpx.AsyncClient(
            base_url=self.api_url,
            headers={"Authorization": f"Bearer {identity.admin_key}"},
            trust_env=False,
            timeout=10.0,
        ) as client:
            answer = await client.post(
                "/v1/meta-apps",
                json={"app_id": identity.app_id, "name": "Meta sandbox", **secrets},
            )
            if answer.status_code == httpx.codes.CONFLICT:
                answer = await client.patch(f"/v1/meta-apps/{identity.app_id}", json=secrets)
            if answer.is_error:
                raise EmbeddedError(
                    f"The gateway did not take the sandbox's Meta app: {answer.text}"
                )


def _environment() -> dict[str, str]:
    # What a person set for the roles is handed on as it is.
    return dict(os.environ)  # noqa: TID251 - the supervisor passes its environment on
