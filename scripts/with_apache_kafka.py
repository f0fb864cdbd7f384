"""Run a command while KAFKA_BOOTSTRAP_SERVERS names an Apache Kafka started for it alone.

`with_apache_kafka.py COMMAND…` needs Java and Maven; the broker's jars are kept in `.tools/kafka`.
Where the variable is set already, the command simply gets that broker.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from gateway.embedded import ApacheKafka, EmbeddedError, Server

_CACHE = Path(__file__).resolve().parent.parent / ".tools" / "kafka"
_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"


async def main(command: list[str]) -> int:
    """Run the command; return its exit code."""
    environment = dict(os.environ)  # noqa: TID251 - handed on whole to the command
    if environment.get(_VARIABLE):
        return await _run(command, environment)
    with tempfile.TemporaryDirectory(prefix="apache-kafka-") as directory:
        server = Server(ApacheKafka(Path(directory), cache=_CACHE))
        try:
            address = await server.start()
        except EmbeddedError as error:
            print(error, file=sys.stderr)
            return 1
        try:
            print(f"Apache Kafka answers at {address}", flush=True)
            return await _run(command, environment | {_VARIABLE: address})
        finally:
            await server.stop()


async def _run(command: list[str], environment: dict[str, str]) -> int:
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        return await process.wait()
    finally:
        # Cut off by Ctrl-C, which the command got as well: let it tidy up.
        await process.wait()


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(sys.argv[1:])))
    except KeyboardInterrupt:
        sys.exit(130)
