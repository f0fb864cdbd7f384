"""What the sandbox is told at its start, from arguments or from `SANDBOX_…` in the environment."""

import secrets
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _random_secret() -> SecretStr:
    return SecretStr(secrets.token_hex(16))


class SandboxSettings(BaseSettings):
    """The sandbox's settings. Every bound is on memory: all state is lost when the process ends.

    `webhook_url` may contain `{app_id}`. Without one, webhooks go nowhere until
    `POST /control/apps` names an address.
    """

    model_config = SettingsConfigDict(env_prefix="SANDBOX_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8089

    app_id: Annotated[str, Field(pattern=r"^[0-9]{1,20}$")] = "310000000000001"
    app_name: str = "Channel gateway"
    app_secret: SecretStr = Field(default_factory=_random_secret)
    verify_token: SecretStr = Field(default_factory=_random_secret)
    webhook_url: str = ""
    require_appsecret_proof: bool = False

    webhook_timeout_seconds: Annotated[float, Field(gt=0)] = 5.0
    echo_delay_seconds: Annotated[float, Field(ge=0)] = 5.0

    max_journal_entries: Annotated[int, Field(ge=1)] = 200_000
    max_journal_bytes: Annotated[int, Field(ge=1)] = 256 * 1024 * 1024
    max_pages: Annotated[int, Field(ge=1)] = 10_000
    max_threads: Annotated[int, Field(ge=1)] = 50_000
    max_thread_messages: Annotated[int, Field(ge=20)] = 200
    max_media_bytes: Annotated[int, Field(ge=1)] = 128 * 1024 * 1024
    max_waiting_webhooks: Annotated[int, Field(ge=1)] = 50_000
