"""Makes load with wrk, and gets it from Debian's packages where it is not installed.

Each request is prepared beforehand and sent once: a Lua script hands them out, so that wrk signs
nothing while it measures.
"""

import asyncio
import functools
import hmac
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.stage import OTHER_CORE, pin

CONNECTIONS: Final = 64

_TOOLS: Final = Path(__file__).resolve().parent.parent / ".tools" / "wrk"
_PACKAGES: Final = ("wrk", "libluajit-5.1-2", "libluajit-5.1-common")
_LUA: Final = """
local requests, at = {}, 0
function init(arguments)
  for line in io.lines(arguments[1]) do
    local signature, body = line:match("^(%S+) (.*)$")
    local headers = {
      ["Accept"] = "*/*", ["Accept-Encoding"] = "deflate, gzip", ["facebook-api-version"] = "v26.0",
      ["Content-Type"] = "application/json", ["User-Agent"] = "facebookexternalua",
      ["X-Hub-Signature"] = "sha1=" .. signature:sub(8, 47), ["X-Hub-Signature-256"] = signature,
    }
    requests[#requests + 1] = wrk.format("POST", wrk.path, headers, body)
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency, _)
  local errors = summary.errors
  io.stderr:write(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %f, "p99": %f, "refused": %d, "failed": %d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came back. Times in milliseconds; `refused` answers were no 200."""

    requests: int
    seconds: float
    p50: float
    p99: float
    refused: int
    failed: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def write_requests(file: Path, bodies: Sequence[bytes], secret: bytes) -> None:
    """Write signed requests for `load`; a body must hold no line break."""
    with file.open("wb") as lines:
        for body in bodies:
            signature = hmac.digest(secret, body, "sha256").hex()
            lines.write(b"sha256=%b %b\n" % (signature.encode(), body))


async def load(url: str, requests: Path, *, seconds: int, connections: int = CONNECTIONS) -> Load:
    """Send prepared requests over so many connections, the next one once the last is answered."""
    script = requests.with_suffix(".lua")
    script.write_text(_LUA)
    program, environment = find_wrk()
    with pin(OTHER_CORE):
        process = await asyncio.create_subprocess_exec(
            *(program, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"),
            *("-s", script, url, "--", requests),
            env=environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    _, said = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"wrk failed: {said.decode()}")
    found = json.loads(said)
    return Load(
        requests=found["requests"],
        seconds=found["microseconds"] / 1e6,
        p50=found["p50"] / 1e3,
        p99=found["p99"] / 1e3,
        refused=found["refused"],
        failed=found["failed"],
    )


@functools.cache
def find_wrk() -> tuple[Path, dict[str, str]]:
    """Return the program and its environment; exits where it cannot be had."""
    installed = shutil.which("wrk")
    if installed is not None:
        return Path(installed), {"PATH": os.defpath}
    program = _TOOLS / "usr" / "bin" / "wrk"
    if not program.exists():
        _unpack()
    libraries = [str(path.parent) for path in (_TOOLS / "usr" / "lib").rglob("libluajit*.so.2")]
    return program, {"PATH": os.defpath, "LD_LIBRARY_PATH": ":".join(libraries)}


def _unpack() -> None:
    """Put Debian's packages into `.tools`, which needs no root and installs nothing."""
    _TOOLS.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(
            ["/usr/bin/apt-get", "download", *_PACKAGES],
            cwd=_TOOLS,
            check=True,
            capture_output=True,
        )
        for package in _TOOLS.glob("*.deb"):
            subprocess.run(
                ["/usr/bin/dpkg-deb", "-x", package, _TOOLS], check=True, capture_output=True
            )
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(
            "This benchmark makes its load with wrk, which is not installed and could not be had"
            f" from Debian's packages ({error}). Install it (`apt-get install wrk`), or put it on"
            " the PATH."
        )
