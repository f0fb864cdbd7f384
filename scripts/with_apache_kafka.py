"""Run a command while KAFKA_BOOTSTRAP_SERVERS names an Apache Kafka started for it alone.

`with_apache_kafka.py [--brokers N] COMMAND…` needs Java and Maven, which it installs where it can;
the broker's jars are kept in `.tools/kafka`. Where the variable is set already, the command simply
gets that broker.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from gateway.embedded import ApacheCluster, EmbeddedError

_SCRIPTS = Path(__file__).resolve().parent
_NEEDED = ("java:default-jre-headless", "mvn:maven")
_CACHE = _SCRIPTS.parent / ".tools" / "kafka"
_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"


async def main(command: list[str], *, brokers: int) -> int:
    """Run the command; return its exit code."""
    environment = dict(os.environ)  # noqa: TID251 - handed on whole to the command
    if environment.get(_VARIABLE):
        return await _run(command, environment)
    if code := await _run([sys.executable, str(_SCRIPTS / "debian.py"), *_NEEDED], environment):
        return code
    with tempfile.TemporaryDirectory(prefix="apache-kafka-") as directory:
        cluster = ApacheCluster(Path(directory), cache=_CACHE, brokers=brokers, heap="512m")
        try:
            address = await cluster.start()
        except EmbeddedError as error:
            print(error, file=sys.stderr)
            return 1
        try:
            print(f"Apache Kafka answers at {address}", flush=True)
            return await _run(command, environment | {_VARIABLE: address})
        finally:
            await cluster.stop()


async def _run(command: list[str], environment: dict[str, str]) -> int:
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        return await process.wait()
    finally:
        # Cut off by Ctrl-C, which the command got as well: let it tidy up.
        await process.wait()


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    _parser.add_argument("--brokers", type=int, default=1, metavar="N", help="how many nodes")
    _parser.add_argument("command", nargs=argparse.REMAINDER)
    _given = _parser.parse_args()
    if not _given.command:
        _parser.error("a command is needed")
    try:
        sys.exit(asyncio.run(main(_given.command, brokers=_given.brokers)))
    except KeyboardInterrupt:
        sys.exit(130)
