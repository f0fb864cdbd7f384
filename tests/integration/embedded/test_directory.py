import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from gateway.embedded.directory import ServerDirectory, command_line, end_left_over
from gateway.embedded.errors import EmbeddedError

_SLEEPER = "import sys, time; print('on', flush=True); time.sleep(600)"
_STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + _SLEEPER


async def _left_over(code: str, name: object) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(name)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    return process


async def test_only_one_may_claim_it(tmp_path: Path):
    first, second = ServerDirectory(tmp_path / "new"), ServerDirectory(tmp_path / "new")
    await first.claim(signal.SIGTERM, seconds=1)
    await first.claim(signal.SIGTERM, seconds=1)
    with pytest.raises(EmbeddedError, match="in use by another process"):
        await second.claim(signal.SIGTERM, seconds=1)
    first.release()
    await second.claim(signal.SIGTERM, seconds=1)
    second.release()


@pytest.mark.parametrize(
    ("code", "ended_by"), [(_SLEEPER, signal.SIGTERM), (_STUBBORN, signal.SIGKILL)]
)
async def test_a_server_left_over_is_ended(tmp_path: Path, code: str, ended_by: signal.Signals):
    process = await _left_over(code, tmp_path)
    directory = ServerDirectory(tmp_path)
    directory.record(process.pid)
    await directory.claim(signal.SIGTERM, seconds=0.1)
    assert await process.wait() == -ended_by
    directory.release()


async def test_another_process_that_has_the_number_by_now_is_left_alone(tmp_path: Path):
    process = await _left_over(_SLEEPER, "something else")
    directory = ServerDirectory(tmp_path)
    directory.record(process.pid)
    await directory.claim(signal.SIGTERM, seconds=1)
    directory.release()
    process.kill()
    # Had it been ended before, it would have been by another signal.
    assert await process.wait() == -signal.SIGKILL


async def test_a_number_that_nobody_has_is_no_trouble(tmp_path: Path):
    process = await _left_over("print('on')", tmp_path)
    await process.wait()
    assert command_line(process.pid) == ""
    await end_left_over(process.pid, str(tmp_path), signal.SIGTERM)


async def test_what_another_user_left_over_is_reported(monkeypatch: pytest.MonkeyPatch):
    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    with pytest.raises(EmbeddedError, match="belongs to another user"):
        await end_left_over(os.getpid(), "python", signal.SIGTERM)


def test_the_log_before_stays_beside_the_new_one(tmp_path: Path):
    directory = ServerDirectory(tmp_path)
    assert directory.last_words() == ""
    directory.log.write_text("first")
    directory.begin_log()
    directory.log.write_text("second")
    assert directory.last_words() == "second"
    assert (tmp_path / "server.log.previous").read_text() == "first"
