"""Apache Kafka's programs, brought by Maven once."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.embedded.errors import EmbeddedError
from gateway.embedded.server import Launch, run_to_the_end

KAFKA_VERSION: Final = "4.1.1"
_LOG4J_VERSION: Final = "2.24.3"
_MISSING: Final = (
    "Apache Kafka needs Java 17 or later and Maven (on Debian: apt-get install"
    " default-jre-headless maven); `{program}` is not on the PATH."
)
_POM: Final = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>gateway</groupId>
  <artifactId>kafka-broker</artifactId>
  <version>{KAFKA_VERSION}</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>{_LOG4J_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-core</artifactId>
      <version>{_LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


def find_program(name: str) -> str:
    """Return where a program is.

    Raises:
        EmbeddedError: it is not on the PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise EmbeddedError(_MISSING.format(program=name))
    return found


async def bring_jars(cache: Path) -> Path:
    """Return the directory with Kafka's jars, 54 MB, brought into `cache` the first time.

    Raises:
        EmbeddedError: Maven is missing or could not bring them.
    """
    jars = cache / f"kafka-{KAFKA_VERSION}"
    if jars.is_dir():
        return jars
    maven = find_program("mvn")
    with _scratch(cache) as making:
        (making / "pom.xml").write_text(_POM)
        copy: list[str | Path] = [
            *(maven, "--batch-mode", "--quiet", "--file", making / "pom.xml"),
            # Its own store of what it downloads: a home directory may be missing or read-only.
            f"-Dmaven.repo.local={making / 'repository'}",
            *("dependency:copy-dependencies", f"-DoutputDirectory={making / 'jars'}"),
        ]
        log = making / "maven.log"
        if not await run_to_the_end(Launch(copy, cwd=making), log=log):
            raise EmbeddedError(f"Maven could not bring Apache Kafka:\n{log.read_text()[-2000:]}")
        # Somebody else may have brought the same in the meantime.
        with contextlib.suppress(FileExistsError):
            (making / "jars").rename(jars)
    return jars


@contextlib.contextmanager
def _scratch(cache: Path) -> Iterator[Path]:
    # Within the cache, so that what is made there can be moved to its place at one stroke.
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as name:
        yield Path(name)
