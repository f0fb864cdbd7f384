"""One `gateway dev` for all end-to-end tests, and a client of it for each."""

import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from tests.e2e.stack import SECONDS, Gateway, start, stop


# Before the rules for all tests, which look at these marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(180))
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1", "::1", "localhost"]))
            # They share what they start, so one worker runs them all.
            item.add_marker(pytest.mark.xdist_group("e2e"))


@pytest.fixture(scope="session")
def dev_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gateway-e2e-") as name:
        directory = Path(name)
        # PostgreSQL runs as a user of its own.
        directory.chmod(0o711)
        yield directory


@pytest.fixture(scope="session")
def running(dev_directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = start(dev_directory, "--no-demo")
    yield process
    assert stop(process) == 0


@pytest.fixture
async def gateway(running: subprocess.Popen[bytes], dev_directory: Path) -> AsyncIterator[Gateway]:
    gateway = Gateway(dev_directory, running, httpx.AsyncClient(), httpx.AsyncClient())
    described = gateway.description
    async with (
        httpx.AsyncClient(base_url=described["api_url"], timeout=SECONDS, trust_env=False) as api,
        httpx.AsyncClient(
            base_url=described["sandbox_url"], timeout=SECONDS, trust_env=False
        ) as sandbox,
    ):
        gateway.api, gateway.sandbox = api, sandbox
        yield gateway
        await sandbox.delete("/control/faults")
