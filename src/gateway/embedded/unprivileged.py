"""Lets a server run as an ordinary user where we are root, which PostgreSQL refuses to be."""

import os
import pwd
import stat
from pathlib import Path
from typing import Final

import structlog

from gateway.embedded.child import User
from gateway.embedded.errors import EmbeddedError

# There on every Linux and macOS, so that no account has to be made for a try on a laptop.
_USER: Final = "nobody"
_log = structlog.get_logger(__name__)


def server_user(data: Path) -> User | None:
    """Return whom a server on this directory runs as: its owner, `nobody`, or us (None).

    Raises:
        EmbeddedError: we are root and there is no such user.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return User(owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam(_USER)
    except KeyError:
        raise EmbeddedError(
            f"PostgreSQL does not run as root, and this machine has no user {_USER} to run it as."
            " Run this as an ordinary user, or set DATABASE_URL."
        ) from None
    return User(entry.pw_uid, entry.pw_gid)


def make_reachable(path: Path, user: User) -> None:
    """Let the user pass through the directories above a path: pass, not list, read or write.

    A tree under a home directory is closed to everybody else, and a server that is not root has to
    get to its files. Each directory that is changed is logged.
    """
    for directory in path.resolve().parents:
        found = directory.stat()
        may_pass = stat.S_IXUSR if found.st_uid == user.uid else stat.S_IXOTH
        if not found.st_mode & may_pass:
            directory.chmod(stat.S_IMODE(found.st_mode) | may_pass)
            _log.warning("embedded.directory_made_passable", path=str(directory))


def make_readable(tree: Path) -> None:
    """Let everybody read a tree of programs; a strict umask at installation hides it from them."""
    for path in (tree, *tree.rglob("*")):
        if path.is_symlink():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        readable = mode | stat.S_IRGRP | stat.S_IROTH
        if path.is_dir() or mode & stat.S_IXUSR:
            readable |= stat.S_IXGRP | stat.S_IXOTH
        if readable != mode:
            path.chmod(readable)
