"""The REST API held against its own document by whatever can be made up from it.

A real server in front of a real database, with routing as it is. Requests are generated from the
document, sound ones and unsound ones; answers must be as the document says, and never a fault of
ours.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from tests.support.api import ADMIN_KEY, SCOPES

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

_ROOT = Path(__file__).resolve().parents[2]
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


@dataclass(frozen=True, slots=True)
class Served:
    """A server under test, and a key of an account."""

    url: str
    key: str


@pytest.fixture
def served(database_url, tmp_path) -> Iterator[Served]:
    command = [sys.executable, "-m", "tests.support.rest_server", database_url, str(tmp_path)]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            command,
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, (tmp_path / "log").read_text()
        yield _with_account(f"http://127.0.0.1:{port}")
        process.stdin.close()


def _with_account(url: str) -> Served:
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    account = httpx.post(f"{url}/v1/accounts", json={"name": "Acme"}, headers=admin).json()
    key = httpx.post(
        f"{url}/v1/accounts/{account['id']}/api-keys",
        json={"name": "test", "scopes": SCOPES},
        headers=admin,
    ).json()
    return Served(url, key["secret"])


@pytest.fixture
def operations(served) -> list[Any]:
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    schema.config.generation.update(allow_x00=False)
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_api_keeps_to_its_document(operations, served, subtests, mode):
    assert len(operations) >= 80
    for operation in operations:
        instance = operation.path.startswith(("/v1/accounts", "/v1/meta-apps"))
        explore = _explorer(operation, mode, key=ADMIN_KEY if instance else served.key)
        # Some calls have nothing that could be wrong.
        with subtests.test(msg=operation.label), suppress(Unsatisfiable):
            explore()


def _explorer(operation, mode, *, key):
    headers = {"Authorization": f"Bearer {key}"}

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=5,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def explore(case):
        # Nothing comes that could be waited for.
        (case.query or {}).pop("wait", None)
        case.call_and_validate(headers=headers, checks=_CHECKS)

    return explore
