"""`scripts/contracts.py`: what it writes, what it says of drift, and what it refuses."""

import copy
from pathlib import Path
from typing import Any

import pytest
from scripts import contracts
from tests.support.published import KAFKA, REST, generated

from gateway.contracts.topics import CONVERSATIONS

SENT, READ = "gateway.message.sent.v1", "gateway.message.read.v1"


@pytest.fixture
def small() -> dict[str, Any]:
    """Return the document of two events; writing them all takes seconds."""
    document = copy.deepcopy(generated(KAFKA))
    messages = document["channels"][CONVERSATIONS]["messages"]
    document["channels"] = {
        CONVERSATIONS: {"messages": {type_: messages[type_] for type_ in (SENT, READ)}}
    }
    return document


@pytest.fixture
def directory(small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    documents = {REST: lambda: {"openapi": "3.1.0", "paths": {}}, KAFKA: lambda: small}
    monkeypatch.setattr(contracts, "DOCUMENTS", documents)
    assert run(tmp_path) == 0
    return tmp_path


def run(directory: Path, *arguments: str) -> int:
    return contracts.main([*arguments, "--directory", str(directory)])


def test_a_check_of_what_was_just_written_is_silent(directory, capsys):
    capsys.readouterr()
    assert run(directory, "--check") == 0
    assert capsys.readouterr() == ("", "")


def test_what_needs_no_change_is_not_written(directory, capsys):
    before = (directory / REST).stat().st_mtime_ns
    capsys.readouterr()
    assert run(directory) == 0
    assert (directory / REST).stat().st_mtime_ns == before
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", [REST, KAFKA])
def test_a_check_names_the_file_that_drifted_and_writes_nothing(directory, name, capsys):
    path = directory / name
    path.write_text(path.read_text(encoding="utf-8") + "x-note: by hand\n", encoding="utf-8")
    drifted = path.read_text(encoding="utf-8")
    capsys.readouterr()
    assert run(directory, "--check") == 1
    assert capsys.readouterr().err == f"{name} is not what the code says: make contracts\n"
    assert path.read_text(encoding="utf-8") == drifted


def test_writing_mends_drift(directory):
    (directory / REST).write_text("openapi: 3.0.0\n", encoding="utf-8")
    assert run(directory) == 0
    assert run(directory, "--check") == 0


def test_a_missing_file_is_drift(directory):
    (directory / REST).unlink()
    assert run(directory, "--check") == 1
    assert not (directory / REST).exists()


def test_a_promise_is_not_taken_back_by_accident(directory, small, capsys):
    promised = (directory / KAFKA).read_text(encoding="utf-8")
    del small["channels"][CONVERSATIONS]["messages"][READ]
    for arguments in ([], ["--check"]):
        capsys.readouterr()
        assert run(directory, *arguments) == 1
        said = capsys.readouterr().err
        assert f"{KAFKA}: {CONVERSATIONS} {READ} is gone\n" in said
        assert "--breaking" in said
        assert (directory / KAFKA).read_text(encoding="utf-8") == promised
    assert run(directory, "--breaking") == 0
    assert run(directory, "--check") == 0


def test_the_other_files_are_written_although_one_is_refused(directory, small):
    del small["channels"][CONVERSATIONS]["messages"][READ]
    (directory / REST).unlink()
    assert run(directory) == 1
    assert (directory / REST).exists()
