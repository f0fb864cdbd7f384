"""A broker that is not ours alone, made to look fresh to each test."""

import asyncio
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient

_OURS: Final = "gateway."
_POLL_SECONDS: Final = 0.05
_GONE_SECONDS: Final = 20.0


class ExternalKafkaTopics:
    """Deletes the gateway's topics between tests, which all use the same names."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    async def require_none(self) -> None:
        """Fail where there are any that no test made: they may be somebody's."""
        if topics := await self._change(delete=False):
            raise AssertionError(
                f"KAFKA_BOOTSTRAP_SERVERS names a broker that has topics of a gateway: {topics}."
                " Tests delete these; name a broker for tests, or delete them yourself."
            )

    async def clear(self) -> None:
        """Delete them, and wait until the broker no longer lists them."""
        await self._change(delete=True)
        async with asyncio.timeout(_GONE_SECONDS):
            while await self._change(delete=False):  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(_POLL_SECONDS)

    async def _change(self, *, delete: bool) -> list[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            topics = [name for name in await admin.list_topics() if name.startswith(_OURS)]
            if delete and topics:
                await admin.delete_topics(topics)
            return topics
        finally:
            await admin.close()
