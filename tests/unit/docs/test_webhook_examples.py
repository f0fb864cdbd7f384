"""What the page for receivers of webhooks shows does verify what we sign."""

import re
from pathlib import Path

import pytest

from gateway.clock import true_now
from gateway.net.signing import generate_signing_secret, sign
from gateway.settings import Settings

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
LIBRARY, BY_HAND = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
BODY = '{"text":"Grüße"}'.encode()


@pytest.fixture
def signed():
    secrets = [generate_signing_secret(), generate_signing_secret()]
    headers = sign(BODY, webhook_id="evt_1", at=true_now(), signing_secrets=secrets)
    return secrets, headers


def _run(example, **names):
    exec(example, names)
    return names


def test_the_library_verifies_with_either_secret(signed):
    secrets, headers = signed
    for secret in secrets:
        names = _run(LIBRARY, signing_secret=secret, raw_body=BODY, headers=headers)
        assert names["event"] == {"text": "Grüße"}


def test_what_is_shown_without_a_library_verifies_too(signed):
    secrets, headers = signed
    is_ours = _run(BY_HAND)["is_ours"]
    for secret in secrets:
        assert is_ours(secret, BODY, headers)
    assert not is_ours(generate_signing_secret(), BODY, headers)
    assert not is_ours(secrets[0], BODY + b" ", headers)
    assert not is_ours(secrets[0], BODY, headers | {"webhook-timestamp": "1614265330"})


def test_the_schedule_is_the_settings_own():
    waits = {"s": 1, "min": 60, "h": 3600}
    [shown] = re.findall(r"Waits between the ten attempts: (.*?), each", PAGE)
    seconds = [int(n) * waits[unit] for n, unit in re.findall(r"(\d+) (\w+)", shown)]
    assert tuple(seconds) == Settings().endpoint_retry_seconds
