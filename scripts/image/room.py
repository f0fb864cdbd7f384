"""Runs commands in a tree of files as a container engine does, with what Linux has for it.

A build step runs as root in a writable tree. A container has the tree read-only, mounts of its own,
its own process ids, an ordinary user without any capability or a way to one, and no shell.
"""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

USER: Final = 65534
_DEVICES: Final = "null zero full random urandom"
_CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"

# $1 tree, $2 working directory, $3 number of mounts, then pairs of a source and a target.
_STEP: Final = """
set -e
tree=$1 directory=$2 mounts=$3; shift 3
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
while [ "$mounts" -gt 0 ]; do
  mount --bind "$1" "$tree$2"; shift 2; mounts=$((mounts - 1))
done
exec chroot "$tree" /usr/bin/env --ignore-environment --chdir="$directory" "$@"
"""

_CONTAINER: Final = f"""
set -e
tree=$1 directory=$2 mounts=$3; shift 3
mount --bind "$tree" "$tree"
mount -o remount,bind,ro "$tree"
mount -t proc -o nosuid,nodev,noexec proc "$tree/proc"
mount -t tmpfs -o size=64k,mode=755 tmpfs "$tree/dev"
for device in {_DEVICES}; do
  touch "$tree/dev/$device"; mount --bind "/dev/$device" "$tree/dev/$device"
done
mount -t tmpfs -o size=64m,mode=1777,nosuid,nodev,noexec tmpfs "$tree/tmp"
for shell in "$tree"/bin/sh "$tree"/bin/dash "$tree"/bin/bash; do
  [ ! -e "$shell" ] || mount --bind /dev/null "$shell"
done
while [ "$mounts" -gt 0 ]; do
  mount --bind "$1" "$tree$2"; shift 2; mounts=$((mounts - 1))
done
exec chroot "$tree" "$@"
"""


@dataclass(frozen=True, slots=True)
class Room:
    """A tree, where commands run in it, and what is mounted into it, by target."""

    tree: Path
    directory: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, Path] = field(default_factory=dict)

    def step(self, command: Sequence[str]) -> list[str]:
        """Return what runs a build step."""
        return [
            *("unshare", "--mount", "--propagation=private"),
            *("sh", "-c", _STEP, "step", *self._place()),
            *self._variables(),
            *command,
        ]

    def container(self, command: Sequence[str]) -> list[str]:
        """Return what runs a container's only process, as number 1 of its process ids."""
        return [
            *("unshare", "--mount", "--propagation=private"),
            *("--pid", "--fork", "--kill-child"),
            *("sh", "-c", _CONTAINER, "container", *self._place()),
            *self._unprivileged(command),
        ]

    def beside(self, pid: int, command: Sequence[str]) -> list[str]:
        """Return what runs a command in a container that runs, as health checks do."""
        return [
            *("nsenter", f"--target={pid}", "--mount", "--pid", "--root", "--wd"),
            *self._unprivileged(command),
        ]

    def _place(self) -> list[str]:
        mounts = [part for target, source in self.mounts.items() for part in (str(source), target)]
        return [str(self.tree), self.directory, str(len(self.mounts)), *mounts]

    def _unprivileged(self, command: Sequence[str]) -> list[str]:
        return [
            *("/usr/bin/setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"),
            *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"),
            *("/usr/bin/env", "--ignore-environment", f"--chdir={self.directory}"),
            *self._variables(),
            *command,
        ]

    def _variables(self) -> list[str]:
        return [f"{name}={value}" for name, value in self.environment.items()]


def network_mounts() -> dict[str, Path]:
    """Return what a container engine mounts for the sake of the network."""
    return {name: Path(name) for name in ("/etc/resolv.conf", "/etc/hosts")}


def network_trust(tree: Path) -> dict[str, Path]:
    """Return the mount by which a build step believes whom this machine believes."""
    here = Path(_CERTIFICATES)
    there = tree / _CERTIFICATES.lstrip("/")
    return {_CERTIFICATES: here} if here.is_file() and there.is_file() else {}


def first_process(runner: subprocess.Popen[bytes]) -> int | None:
    """Return a container's first process, as seen from outside, once it is there."""
    children = Path(f"/proc/{runner.pid}/task/{runner.pid}/children").read_text().split()
    return int(children[0]) if children else None
