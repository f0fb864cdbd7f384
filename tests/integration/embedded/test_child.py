import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.support.processes import children, gone

from gateway.embedded import child as child_module
from gateway.embedded.child import Child, Step, User
from gateway.embedded.lines import LinePipe

_WILLING = "import time; print('on', flush=True); time.sleep(600)"
_STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {_WILLING}"

# Starts a child that starts one itself, says both numbers and waits to be killed.
_PARENT = """
import asyncio, sys, time
from pathlib import Path
from gateway.embedded.child import Child

async def main():
    child = await Child.start([sys.executable, "-c", sys.argv[1]], output=1, env={})
    print(child.pid, flush=True)
    await child.wait()

asyncio.run(main())
"""


def _python(code: str) -> list[str | Path]:
    return [sys.executable, "-u", "-c", code]


async def _start(code: str) -> Child:
    pipe = await LinePipe.open()
    child = await Child.start(_python(code), output=pipe.sink, env={})
    os.close(pipe.sink)
    assert await pipe.next() == b"on\n"
    pipe.close()
    return child


async def test_what_it_says_goes_to_the_end_of_its_log(tmp_path: Path):
    log = tmp_path / "log"
    log.write_text("before\n")
    child = await Child.start(
        _python("import sys; print('out'); print('err', file=sys.stderr)"), output=log, env={}
    )
    assert await child.wait() == 0
    assert log.read_text() == "before\nout\nerr\n"


async def test_it_has_a_process_group_and_session_of_its_own():
    child = await _start(_WILLING)
    assert os.getpgid(child.pid) == os.getsid(child.pid) == child.pid
    assert await child.kill() == -signal.SIGKILL


async def test_a_willing_child_ends_at_the_first_step():
    child = await _start(_WILLING)
    assert await child.stop(Step(signal.SIGTERM, 10)) == -signal.SIGTERM


async def test_a_stubborn_child_is_killed_after_the_last_step():
    child = await _start(_STUBBORN)
    assert await child.stop(Step(signal.SIGTERM, 0.05)) == -signal.SIGKILL


async def test_stopping_what_has_ended_is_harmless():
    child = await _start("print('on')")
    await child.wait()
    assert await child.stop(Step(signal.SIGTERM, 10)) == 0
    assert await child.kill() == 0


async def test_killing_takes_its_own_children_too():
    child = await _start(
        "import subprocess, sys, time;"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print('on'); time.sleep(600)"
    )
    (grandchild,) = children(child.pid)
    await child.kill()
    await gone(grandchild)


async def test_a_missing_command_is_reported_in_the_log(tmp_path: Path):
    child = await Child.start(["/nowhere/program"], output=tmp_path / "log", env={})
    assert await child.wait() == 126
    assert (tmp_path / "log").read_text() == "/nowhere/program: No such file or directory\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
async def test_it_does_not_outlive_a_parent_that_is_killed():
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PARENT, _STUBBORN),
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert await parent.stdout.readline() == b"on\n"
    parent.kill()
    await gone(pid)
    await parent.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_root_can_run_it_as_somebody_else(tmp_path: Path):
    log = tmp_path / "log"
    child = await Child.start(
        ["/usr/bin/id", "-u"], output=log, env={}, cwd=Path("/"), user=User(65534, 65534)
    )
    assert await child.wait() == 0
    assert log.read_text() == "65534\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
async def test_a_command_in_a_makefile_does_not_outlive_make(tmp_path: Path):
    leash = Path(child_module.__file__).with_name("leash.py")
    (tmp_path / "Makefile").write_text(
        f"run:\n\t@{sys.executable} {leash} TERM parent - {sys.executable} program.py\n"
    )
    (tmp_path / "program.py").write_text(f"import os; print(os.getpid(), flush=True); {_WILLING}")
    make = await asyncio.create_subprocess_exec(
        *("make", "run"), cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    assert make.stdout is not None
    pid = int(await make.stdout.readline())
    make.kill()
    await gone(pid)
    await make.wait()
