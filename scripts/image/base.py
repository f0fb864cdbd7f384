"""A stand-in for the base image: Debian's smallest tree, with Python where the base image has it.

What differs from `python:3.11-slim-bookworm`: the interpreter is Debian's own build, and /usr/local
holds an environment of it rather than an installation.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

_PACKAGES: Final = ("ca-certificates", "python3", "python3-venv")
_RELEASE: Final = "bookworm"
_TOOL: Final = "debootstrap"
# What a container engine puts into place when it starts one.
_MOUNT_POINTS: Final = ("etc/resolv.conf", "etc/hosts")


def stand_in_for_the_base(cache: Path) -> Path:
    """Return the tree, made at the first call; it takes a minute, and 300 MB.

    Raises:
        subprocess.CalledProcessError: Debian's packages could not be had.
    """
    tree = cache / f"base-{_RELEASE}"
    if tree.exists():
        return tree
    if shutil.which(_TOOL) is None:
        _call("apt-get", "update", "--quiet=2")
        _call("apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends", _TOOL)
    # Made aside and renamed, so that a half-made one is never taken for whole.
    making = tree.with_name(f"{tree.name}.new")
    shutil.rmtree(making, ignore_errors=True)
    making.parent.mkdir(parents=True, exist_ok=True)
    _call(_TOOL, "--variant=minbase", f"--include={','.join(_PACKAGES)}", _RELEASE, str(making))
    _call("chroot", str(making), "/usr/bin/python3", "-m", "venv", "--copies", "/usr/local")
    for name in _MOUNT_POINTS:
        (making / name).unlink(missing_ok=True)
        (making / name).touch()
    shutil.rmtree(making / "var/cache/apt")
    shutil.rmtree(making / "var/lib/apt/lists")
    making.rename(tree)
    return tree


def _call(*command: str) -> None:
    environment = {"PATH": os.defpath + ":/usr/sbin:/sbin", "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
