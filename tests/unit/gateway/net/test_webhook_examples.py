"""What `docs/webhooks.md` tells receivers to write verifies what we sign, and nothing else."""

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.environment import environment

from gateway.net.signing import generate_signing_secret, sign

_PAGE = Path(__file__).parents[4] / "docs" / "webhooks.md"
_MOMENT = 1614265330
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_BODY = b'{"test": 2432232314}'
# The specification's own.
_VECTOR = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(_MOMENT),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
_SECONDS = 240

_NODE = """
import { readFileSync } from "node:fs";
import { isOurs } from "./example.mjs";

const cases = JSON.parse(readFileSync(0, "utf8"));
const verdicts = cases.map(({ secret, body, headers, now }) => {
  Date.now = () => now * 1000;
  return isOurs(secret, Buffer.from(body, "base64"), headers);
});
console.log(JSON.stringify(verdicts));
"""
_GO = """
package main

import (
	"encoding/json"
	"os"
	"time"
)

func main() {
	var cases []struct {
		Secret  string
		Body    []byte
		Headers map[string]string
		Now     int64
	}
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	verdicts := []bool{}
	for _, each := range cases {
		header := func(name string) string { return each.Headers[name] }
		now := time.Unix(each.Now, 0)
		verdicts = append(verdicts, isOurs(each.Secret, each.Body, header, now))
	}
	json.NewEncoder(os.Stdout).Encode(verdicts)
}
"""


def example(language: str, name: str) -> str:
    """Return the page's example in a language that defines a function."""
    blocks = re.findall(rf"```{language}\n(.*?)```", _PAGE.read_text(), flags=re.DOTALL)
    (found,) = [block for block in blocks if name in block]
    return str(found)


def cases() -> list[tuple[dict[str, Any], bool]]:
    """Return what an example is asked, and what it has to say."""

    def case(**changes: Any) -> dict[str, Any]:
        asked = {"secret": _SECRET, "body": _BODY, "headers": _VECTOR, "now": _MOMENT} | changes
        return asked | {"body": base64.b64encode(asked["body"]).decode()}

    new, old = generate_signing_secret(), generate_signing_secret()
    words = json.dumps({"text": "Grüße, 😀"}, ensure_ascii=False).encode()
    both = sign(
        words,
        webhook_id="evt_1",
        at=datetime.fromtimestamp(_MOMENT, UTC),
        signing_secrets=[new, old],
    )
    forged = [
        _VECTOR | {"webhook-signature": signature}
        for signature in ("", "v1,", "v1a,abc", _VECTOR["webhook-signature"][3:], "v1,AAAA v1,")
    ]
    return [
        (case(), True),
        (case(now=_MOMENT + 299), True),
        (case(secret=new, body=words, headers=both), True),
        (case(secret=old, body=words, headers=both), True),
        (case(now=_MOMENT + 301), False),
        (case(now=_MOMENT - 301), False),
        (case(body=_BODY + b" "), False),
        (case(headers=_VECTOR | {"webhook-id": "msg_other"}), False),
        (case(secret=generate_signing_secret()), False),
        *((case(headers=headers), False) for headers in forged),
    ]


def in_python(asked: list[dict[str, Any]], _directory: Path) -> list[bool]:
    names: dict[str, Any] = {}
    exec(compile(example("python", "is_ours"), str(_PAGE), "exec"), names)
    verdicts = []
    for each in asked:
        names["time"] = SimpleNamespace(time=lambda now=each["now"]: now)
        body = base64.b64decode(each["body"])
        verdicts.append(names["is_ours"](each["secret"], body, each["headers"]))
    return verdicts


def in_javascript(asked: list[dict[str, Any]], directory: Path) -> list[bool]:
    (directory / "example.mjs").write_text(example("js", "isOurs"))
    (directory / "main.mjs").write_text(_NODE)
    return run(["node", "main.mjs"], asked, directory)


def in_go(asked: list[dict[str, Any]], directory: Path) -> list[bool]:
    (directory / "example.go").write_text("package main\n\n" + example("go", "isOurs"))
    (directory / "main.go").write_text(_GO)
    return run(["go", "run", "example.go", "main.go"], asked, directory)


def run(command: list[str], asked: list[dict[str, Any]], directory: Path) -> list[bool]:
    done = subprocess.run(
        command,
        cwd=directory,
        input=json.dumps(asked).encode(),
        capture_output=True,
        env=environment(),
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    verdicts: list[bool] = json.loads(done.stdout)
    return verdicts


@pytest.mark.timeout(_SECONDS + 10)
@pytest.mark.parametrize(
    ("needs", "ask"), [(None, in_python), ("node", in_javascript), ("go", in_go)]
)
def test_the_example_believes_what_we_signed_and_nothing_else(
    needs: str | None, ask: Callable[[list[dict[str, Any]], Path], list[bool]], tmp_path: Path
) -> None:
    if needs is not None and shutil.which(needs) is None:
        pytest.skip(f"{needs} is not installed here")
    asked, wanted = zip(*cases(), strict=True)
    assert ask(list(asked), tmp_path) == list(wanted)
