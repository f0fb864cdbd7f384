"""Bring what Apache Kafka needs and pip cannot: Java and Maven, from Debian's packages.

Does nothing where both are there. Installs them where apt-get is and we are root; elsewhere it
says what to install, and ends with exit code 1.
"""

import os
import shutil
import subprocess
import sys

_PROGRAMS = ("java", "mvn")
_PACKAGES = ("default-jre-headless", "maven")
_REMEDY = (
    "Apache Kafka needs Java 17 or later and Maven; {missing} not found on the PATH. As root, on"
    " Debian or Ubuntu: apt-get install --no-install-recommends " + " ".join(_PACKAGES)
)


def main() -> int:
    """Return the exit code."""
    if not _missing():
        return 0
    apt_get = shutil.which("apt-get")
    if apt_get and os.geteuid() == 0:
        print("Installing Java and Maven for Apache Kafka …", flush=True)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}  # noqa: TID251 - apt's
        for arguments in (
            ["update", "--quiet", "--quiet"],
            ["install", "--quiet", "--quiet", "--yes", "--no-install-recommends", *_PACKAGES],
        ):
            command = [apt_get, *arguments]
            done = subprocess.run(command, env=environment, check=False)
            if done.returncode:
                break
    missing = _missing()
    if missing:
        print(_REMEDY.format(missing=" and ".join(missing)), file=sys.stderr)
    return 1 if missing else 0


def _missing() -> list[str]:
    return [program for program in _PROGRAMS if shutil.which(program) is None]


if __name__ == "__main__":
    sys.exit(main())
