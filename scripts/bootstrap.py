"""Make or refresh the environment in `.venv`, with nothing but python3 >= 3.11 on the machine.

Brings uv, pinned and hashed in `uv.txt`, into `.tools/` and lets it install what `uv.lock` says.
Does nothing when neither has changed since the last time. Works without pip, without ensurepip
(on Debian, as root), without a usable HOME and behind a company's own certificate authority.
"""

from __future__ import annotations  # lets an older Python read far enough to say that it is one

import fcntl
import hashlib
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
UV = TOOLS / "uv" / "bin" / "uv"
UV_PIN = ROOT / "scripts" / "uv.txt"
ENVIRONMENT = ROOT / ".venv"
STAMP = ENVIRONMENT / ".installed"
OLDEST_PYTHON = (3, 11)
DEBIAN_PYTHON = "/usr/bin/python3"
CERTIFICATE_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class BootstrapError(Exception):
    """The environment cannot be made; the message says what a person can do about it."""


def main() -> int:
    """Make the environment; return the exit status."""
    if sys.version_info < OLDEST_PYTHON:
        return _run_newer_python()
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_current():
            return 0
        try:
            _install()
        except BootstrapError as error:
            print(f"make install: {error}", file=sys.stderr)
            return 1
    return 0


def _run_newer_python() -> int:
    for minor in range(20, OLDEST_PYTHON[1] - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, __file__])  # noqa: S606 - an absolute path, found just now
    found = "{}.{}".format(*sys.version_info[:2])
    print(
        f"make install: Python 3.11 or newer is needed, {sys.executable} is {found}. Install one,"
        " or name one: make install PYTHON=/path/to/python3",
        file=sys.stderr,
    )
    return 1


def _fingerprint() -> str:
    # Scripts in an environment name its absolute path, so a tree that was moved needs a new one.
    seen = hashlib.sha256(str(ROOT).encode())
    for path in (ROOT / "uv.lock", ROOT / "pyproject.toml", UV_PIN):
        seen.update(path.read_bytes())
    return seen.hexdigest()


def _is_current() -> bool:
    return (
        STAMP.is_file()
        and STAMP.read_text() == _fingerprint()
        and (ENVIRONMENT / "bin" / "python").exists()
        and UV.exists()
    )


def _install() -> None:
    environment = _subprocess_environment()
    if not _uv_is_the_pinned_one():
        print("Bringing uv into .tools/ ...", flush=True)
        _bring_uv(environment)
    print("Installing into .venv what uv.lock says ...", flush=True)
    STAMP.unlink(missing_ok=True)
    _trust_the_systems_authorities(environment)
    python = _python_for_the_environment(environment)
    synced = _call(
        [str(UV), "sync", "--frozen", "--all-extras", "--quiet", "--python", python], environment
    )
    if not synced:
        raise BootstrapError(
            "uv could not install the locked packages (its own words are above). Check that the"
            " package index can be reached, and try again."
        )
    STAMP.write_text(_fingerprint())


def _python_for_the_environment(environment: dict[str, str]) -> str:
    # An environment that works keeps its interpreter, whichever python3 comes first on PATH today.
    present = str(ENVIRONMENT / "bin" / "python")
    works = Path(present).exists() and _probe([present, "-c", ""], environment)
    return present if works else sys.executable


def _subprocess_environment() -> dict[str, str]:
    environment = dict(os.environ)  # noqa: TID251 - runs before the project's settings exist
    for name in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH"):
        environment.pop(name, None)
    environment.update(
        UV_PROJECT_ENVIRONMENT=str(ENVIRONMENT),
        UV_PYTHON_DOWNLOADS="never",
        UV_NO_PROGRESS="1",
        PIP_USER="0",
        PIP_REQUIRE_VIRTUALENV="0",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_ROOT_USER_ACTION="ignore",
        PIP_NO_INPUT="1",
        DEBIAN_FRONTEND="noninteractive",
    )
    home = Path(environment.get("HOME", ""))
    if not (home.is_absolute() and os.access(home, os.W_OK)):
        own_home = TOOLS / "home"
        own_home.mkdir(exist_ok=True)
        environment["HOME"] = str(own_home)
    return environment


def _trust_the_systems_authorities(environment: dict[str, str]) -> None:
    """Let pip and uv believe whom the machine believes; by themselves they bring their own list.

    Where somebody chose already, the choice stands. The machine's list may have come with pip.
    """
    standard = ssl.get_default_verify_paths().cafile
    bundles = [path for path in (standard, *CERTIFICATE_BUNDLES) if path and Path(path).is_file()]
    if not bundles:
        return
    environment.setdefault("PIP_CERT", bundles[0])
    if not environment.keys() & {"SSL_CERT_FILE", "SSL_CERT_DIR", "UV_NATIVE_TLS"}:
        environment.setdefault("UV_SYSTEM_CERTS", "1")


def _uv_is_the_pinned_one() -> bool:
    if not UV.exists():
        return False
    try:
        answer = subprocess.run([UV, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        # Made for another kind of machine: a tree that was copied.
        return False
    return f"uv=={answer.stdout.split()[1]} " in UV_PIN.read_text() if answer.stdout else False


def _bring_uv(environment: dict[str, str]) -> None:
    pip = _find_pip(environment)
    _trust_the_systems_authorities(environment)
    target = TOOLS / "uv"
    shutil.rmtree(target, ignore_errors=True)
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    brought = _call(
        [*pip, "install", *options, "--target", str(target), "--requirement", str(UV_PIN)],
        environment,
    )
    shutil.rmtree(TOOLS / "pip", ignore_errors=True)
    if not brought:
        raise BootstrapError(
            "pip could not bring uv (its own words are above). Check that the package index can be"
            " reached, and that uv has a wheel for this machine."
        )


def _find_pip(environment: dict[str, str]) -> list[str]:
    """Return a command that runs some pip, whichever is nearest; any will do, uv is a binary."""
    pip = _pip_of(sys.executable, environment) or _pip_of(DEBIAN_PYTHON, environment)
    if pip is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("This Python has neither pip nor ensurepip: asking apt for python3-venv", flush=True)
        apt = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
        # The lists may be stale or missing on a fresh machine; a failed update is no reason to
        # stop when what is needed lies in the cache.
        _call([*apt, "update"], environment)
        if _call([*apt, "install", "-y", "--no-install-recommends", "python3-venv"], environment):
            pip = _pip_of(DEBIAN_PYTHON, environment)
    if pip is None:
        raise BootstrapError(
            f"{sys.executable} has neither pip nor ensurepip. Install one of them (on Debian and"
            " Ubuntu: apt-get install python3-venv, which `make install` does itself when run as"
            " root) and try again."
        )
    return pip


def _pip_of(python: str, environment: dict[str, str]) -> list[str] | None:
    """Return how to run this interpreter's pip, or one unpacked by its ensurepip."""
    if not Path(python).exists():
        return None
    if _probe([python, "-m", "pip", "--version"], environment):
        return [python, "-m", "pip"]
    own = TOOLS / "pip"
    if _probe([python, "-m", "venv", "--clear", str(own)], environment):
        return [str(own / "bin" / "python"), "-m", "pip"]
    return None


def _call(command: list[str], environment: dict[str, str]) -> bool:
    """Run a command, of whose words only complaints are shown; return whether it succeeded."""
    return _run(command, environment, complaints=None)


def _probe(command: list[str], environment: dict[str, str]) -> bool:
    """Return whether a command succeeds; that it does not is no reason to complain."""
    return _run(command, environment, complaints=subprocess.DEVNULL)


def _run(command: list[str], environment: dict[str, str], *, complaints: int | None) -> bool:
    ended = subprocess.run(
        command,
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=complaints,
        check=False,
    )
    return ended.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
