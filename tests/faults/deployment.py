"""Where a running gateway is, whoever started it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The addresses and secrets of a gateway and of the sandbox that it takes for Meta."""

    api_url: str
    sandbox_url: str
    database_url: str
    kafka_bootstrap_servers: str
    admin_key: str
    app_id: str
    app_secret: str

    @classmethod
    def of(cls, description: Mapping[str, Any]) -> Self:
        """Return what a `dev.json` describes."""
        return cls(
            api_url=description["api_url"],
            sandbox_url=description["sandbox_url"],
            database_url=description["database_url"],
            kafka_bootstrap_servers=description["kafka_bootstrap_servers"],
            admin_key=description["admin_key"],
            app_id=description["meta_app"]["app_id"],
            app_secret=description["meta_app"]["app_secret"],
        )

    @property
    def postgres_dsn(self) -> str:
        """The database as asyncpg is given it."""
        return self.database_url.replace("postgresql+asyncpg://", "postgresql://")
