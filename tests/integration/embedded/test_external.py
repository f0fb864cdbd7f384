import pytest

from gateway.embedded import EmbeddedError, ExternalKafka, ExternalPostgres
from gateway.embedded.ports import free_port

pytestmark = pytest.mark.integration


async def test_a_server_that_answers_is_used_and_left_alone(
    database_url: str, kafka_bootstrap: str
):
    for server in (
        ExternalPostgres(database_url.replace("+asyncpg", "", 1)),
        ExternalKafka(f"127.0.0.1:{free_port()}, {kafka_bootstrap}"),
    ):
        await server.start()
        assert server.pid is None
        await server.kill()
        await server.stop()
        assert await server.wait() == 0
        await server.start()


async def test_the_scheme_gets_its_driver(database_url: str):
    plain = database_url.replace("+asyncpg", "", 1)
    assert await ExternalPostgres(plain).start() == database_url


async def test_a_server_that_does_not_answer_is_reported_without_its_password():
    port = free_port()
    with pytest.raises(EmbeddedError, match="DATABASE_URL") as caught:
        await ExternalPostgres(f"postgresql://me:hush@127.0.0.1:{port}/x").start()
    assert "hush" not in str(caught.value)
    with pytest.raises(EmbeddedError, match=f"127.0.0.1:{port}"):
        await ExternalKafka(f"127.0.0.1:{port}").start()
