"""What a role does not need, it does not load: each costs its start time, and memory for good."""

import subprocess
import sys

import pytest

_PROGRAM = """
import importlib, sys
importlib.import_module("gateway.cli")
importlib.import_module(sys.argv[1])
loaded = {name for name in sys.argv[2:] if name in sys.modules}
sys.exit(f"{sys.argv[1]} loads {sorted(loaded)}" if loaded else 0)
"""
_NO_ROLE_NEEDS = ("alembic", "google.protobuf", "opentelemetry.sdk", "psutil", "requests")
_REST = ("fastapi", "gateway.api", "gateway.contracts.openapi")


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        pytest.param("gateway.serving", _NO_ROLE_NEEDS, id="api"),
        pytest.param("routing.__main__", (*_NO_ROLE_NEEDS, *_REST, "httpx"), id="routing"),
        pytest.param("gateway.sender.process", (*_NO_ROLE_NEEDS, *_REST), id="sender"),
    ],
)
def test_a_role_loads_no_more_than_it_needs(module, unneeded):
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, module, *unneeded],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
