"""A Kafka broker from a wheel, for laptops and tests.

noida-db keeps its data on disk, but loses the last few records it acknowledged when it is killed,
so it stands in for a broker and never is one in production.
"""

import importlib.util
import platform
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.embedded.child import Step
from gateway.embedded.directory import ServerDirectory
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.kafka_metadata import broker_answers
from gateway.embedded.server import Launch

_WAYS_OUT: Final = (
    "There are two ways out: Apache Kafka through Java and Maven (`gateway dev --broker apache`),"
    " or a broker of your own, named in KAFKA_BOOTSTRAP_SERVERS."
)


class Noida:
    """A single broker of noida-db."""

    ending: Sequence[Step] = (Step(signal.SIGTERM, 5),)
    when_we_die: signal.Signals = signal.SIGTERM
    start_seconds: float = 15.0
    passing_reasons: Sequence[str] = ("is already in use",)
    remedy: str = _WAYS_OUT

    def __init__(self, directory: Path) -> None:
        """Describe a broker whose files all go into a directory, made if need be."""
        self.directory = ServerDirectory(directory)

    def address(self, port: int) -> str:
        """Return the broker's address, as `KAFKA_BOOTSTRAP_SERVERS` takes it."""
        return f"127.0.0.1:{port}"

    async def prepare(self) -> None:
        """Look for the program.

        Raises:
            EmbeddedError: there is no wheel for this machine.
        """
        program = _program()
        if not program.stat().st_mode & 0o100:
            program.chmod(0o755)

    def launch(self, port: int) -> Launch:
        """Return what to execute.

        It is the wheel's binary itself: the Python command around it leaves it behind on SIGTERM.
        """
        return Launch(
            [
                *(_program(), "start", "--only", "kafka", "--kafka-port", str(port)),
                *("--data-dir", self.directory.path / "data"),
            ],
            cwd=self.directory.path,
            env={},
        )

    async def answers(self, port: int) -> bool:
        """Tell whether it answers a metadata request."""
        return await broker_answers("127.0.0.1", port)


def _program() -> Path:
    wheel = importlib.util.find_spec("noida_db")
    program = Path(wheel.origin).parent / "noida-db" if wheel and wheel.origin else None
    if program is None or not program.exists():
        raise EmbeddedError(
            f"There is no embedded broker for this machine ({platform.system()} on"
            f" {platform.machine()}): noida-db has wheels for Linux on x86-64 and macOS on arm64."
            f" {_WAYS_OUT}"
        )
    return program
