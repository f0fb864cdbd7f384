import sys
from pathlib import Path

from gateway.embedded import Program


def _program(code: str, output, **options) -> Program:
    return Program([sys.executable, "-u", "-c", code], env={}, output=output, **options)


async def test_lines_go_to_a_function():
    lines: list[str] = []
    program = _program("import sys; print('one'); print('two', file=sys.stderr)", lines.append)
    await program.start()
    assert await program.wait() == 0
    assert lines == ["one", "two"]


async def test_a_line_longer_than_can_be_shown_is_dropped():
    lines: list[str] = []
    program = _program("print('x' * 3_000_000); print('after')", lines.append)
    await program.start()
    assert await program.wait() == 0
    assert lines[-1] == "after"
    assert all(len(line) < 3_000_000 for line in lines)


async def test_output_that_a_child_keeps_open_does_not_hide_its_end():
    program = _program(
        "import subprocess, sys, time;"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print('gone')",
        lambda _line: None,
    )
    await program.start()
    assert await program.wait() == 0
    await program.kill()


async def test_lines_go_to_a_file(tmp_path: Path):
    program = Program(
        [sys.executable, "-c", "import os; print(os.getcwd(), os.environ['A'])"],
        env={"A": "1"},
        cwd=tmp_path,
        output=tmp_path / "log",
    )
    assert program.pid is None
    await program.start()
    assert await program.wait() == 0
    assert program.pid is None
    assert (tmp_path / "log").read_text() == f"{tmp_path} 1\n"
