import os
import stat
from pathlib import Path

import pytest

from gateway.embedded.child import User
from gateway.embedded.unprivileged import make_reachable, make_readable, server_user

_STRANGER = User(65534, 65534)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_directories_above_become_passable_and_nothing_more(server_directory: Path):
    closed = server_directory / "passable"
    (closed / "data").mkdir(parents=True)
    closed.chmod(0o700)
    (closed / "data").chmod(0o700)
    make_reachable(closed / "data", _STRANGER)
    assert _mode(closed) == 0o701
    assert _mode(closed / "data") == 0o700


def test_directories_of_the_user_itself_stay_closed(server_directory: Path):
    mine = User(os.geteuid(), os.getegid())
    closed = server_directory / "mine"
    closed.mkdir(mode=0o700)
    make_reachable(closed / "data", mine)
    assert _mode(closed) == 0o700


def test_programs_become_readable_for_everybody(tmp_path: Path):
    program, text = tmp_path / "bin" / "program", tmp_path / "share" / "text"
    for path, mode in ((program, 0o700), (text, 0o600)):
        path.parent.mkdir(mode=0o700)
        path.touch()
        path.chmod(mode)
    (tmp_path / "link").symlink_to("nowhere")
    make_readable(tmp_path)
    assert [_mode(path) for path in (program, text)] == [0o755, 0o644]
    assert _mode(program.parent) == 0o755


@pytest.mark.skipif(os.geteuid() == 0, reason="root needs somebody else")
def test_an_ordinary_user_needs_nobody_else(tmp_path: Path):
    assert server_user(tmp_path) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user needs nobody else")
def test_root_runs_servers_as_the_owner_of_their_data_or_as_nobody(tmp_path: Path):
    assert server_user(tmp_path / "absent") == server_user(tmp_path)
    os.chown(tmp_path, 1234, 1235)
    assert server_user(tmp_path) == User(1234, 1235)
