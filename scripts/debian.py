"""Bring programs that pip cannot, from Debian's packages: `debian.py PROGRAM:PACKAGE …`.

Does nothing where all are on the PATH. Installs what is missing where apt-get is and we are root;
elsewhere it says what to install, and ends with exit code 1.
"""

import os
import shutil
import subprocess
import sys

_REMEDY = (
    "Not found on the PATH: {missing}. As root, on Debian or Ubuntu: apt-get install"
    " --no-install-recommends {packages}"
)


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    package_of = dict(argument.split(":", 1) for argument in arguments)
    packages = [package_of[program] for program in _missing(package_of)]
    if not packages:
        return 0
    apt_get = shutil.which("apt-get")
    if apt_get and os.geteuid() == 0:
        print(f"Installing {', '.join(packages)} …", flush=True)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}  # noqa: TID251 - apt's
        for words in (
            ["update", "--quiet", "--quiet"],
            ["install", "--quiet", "--quiet", "--yes", "--no-install-recommends", *packages],
        ):
            done = subprocess.run([apt_get, *words], env=environment, check=False)
            if done.returncode:
                break
    missing = _missing(package_of)
    if missing:
        words_for = {"missing": ", ".join(missing), "packages": " ".join(packages)}
        print(_REMEDY.format(**words_for), file=sys.stderr)
    return 1 if missing else 0


def _missing(programs: dict[str, str]) -> list[str]:
    return [program for program in programs if shutil.which(program) is None]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
