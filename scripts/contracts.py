"""Write openapi/*.yaml from the code; with --check, only say whether they are what the code says.

Events and webhooks have readers whom nobody knows, so what was promised to them once stays: a
change that takes something away is refused unless `--breaking` says that there are no readers yet.
Put a new type beside the old one instead.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parent.parent
# Python looks for what a script imports beside the script alone.
sys.path.insert(0, str(ROOT))

from scripts.published.additions import losses  # noqa: E402 - needs the path
from scripts.published.kafka import kafka_document  # noqa: E402 - needs the path
from scripts.published.rest import rest_document  # noqa: E402 - needs the path
from scripts.published.webhooks import webhooks_document  # noqa: E402 - needs the path

DOCUMENTS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "gateway.v1.yaml": rest_document,
    "webhooks.v1.yaml": webhooks_document,
    "events.v1.yaml": kafka_document,
}
_HEADING: Final = "# Generated from the code by `make contracts`; change the code instead.\n"

# One change of a shared thing is a loss to many types.
_SHOWN: Final = 10


class _Writer(yaml.SafeDumper):
    """Writes YAML for people: text over several lines as it is, nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - as yaml has it
        return True


def _text(writer: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Writer.add_representer(str, _text)


def as_yaml(document: dict[str, Any]) -> str:
    """Return a document as the text of its file; the same document is always the same text."""
    text: str = yaml.dump(document, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=100)
    return _HEADING + text


def main(arguments: Sequence[str]) -> int:
    """Write or check the files; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail on differences")
    parser.add_argument("--breaking", action="store_true", help="let promises be taken back")
    parser.add_argument("--directory", type=Path, default=ROOT / "openapi", help="where they are")
    chosen = parser.parse_args(arguments)
    chosen.directory.mkdir(exist_ok=True)
    refused = False
    for name, document in DOCUMENTS.items():
        path = chosen.directory / name
        refused |= not _settle(path, document(), check=chosen.check, breaking=chosen.breaking)
    return 1 if refused else 0


def _settle(path: Path, document: dict[str, Any], *, check: bool, breaking: bool) -> bool:
    """Bring a file up to date, or look whether it is; return whether all is well."""
    text = as_yaml(document)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if before == text:
        return True
    lost = losses(yaml.safe_load(before) or {}, document)
    for each in lost[:_SHOWN]:
        print(f"{path.name}: {each}", file=sys.stderr)
    if len(lost) > _SHOWN:
        print(f"{path.name}: and {len(lost) - _SHOWN} more", file=sys.stderr)
    if lost and not breaking:
        print(
            f"{path.name}: readers were promised this. Put a new type beside the old one, or, "
            "while it has no readers: .venv/bin/python scripts/contracts.py --breaking",
            file=sys.stderr,
        )
        return False
    if check:
        print(f"{path.name} is not what the code says: make contracts", file=sys.stderr)
        return False
    path.write_text(text, encoding="utf-8")
    print(f"{path.name} written")
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
